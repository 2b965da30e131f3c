"""Shows from inside a sandbox pod that it reaches the proxy and nothing else. Standard library only.

Knocks on every target from the pod's first moment on, again when all has settled, and once more on
connections that were opened early and kept. Prints one line of JSON: what was tried, when, from
where, how it ended, and the verdict; a sentence of it is the termination message.

Environment:
    PROOF  JSON, or the path of a file with it:
        run            optional, $RUN: name of this proof
        door           address and port that must be reached: an HTTP server, the proof's listener
                       or the proxy itself
        targets        [{"name", "kind": "tcp|udp|icmp|dns-udp|dns-tcp|name", "addresses", "ports",
                       "listens", "early", "calibrates", "own_node"}]; proof_verdict.py says what
                       these are. `$NAME` is taken from the environment, `$RESOLVERS` and `$PEERS`
                       from the listener, which knows the cluster's name servers and the other pod
        accepted       {target: reason}: may be reached, since the site accepts it
        start_seconds, settle_seconds, peer_seconds   optional: 2, 10, 60
        peer_port      optional: where the second pod listens
    NODE_NAME, POD_NAMESPACE, POD_IPS, HOST_IPS   optional: where
    JOB_COMPLETION_INDEX   optional, 0: the pod with another number is there only to be refused

Exit codes:
    0    proven: reached the proxy, denied everything else
    2    the environment cannot be used
    3    leaks: named
    4    unknown: nothing leaked that was tried, but not everything could be shown
    143  SIGTERM
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timezone
from http.client import HTTPException
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlencode

import knocks
import pod
from knocks import EarlyDatagrams, EarlyKnocks, Outcome
from pod import BadInput, say
from proof_listener import MARK, ask, resolvers
from proof_verdict import KEPT, LEAKS, PROVEN, START, STEADY, UNKNOWN, Attempt, Target, judge

CODES = {PROVEN: 0, LEAKS: 3, UNKNOWN: 4}
BAD_INPUT = 2

SPACING_SECONDS = 0.05
TRIES = 2
NAME_SECONDS = 20.0

began = time.monotonic()


def now() -> float:
    return time.monotonic() - began


class Proof:
    """One run."""

    def __init__(self, settings: dict[str, Any]) -> None:
        try:
            self.run = str(settings.get("run") or pod.required("RUN"))
            self.door = door(settings)
            self.targets = [Target(**target) for target in settings["targets"]]
            self.accepted: dict[str, str] = settings.get("accepted", {})
            self.start = float(settings.get("start_seconds", 2))
            self.settle = float(settings.get("settle_seconds", 10))
            self.peer = float(settings.get("peer_seconds", 60))
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"PROOF: {error!r}") from None
        self.facts: dict[str, Any] = {}
        self.attempts: list[Attempt] = []
        self.missing: dict[str, str] = {}

    def show(self) -> dict[str, Any]:
        say(f"knocking on {len(self.targets)} targets")
        early = self.knock_early()
        door = [self.ask_door("/facts")]
        if all(door):
            self.await_facts()
        time.sleep(max(0.0, self.settle - now()))
        self.knock_steadily()
        self.ask_kept(early)
        door.append(self.ask_door("/finish"))
        self.add_arrivals()
        order = {target.name: index for index, target in enumerate(self.targets)}
        attempts = sorted(self.attempts, key=lambda attempt: order[attempt.target.name])
        return judge(attempts, door=door, missing=self.missing, accepted=self.accepted)

    def ask_door(self, path: str) -> bool:
        """Whether it answered. A second time, since a connection may fail by itself."""
        for _ in range(3):
            try:
                query = urlencode({"run": self.run})
                self.facts = ask(f"http://{authority(self.door)}{path}?{query}")
                return True
            except ValueError:
                return True  # It is the proxy itself, which speaks HTTP but knows nothing of proofs.
            except (OSError, HTTPException) as error:
                if getattr(error, "code", None):
                    return True
                say(f"the proxy does not answer: {error}")
                time.sleep(1)
        return False

    def await_facts(self) -> None:
        """A target that names the other pod needs it to be there."""
        deadline = now() + self.peer
        wanted = any("$PEERS" in target.addresses for target in self.targets)
        while wanted and not self.facts.get("peers") and now() < deadline:
            self.ask_door("/facts")
            time.sleep(0.5)

    def addresses(self, target: Target) -> list[str]:
        found: list[str] = []
        for address in target.addresses:
            if address == "$RESOLVERS":
                found += [*resolvers(), *self.facts.get("resolvers", [])]
            elif address == "$PEERS":
                found += self.facts.get("peers", [])
            elif address.startswith("$"):
                found += os.environ.get(address[1:], "").split(",")
            else:
                found.append(address)
        loopback = ("127.", "::1")
        return list(dict.fromkeys(one for one in found if one and not one.startswith(loopback)))

    def knock_early(self) -> list[tuple[Target, EarlyKnocks]]:
        streams: list[tuple[Target, EarlyKnocks]] = []
        datagrams: list[tuple[Target, EarlyDatagrams]] = []
        for target in self.targets:
            for address in self.addresses(target) if target.early else ():
                for port in ports(target):
                    if target.kind in ("udp", "dns-udp"):
                        payload = self.payload(target, START)
                        datagrams.append((target, EarlyDatagrams(address, port, payload)))
                    else:
                        streams.append((target, EarlyKnocks(address, port)))
        while now() < self.start:
            for _, knock in [*streams, *datagrams]:
                knock.step()
            time.sleep(SPACING_SECONDS)
        waited_until = now() + knocks.LIMIT_SECONDS
        while now() < waited_until and any(knock.pending for _, knock in streams):
            for _, knock in [*streams, *datagrams]:
                knock.look()
            time.sleep(SPACING_SECONDS)
        for target, knock in [*streams, *datagrams]:
            knock.close()
            outcome = Outcome(knocks.REACHED) if knock.reached else knock.last
            seconds = knock.reached[-1] - began if knock.reached else now()
            self.add(target, knock.address, knock.port, START, outcome, seconds)
        return streams

    def knock_steadily(self) -> None:
        work: list[tuple[Target, str, int]] = []
        for target in self.targets:
            addresses = self.addresses(target)
            if not addresses:
                self.missing[target.name] = f"no address: {', '.join(target.addresses)}"
            work += [(target, address, port) for address in addresses for port in ports(target)]

        def attempt(target: Target, address: str, port: int) -> None:
            for _ in range(TRIES):
                try:
                    outcome = self.one(target, address, port)
                except OSError as error:
                    outcome = Outcome(knocks.ERROR, error.strerror or str(error))
                self.add(target, address, port, STEADY, outcome)

        with ThreadPoolExecutor(64) as pool:
            list(pool.map(lambda item: attempt(*item), work))

    def one(self, target: Target, address: str, port: int) -> Outcome:
        kinds: dict[str, Callable[[], Outcome]] = {
            "tcp": lambda: knocks.tcp(address, port),
            "udp": lambda: knocks.udp(address, port, self.payload(target, STEADY)),
            "icmp": lambda: knocks.icmp(address),
            "dns-udp": lambda: knocks.udp(address, port, self.payload(target, STEADY)),
            "dns-tcp": lambda: knocks.dns_tcp(address, port),
            "name": lambda: knocks.system_name(address),
        }
        if target.kind not in kinds:
            return Outcome(knocks.ERROR, f"unknown kind {target.kind}")
        return kinds[target.kind]()

    def payload(self, target: Target, phase: str) -> bytes:
        if target.kind == "dns-udp":
            return knocks.dns_query("example.com")
        return MARK + f"{self.run} {phase}:{target.name}".encode()

    def ask_kept(self, early: Iterable[tuple[Target, EarlyKnocks]]) -> None:
        for target, knock in early:
            if knock.kept:
                self.add(target, knock.address, knock.port, KEPT, knock.ask_kept())

    def add_arrivals(self) -> None:
        """What got to the listener leaked, even if no answer came back."""
        for entry in self.facts.get("arrived", []):
            phase, _, name = entry.partition(":")
            mine = [
                attempt
                for attempt in self.attempts
                if (attempt.target.name, attempt.phase) == (name, phase)
            ]
            if mine and not any(attempt.outcome.reached for attempt in mine):
                outcome = Outcome(knocks.REACHED, "arrived, though no answer came back")
                self.add(mine[0].target, mine[0].address, mine[0].port, phase, outcome)

    def add(
        self,
        target: Target,
        address: str,
        port: int,
        phase: str,
        outcome: Outcome,
        seconds: float | None = None,
    ) -> None:
        at = now() if seconds is None else seconds
        self.attempts.append(Attempt(target, address, port, phase, outcome, at))


def door(settings: dict[str, Any]) -> tuple[str, int]:
    address = str(settings["door"]["address"])
    if address.startswith("$"):
        address = pod.required(address[1:]).split(",")[0]
    return address, int(settings["door"]["port"])


def authority(place: tuple[str, int]) -> str:
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def be_there(settings: dict[str, Any]) -> NoReturn:
    """The second pod: a listener that the first one must not reach."""
    variables = {
        "LISTEN_TCP": str(settings.get("peer_port", "")),
        "ANNOUNCE_TO": authority(door(settings)),
        "ADDRESSES": os.environ.get("POD_IPS", ""),
    }
    program = str(Path(__file__).with_name("proof_listener.py"))
    command = [sys.executable, "-u", program]
    os.execve(sys.executable, command, {**os.environ, **variables})


def more_files() -> None:
    """Early knocks are many at a time."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def ports(target: Target) -> list[int]:
    return list(target.ports) or [53 if target.kind.startswith("dns") else 0]


