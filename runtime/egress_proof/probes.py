"""Attempts to get out of a pod, and how each ended. Standard library only.

Every attempt ends in an `Outcome`: `reached` if anything came back from the other side, one of the
denials if the network refused, `error` if the attempt itself could not be made, which shows
nothing.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
import struct
import time
from typing import NamedTuple

REACHED, ERROR, TIMED_OUT = "reached", "error", "timed out"
REFUSED, CLOSED, UNREACHABLE, PROHIBITED = "refused", "port closed", "unreachable", "prohibited"

DENIALS = frozenset({TIMED_OUT, REFUSED, CLOSED, UNREACHABLE, PROHIBITED})
"""`port closed` is what a host itself says of a port on which nobody listens: a TCP reset, or ICMP
port unreachable for UDP. Filters can say it as well, so the verdict looks at it twice."""

LIMIT_SECONDS = 3.0
"""Longer than a second: a filter that drops, or answers at the first retransmission, takes one."""

IP_RECVERR, IPV6_RECVERR, MSG_ERRQUEUE = 11, 25, 0x2000
ORIGIN_ICMP, ORIGIN_ICMP6 = 2, 3
ICMP_PORT, ICMP6_PORT = (3, 3), (1, 4)


class Outcome(NamedTuple):
    reason: str
    detail: str = ""

    @property
    def reached(self) -> bool:
        return self.reason == REACHED

    @property
    def denied(self) -> bool:
        return self.reason in DENIALS


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def open_socket(address: str, kind: socket.SocketKind) -> socket.socket:
    """A socket that also keeps the ICMP errors that it gets."""
    opened = socket.socket(family(address), kind)
    if opened.family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    else:
        opened.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    return opened


def tcp(address: str, port: int, limit: float = LIMIT_SECONDS) -> Outcome:
    with open_socket(address, socket.SOCK_STREAM) as connection:
        connection.settimeout(limit)
        code = connection.connect_ex((address, port))
        return of_error(connection, code) if code else Outcome(REACHED)


def udp(address: str, port: int, payload: bytes, limit: float = LIMIT_SECONDS) -> Outcome:
    """Sends three times, since a datagram may get lost by itself. Any answer is one."""
    with open_socket(address, socket.SOCK_DGRAM) as sender:
        code = sender.connect_ex((address, port))
        if code:
            return of_error(sender, code)
        sender.settimeout(limit / 3)
        for _ in range(3):
            try:
                sender.send(payload)
                if sender.recv(4096):
                    return Outcome(REACHED)
            except TimeoutError:
                continue
            except OSError as error:
                return of_error(sender, error.errno or 0)
    return Outcome(TIMED_OUT)


def icmp(address: str, limit: float = LIMIT_SECONDS) -> Outcome:
    """An echo request, by a socket that needs no capability where the pod's sysctl allows it."""
    six = family(address) == socket.AF_INET6
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    # The kernel fills in identifier and checksum.
    echo = struct.pack("!BBHHH", 128 if six else 8, 0, 0, 0, 1) + b"swe-rl"
    try:
        sender = socket.socket(family(address), socket.SOCK_DGRAM, protocol)
    except OSError as error:
        return Outcome(ERROR, f"no socket for ICMP ({error.strerror}): net.ipv4.ping_group_range")
    with sender:
        sender.settimeout(limit / 3)
        for _ in range(3):
            try:
                sender.sendto(echo, (address, 0))
                sender.recv(4096)
                return Outcome(REACHED)
            except TimeoutError:
                continue
            except OSError as error:
                return of_error(sender, error.errno or 0)
    return Outcome(TIMED_OUT)


def dns_tcp(address: str, port: int, limit: float = LIMIT_SECONDS) -> Outcome:
    """Asks a name server. A connection is enough: whatever it would answer, it was reached."""
    return tcp(address, port, limit)


