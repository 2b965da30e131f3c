"""The other end of the egress proof and of the entry gates. Standard library only.

It listens on the port that the sandboxes' policy admits, in place of a proxy that serves only when
training has begun, and on canary ports, which it admits and the sandboxes' own policy must not.
What comes in, it answers; so whoever gets an answer has got out. As another sandbox it announces
itself to a listener, so that the proof knows that somebody is there to be refused.

Environment:
    LISTEN_TCP, LISTEN_UDP  ports, comma-separated
    LISTEN_ADDRESSES        optional: own addresses to listen on; default: all
    ANNOUNCE_TO             optional, address:port of a listener to announce this one to
    RUN, ADDRESSES          with it: names of the proofs, and the addresses of this pod
    LIFE_SECONDS            with it: how long this one stays, unless its proofs end before

Requests, on any TCP port: GET /announce?run=R&addresses=A,B (a peer is there), /facts?run=R (what
the proof must know, and what of it arrived here), /finish?run=R. Any other is answered as well.

Exit codes:
    0    the proof that it was there for is over
    2    the environment cannot be used
    143  SIGTERM
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import sys
import urllib.request
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from http.client import HTTPException
from urllib.parse import parse_qs, urlencode, urlsplit

import pod
from pod import BadInput, say


class Exit(IntEnum):
    OVER = 0
    BAD_INPUT = pod.BAD_INPUT


MARK = b"swe-rl-proof "
"""How a datagram of a proof begins; its run and the name of its target follow."""

MOST_RUNS = 256
IDLE_SECONDS = 180.0
"""Connections that say nothing: longer than a proof, which asks those that it kept at its end."""

PEER_SECONDS = 10.0
"""A peer that has not announced itself for so long has gone."""


@dataclass
class Run:
    """What is known of one proof."""

    peers: dict[str, float] = field(default_factory=dict)
    arrived: set[str] = field(default_factory=set)
    finished: bool = False


class Book:
    """The newest runs; older ones are forgotten, since sandboxes may invent any number."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, Run] = OrderedDict()

    def run(self, name: str) -> Run:
        if name not in self._runs and len(self._runs) >= MOST_RUNS:
            self._runs.popitem(last=False)
        return self._runs.setdefault(name[:128], Run())

    def answer(self, target: str) -> dict[str, object]:
        url = urlsplit(target)
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        name = query.get("run", "")
        now = asyncio.get_running_loop().time()
        if name and url.path == "/announce":
            for address in query.get("addresses", "").split(",")[:8]:
                self.run(name).peers[address] = now
        elif name and url.path == "/finish":
            self.run(name).finished = True
        elif not name or url.path != "/facts":
            return {"listener": "swe-rl"}
        run = self.run(name)
        return {
            "listener": "swe-rl",
            "resolvers": resolvers(),
            "peers": [peer for peer, at in run.peers.items() if now - at < PEER_SECONDS],
            "arrived": sorted(run.arrived),
            "finished": run.finished,
        }

    def note(self, datagram: bytes) -> None:
        if datagram.startswith(MARK):
            name, _, target = datagram[len(MARK) :].decode(errors="replace").partition(" ")
            arrived = self.run(name).arrived
            if len(arrived) < 64:
                arrived.add(target[:128])


def resolvers(path: str = "/etc/resolv.conf") -> list[str]:
    """Name servers of this pod."""
    with suppress(OSError), open(path) as lines:
        words = [line.split() for line in lines]
        return [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return []


async def serve(book: Book, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError):
        request = await asyncio.wait_for(reader.readuntil(b"\n"), IDLE_SECONDS)
        words = request.decode(errors="replace").split()
        body = json.dumps(book.answer(words[1] if len(words) > 1 else "/")).encode()
        head = f"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        writer.write(head.encode() + b"\r\n\r\n" + body)
        await writer.drain()
    with suppress(OSError):
        writer.close()


class Echo(asyncio.DatagramProtocol):
    def __init__(self, book: Book) -> None:
        self._book = book

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._book.note(data)
        # No longer than what came: nobody can use it to send more than they did.
        self._transport.sendto(data[:512], addr)


async def listen(book: Book, tcp: list[int], udp: list[int]) -> None:
    loop = asyncio.get_running_loop()
    given = os.environ.get("LISTEN_ADDRESSES", "").split(",")
    for address in given if given != [""] else ("0.0.0.0", "::"):
        six = ":" in address
        try:
            for port in tcp:
                opened = bound(address, port, socket.SOCK_STREAM)
                await asyncio.start_server(
                    lambda reader, writer: serve(book, reader, writer), sock=opened, backlog=1024
                )
            for port in udp:
                opened = bound(address, port, socket.SOCK_DGRAM)
                await loop.create_datagram_endpoint(lambda: Echo(book), sock=opened)
        except OSError as error:
            if not six or error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise  # Only the sixth family may be missing.


def bound(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    six = ":" in address
    opened = socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind)
    if six:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if kind == socket.SOCK_STREAM:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.setblocking(False)
    opened.bind((address, port))
    return opened


async def announce(to: str, runs: list[str], addresses: str) -> None:
    """Until the proofs are over, or for as long as they may take at most."""
    deadline = asyncio.get_running_loop().time() + pod.number("LIFE_SECONDS", 300)
    while runs and asyncio.get_running_loop().time() < deadline:
        for run in list(runs):
            query = urlencode({"run": run, "addresses": addresses})
            with suppress(OSError, HTTPException, ValueError):
                if (await asyncio.to_thread(ask, f"http://{to}/announce?{query}"))["finished"]:
                    runs.remove(run)
        await asyncio.sleep(0.5)


def ask(url: str) -> dict[str, object]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=3) as answer:
        parsed: dict[str, object] = json.load(answer)
        return parsed


def ports(name: str) -> list[int]:
    try:
        return [int(port) for port in os.environ.get(name, "").split(",") if port.strip()]
    except ValueError:
        raise BadInput(f"{name} must be ports with commas between them") from None


async def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    book = Book()
    tcp, udp = ports("LISTEN_TCP"), ports("LISTEN_UDP")
    try:
        await listen(book, tcp, udp)
    except OSError as error:
        raise BadInput(f"cannot listen: {error}") from None
    say(f"listening on TCP {tcp}, UDP {udp}")
    if to := os.environ.get("ANNOUNCE_TO"):
        await announce(to, pod.required("RUN").split(","), pod.required("ADDRESSES"))
        return Exit.OVER
    await asyncio.Event().wait()
    return Exit.OVER


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except BadInput as error:
        say(f"proof_listener: {error}")
        sys.exit(Exit.BAD_INPUT)