def sentence(result: dict[str, Any]) -> str:
    """The verdict in a line, for people."""
    if result["verdict"] == PROVEN:
        kept = result["accepted"]
        but = f"; reached, and accepted by the site: {', '.join(kept)}" if kept else ""
        return f"proven: reached the proxy and was denied {len(result['targets'])} targets{but}"
    if result["verdict"] == LEAKS:
        each = "; ".join(
            f"{name} ({_places(result['targets'][name]['leaks'])})" for name in result["leaks"]
        )
        return f"leaks: {each}. Likely cause: {result['cause']}"
    if result["proxy"] != "reached":
        return (
            "unknown: the pod did not reach the proxy, so that its denials show nothing: "
            "check the policy sandboxes-to-proxy and the pods that it names"
        )
    whys = [f"{name} ({result['targets'][name].get('why', '')})" for name in result["unknown"]]
    return f"unknown: not shown: {'; '.join(whys)}"


def _places(leaks: list[dict[str, Any]]) -> str:
    shown = [f"{leak['address']} {leak['port'] or ''}".strip() for leak in leaks]
    phases = sorted({leak["phase"] for leak in leaks})
    places = list(dict.fromkeys(shown))[:3]
    return f"{', '.join(places)}{', …' if len(set(shown)) > 3 else ''}: {'+'.join(phases)}"


