"""Holds the agent back until the network has closed around this very pod: init container of every
sandbox. Policies reach a new pod late on common networks, and what opens before stays open. So this
probes a canary, which listens and admits everybody, until nothing but this pod's own policy can
be what refuses; then on the proxy, which must answer. Self-contained: its text is the command.

Environment:
    CANARY           addresses that must be denied: address:port or [v6]:port, comma-separated
    CONTROL          for each of them a port of the same listener that must answer: a canary that
                     is gone would look like one that is denied
    PROXY            address:port of the proxy
    TIMEOUT_SECONDS  how long all of it may take
    QUIET_SECONDS    how long every probe must have been denied

Prints one line of JSON, which is the termination message as well: how it ended, how long after the
pod's start the gate began, and for each canary until when the pod was seen open, and what of that
time was not seen. Exit codes:
    0    closed: every canary denied, the proxy answers
    2    bad-environment
    3    not-closed: a canary was still reached; the network does not enforce the policy
    4    no-control: the canary's listener never answered, so that a denial would show nothing
    5    no-proxy: closed, but the proxy did not answer
    143  ended: SIGTERM
"""

import enum
import errno
import json
import os
import signal
import socket
import sys
import time

SPACING, CONTROL_SPACING, LIMIT, DENIALS, PROXY_SECONDS = 0.1, 0.3, 1.5, 5, 10.0
DENIED = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EACCES: "prohibited",
    errno.EPERM: "prohibited",
    errno.ETIMEDOUT: "timed out",
}
begun = time.monotonic()


class Exit(enum.IntEnum):
    """Their names, in small letters and with dashes, are in the line that is printed."""

    CLOSED = 0
    BAD_ENVIRONMENT = 2
    NOT_CLOSED = 3
    NO_CONTROL = 4
    NO_PROXY = 5
    ENDED = 128 + signal.SIGTERM


class Probe:
    """One attempt to connect. Its reason is None while it is under way."""

    def __init__(self, target):
        self.began = time.monotonic()
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        try:
            self.socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self.socket, self.reason = None, f"error: {error.strerror}"
        else:
            self.reason = None
            self._settle(self.socket.connect_ex(target))

    def look(self):
        if self.reason is None:
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                try:
                    self.socket.getpeername()
                except OSError:
                    code = errno.EINPROGRESS
            self._settle(code)
        return self.reason

    def _settle(self, code):
        if code == errno.EINPROGRESS:
            self.reason = "timed out" if time.monotonic() - self.began > LIMIT else None
        elif code:
            self.reason = DENIED.get(code, f"error: {os.strerror(code)}")
        else:
            self.reason = "reached"
        if self.reason:
            self.socket.close()


class Canary:
    """One address: probes the canary and its control, side by side."""

    def __init__(self, canary, control):
        self.canary, self.control = canary, control
        self.reached, self.reached_last, self.controled, self.reasons = 0, None, 0, {}
        self.first = None
        self.restart()

    def restart(self):
        """No earlier probe counts, not even one that is still under way."""
        self.probes, self.controls, self.row = [], [], []
        self.control_at, self.control_next = None, 0

    def step(self):
        if time.monotonic() >= self.control_next:
            self.control_next = time.monotonic() + CONTROL_SPACING
            self.controls.append(Probe(self.control))
        if self.control_at:
            self.probes.append(Probe(self.canary))
            self.first = self.first or self.probes[-1].began
        self.look()

    def look(self):
        for probe in [probe for probe in self.controls if probe.look()]:
            self.controls.remove(probe)
            if probe.reason != "reached":
                # Until it answers again, a denial may mean that nobody listens.
                self.reasons["control"] = probe.reason
                return self.restart()
            self.controled += 1
            self.control_at = max(self.control_at or 0, probe.began)
        for probe in [probe for probe in self.probes if probe.look()]:
            self.probes.remove(probe)
            if probe.reason not in DENIED.values():
                self.reasons["canary"] = probe.reason
                if probe.reason == "reached":
                    self.reached, self.reached_last = self.reached + 1, time.monotonic()
                return self.restart()
            self.reasons["canary"] = probe.reason
            self.row.append(probe.began)

    def closed(self, quiet):
        # Those count after which the control has answered, up to the first probe still open.
        until = min([self.control_at or 0, *(probe.began for probe in self.probes)])
        row = sorted(began for began in self.row if began < until)
        return len(row) >= DENIALS and row[-1] - row[0] >= quiet

    def report(self, age):
        """What was seen, and what was not. `age`: that of the pod when the gate began, or None."""
        found = {"reached": self.reached}
        if self.first is None:
            return {**found, "open": "not seen: nothing is probed before the control answers"}
        at = self.first - begun
        if age is None:
            before = f"the pod's time before the first probe, {at:.2f} s after the gate's start"
        else:
            found["unseen_seconds"] = round(age + at, 2)
            before = f"the pod's first {age + at:.2f} s, before the first probe"
        if self.reached:
            found["open_seconds"] = round(self.reached_last - begun, 2)
            seen = f"until {found['open_seconds']} s after the gate's start"
        else:
            seen = "never while it was probed"
        return {**found, "open": f"{seen}; not seen: {before}"}