def dns_query(name: str) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return secrets.token_bytes(2) + struct.pack("!5H", 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


def system_name(name: str) -> Outcome:
    """Resolves as a program of the pod would. A verdict about the name is an answer, too."""
    try:
        found = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            return Outcome(TIMED_OUT, error.strerror or "")
        if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
            return Outcome(REACHED, f"a resolver answered: {error.strerror}")
        return Outcome(ERROR, error.strerror or str(error))
    return Outcome(REACHED, f"resolved to {found[0][4][0]}")


def of_error(failed: socket.socket, code: int) -> Outcome:
    """What a failed attempt means, by its error and by who sent it."""
    if code in (errno.EAGAIN, errno.EINPROGRESS, errno.ETIMEDOUT):
        return Outcome(TIMED_OUT)
    icmp_kind, sender = _icmp_error(failed)
    by = f"by {sender}" if sender else ""
    if code == errno.ECONNREFUSED:
        if failed.type == socket.SOCK_STREAM and icmp_kind:
            return Outcome(REFUSED, by)
        return Outcome(CLOSED, by)
    if code == errno.ECONNRESET:
        return Outcome(CLOSED)
    if code in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return Outcome(UNREACHABLE, by or "no route in the pod")
    if code in (errno.EACCES, errno.EPERM):
        return Outcome(PROHIBITED, by)
    absent = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    if code in absent and failed.family == socket.AF_INET6 and not has_ipv6():
        return Outcome(UNREACHABLE, "the pod has no IPv6")
    return Outcome(ERROR, os.strerror(code) if code else "no error number")


def _icmp_error(failed: socket.socket) -> tuple[tuple[int, int] | None, str]:
    """Type and code of the ICMP error that ended the attempt, and who sent it."""
    try:
        _, control, _, _ = failed.recvmsg(512, 512, MSG_ERRQUEUE)
    except OSError:
        return None, ""
    for _, _, content in control:
        if len(content) < 16:
            continue
        origin, kind, code = content[4], content[5], content[6]
        if origin == ORIGIN_ICMP and len(content) >= 24:
            return (kind, code), socket.inet_ntop(socket.AF_INET, content[20:24])
        if origin == ORIGIN_ICMP6 and len(content) >= 40:
            return (kind, code), socket.inet_ntop(socket.AF_INET6, content[24:40])
    return None, ""


def has_ipv6() -> bool:
    """Whether any interface but loopback has an address of the sixth family."""
    try:
        with open("/proc/net/if_inet6") as table:
            return any(line.split()[5] != "lo" for line in table)
    except OSError:
        return False


class EarlyProbes:
    """Connects again and again from the first moment on, without waiting for an end.

    The first connection that comes about is kept open: later it tells whether the network cuts
    what it once let through.
    """

    def __init__(self, address: str, port: int) -> None:
        self.address, self.port = address, port
        self.tried = 0
        self.reached: list[float] = []
        self.kept: socket.socket | None = None
        self.last = Outcome(ERROR, "no attempt could be made")
        """How those that were not let through ended."""
        self.pending: list[tuple[float, socket.socket]] = []

    def step(self) -> None:
        try:
            probe = open_socket(self.address, socket.SOCK_STREAM)
        except OSError:
            return
        self.tried += 1
        probe.setblocking(False)
        code = probe.connect_ex((self.address, self.port))
        if code not in (0, errno.EINPROGRESS):
            self.last = of_error(probe, code)
            probe.close()
        else:
            self.pending.append((time.monotonic(), probe))
        self.look()

    def look(self) -> None:
        still = []
        for began, probe in self.pending:
            code = probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code and _connected(probe):
                self.reached.append(began)
                if self.kept is None:
                    self.kept = probe
                    continue
            elif code:
                self.last = of_error(probe, code)
            elif time.monotonic() - began < LIMIT_SECONDS:
                still.append((began, probe))
                continue
            else:
                self.last = Outcome(TIMED_OUT)
            probe.close()
        self.pending = still

    def close(self) -> None:
        if self.pending:
            self.last = Outcome(TIMED_OUT)
        for _, probe in self.pending:
            probe.close()
        self.pending = []

    def ask_kept(self, limit: float = LIMIT_SECONDS) -> Outcome:
        """Sends on the connection that was kept."""
        if self.kept is None:
            return Outcome(UNREACHABLE, "none was opened")
        self.kept.settimeout(limit)
        try:
            self.kept.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return (
                Outcome(REACHED)
                if self.kept.recv(1)
                else Outcome(CLOSED, "closed by the other side")
            )
        except TimeoutError:
            return Outcome(TIMED_OUT)
        except OSError as error:
            return of_error(self.kept, error.errno or 0)


class EarlyDatagrams:
    """Sends again and again from the first moment on, and notes whether anything comes back."""

    def __init__(self, address: str, port: int, payload: bytes) -> None:
        self.address, self.port, self._payload = address, port, payload
        self.reached: list[float] = []
        self.last = Outcome(TIMED_OUT)
        self._socket: socket.socket | None = None

    def step(self) -> None:
        try:
            if self._socket is None:
                self._socket = open_socket(self.address, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
                if code := self._socket.connect_ex((self.address, self.port)):
                    self._fail(code)
                    return
            self._socket.send(self._payload)
        except OSError as error:
            self._fail(error.errno or 0)
        self.look()

    def look(self) -> None:
        if self._socket is None:
            return
        try:
            while self._socket.recv(4096):
                self.reached.append(time.monotonic())
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error.errno or 0)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _fail(self, code: int) -> None:
        if self._socket is not None:
            self.last = of_error(self._socket, code)
            # One that could not be connected has nowhere to send to: the next step begins anew.
            self._socket.close()
            self._socket = None


def _connected(probe: socket.socket) -> bool:
    try:
        probe.getpeername()
    except OSError:
        return False
    return True