def settings() -> dict[str, Any]:
    text = pod.required("PROOF")
    try:
        parsed = json.loads(text if text.startswith("{") else Path(text).read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"PROOF: {error}") from None
    if not isinstance(parsed, dict):
        raise BadInput("PROOF is no JSON object")
    return parsed


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    more_files()
    try:
        found = settings()
        if os.environ.get("JOB_COMPLETION_INDEX", "0") != "0":
            be_there(found)
        proof = Proof(found)
    except (BadInput, KeyError) as error:
        say(f"egress_probe: {error}")
        return BAD_INPUT
    result = proof.show()
    where = {
        name.lower(): os.environ.get(name, "")
        for name in ("NODE_NAME", "POD_NAMESPACE", "POD_IPS", "HOST_IPS")
    }
    line = {
        "proof": proof.run,
        "started": started,
        "seconds": round(now(), 1),
        "where": {**where, "ipv6": knocks.has_ipv6()},
        **result,
    }
    print(json.dumps(line), flush=True)
    say(sentence(result))
    with suppress(OSError):
        with open(os.environ.get("TERMINATION_LOG", "/dev/termination-log"), "r+") as message:
            message.write(sentence(result)[:4000])
    return CODES[result["verdict"]]


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # A resolver that does not answer would hold its thread for longer than anybody waits.
    os._exit(code)