def pod_age():
    """Seconds since the runtime wrote the pod's host name, which it does when it has made its
    network. None where no runtime has mounted one."""
    name = "/etc/hostname"
    try:
        with open("/proc/self/mountinfo") as mounts:
            if any(line.split()[4] == name for line in mounts):
                return max(0.0, time.time() - os.stat(name).st_mtime)
    except OSError:
        pass
    return None


def answers(proxy):
    try:
        with socket.create_connection(proxy, 2) as connection:
            connection.settimeout(2)
            connection.sendall(b"GET /health/liveliness HTTP/1.0\r\n\r\n")
            return connection.recv(5) == b"HTTP/"
    except OSError:
        return False


def wait(canaries, proxy, deadline, quiet):
    """How it ended."""
    while True:
        for canary in canaries:
            canary.restart()
        while not all(canary.closed(quiet) for canary in canaries):
            if time.monotonic() > deadline:
                controled = all(canary.controled for canary in canaries)
                return Exit.NOT_CLOSED if controled else Exit.NO_CONTROL
            for canary in canaries:
                canary.step()
            time.sleep(SPACING)
        patience = min(deadline, time.monotonic() + PROXY_SECONDS)
        while not answers(proxy):
            if time.monotonic() > deadline:
                return Exit.NO_PROXY
            if time.monotonic() > patience:
                break  # What was closed long ago is probed again.
            time.sleep(0.5)
        else:
            return Exit.CLOSED


def end(code, canaries=(), **more):
    taken = time.monotonic() - begun
    age = pod_age()
    began = None if age is None else max(0.0, age - taken)
    line = {
        "gate": code.name.lower().replace("_", "-"),
        "seconds": round(taken, 2),
        "after_pod_start": "unknown" if began is None else round(began, 2),
        "canaries": {
            f"{canary.canary[0]} {canary.canary[1]}": {**canary.report(began), **canary.reasons}
            for canary in canaries
        },
        **more,
    }
    text = json.dumps(line)
    print(text, flush=True)
    try:
        with open(os.environ.get("TERMINATION_LOG", "/dev/termination-log"), "r+") as message:
            message.write(text)
    except OSError:
        pass
    os._exit(code)


def targets(name):
    found = []
    for text in os.environ[name].split(","):
        host, _, port = text.strip().rpartition(":")
        found.append((host.strip("[]"), int(port)))
    return found


def main():
    try:
        canaries = [
            Canary(*pair) for pair in zip(targets("CANARY"), targets("CONTROL"), strict=True)
        ]
        proxy = targets("PROXY")[0]
        timeout, quiet = (float(os.environ[f"{name}_SECONDS"]) for name in ("TIMEOUT", "QUIET"))
    except (KeyError, ValueError) as error:
        return end(Exit.BAD_ENVIRONMENT, reason=repr(error))
    signal.signal(signal.SIGTERM, lambda *_: end(Exit.ENDED, canaries))
    return end(wait(canaries, proxy, begun + timeout, quiet), canaries)


if __name__ == "__main__":
    sys.exit(main())
