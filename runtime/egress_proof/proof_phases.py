"""The three phases of an egress proof: from the first moment on, when all has settled, and on
connections that were kept. Standard library only."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode

import probes
import pod
from probes import EarlyDatagrams, EarlyProbes, Outcome
from pod import BadInput, say
from proof_listener import MARK, ask, resolvers
from proof_verdict import KEPT, NETWORKS, START, STEADY, Attempt, Target, judge

SPACING_SECONDS = 0.05
TRIES = 2


class Proof:
    """One run."""

    def __init__(self, settings: dict[str, Any]) -> None:
        try:
            self.run = expanded(str(settings.get("run") or "$RUN"))
            self.allowed_target = allowed_target(settings)
            self.targets = [Target(**target) for target in settings["targets"]]
            self.accepted: dict[str, str] = settings.get("accepted", {})
            self.network = NETWORKS[settings.get("network", "kubernetes")]
            self.start = float(settings.get("start_seconds", 2))
            self.settle = float(settings.get("settle_seconds", 10))
            self.peer = float(settings.get("peer_seconds", 60))
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"PROOF: {error!r}") from None
        self.began = time.monotonic()
        self.facts: dict[str, Any] = {}
        self.attempts: list[Attempt] = []
        self.missing: dict[str, str] = {}

    def now(self) -> float:
        """Seconds since the pod's first moment."""
        return time.monotonic() - self.began

    def show(self) -> dict[str, Any]:
        say(f"probing {len(self.targets)} targets")
        early = self.probe_early()
        reached = [self.ask_allowed_target("/facts")]
        if all(reached):
            self.await_facts()
        time.sleep(max(0.0, self.settle - self.now()))
        self.probe_steadily()
        self.ask_kept(early)
        reached.append(self.ask_allowed_target("/finish"))
        self.add_arrivals()
        order = {target.name: index for index, target in enumerate(self.targets)}
        attempts = sorted(self.attempts, key=lambda attempt: order[attempt.target.name])
        return judge(
            attempts,
            answered=reached,
            missing=self.missing,
            accepted=self.accepted,
            network=self.network,
        )

    def ask_allowed_target(self, path: str) -> bool:
        """Whether it answered. A second time, since a connection may fail by itself."""
        for _ in range(3):
            try:
                query = urlencode({"run": self.run})
                self.facts = ask(f"http://{authority(self.allowed_target)}{path}?{query}")
                return True
            except ValueError:
                return (
                    True  # It is the proxy itself, which speaks HTTP but knows nothing of proofs.
                )
            except (OSError, HTTPException) as error:
                if getattr(error, "code", None):
                    return True
                say(f"the proxy does not answer: {error}")
                time.sleep(1)
        return False

    def await_facts(self) -> None:
        """A target that names the other pod needs it to be there."""
        deadline = self.now() + self.peer
        wanted = any("$PEERS" in target.addresses for target in self.targets)
        while wanted and not self.facts.get("peers") and self.now() < deadline:
            self.ask_allowed_target("/facts")
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

    def probe_early(self) -> list[tuple[Target, EarlyProbes]]:
        streams: list[tuple[Target, EarlyProbes]] = []
        datagrams: list[tuple[Target, EarlyDatagrams]] = []
        for target in self.targets:
            for address in self.addresses(target) if target.early else ():
                for port in ports(target):
                    if target.kind in ("udp", "dns-udp"):
                        payload = self.payload(target, START)
                        datagrams.append((target, EarlyDatagrams(address, port, payload)))
                    else:
                        streams.append((target, EarlyProbes(address, port)))
        probing: list[tuple[Target, EarlyProbes | EarlyDatagrams]] = [*streams, *datagrams]
        while self.now() < self.start:
            for _, probe in probing:
                probe.step()
            time.sleep(SPACING_SECONDS)
        waited_until = self.now() + probes.LIMIT_SECONDS
        while self.now() < waited_until and any(probe.pending for _, probe in streams):
            for _, probe in probing:
                probe.look()
            time.sleep(SPACING_SECONDS)
        for target, probe in probing:
            probe.close()
            outcome = Outcome(probes.REACHED) if probe.reached else probe.last
            seconds = probe.reached[-1] - self.began if probe.reached else self.now()
            self.add(target, probe.address, probe.port, START, outcome, seconds)
        return streams

    def probe_steadily(self) -> None:
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
                    outcome = Outcome(probes.ERROR, error.strerror or str(error))
                self.add(target, address, port, STEADY, outcome)

        with ThreadPoolExecutor(64) as pool:
            list(pool.map(lambda item: attempt(*item), work))

    def one(self, target: Target, address: str, port: int) -> Outcome:
        kinds: dict[str, Callable[[], Outcome]] = {
            "tcp": lambda: probes.tcp(address, port),
            "udp": lambda: probes.udp(address, port, self.payload(target, STEADY)),
            "icmp": lambda: probes.icmp(address),
            "dns-udp": lambda: probes.udp(address, port, self.payload(target, STEADY)),
            "dns-tcp": lambda: probes.dns_tcp(address, port),
            "name": lambda: probes.system_name(address),
        }
        if target.kind not in kinds:
            return Outcome(probes.ERROR, f"unknown kind {target.kind}")
        return kinds[target.kind]()

    def payload(self, target: Target, phase: str) -> bytes:
        if target.kind == "dns-udp":
            return probes.dns_query("example.com")
        return MARK + f"{self.run} {phase}:{target.name}".encode()

    def ask_kept(self, early: Iterable[tuple[Target, EarlyProbes]]) -> None:
        for target, probe in early:
            if probe.kept:
                self.add(target, probe.address, probe.port, KEPT, probe.ask_kept())

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
                outcome = Outcome(probes.REACHED, "arrived, though no answer came back")
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
        at = self.now() if seconds is None else seconds
        self.attempts.append(Attempt(target, address, port, phase, outcome, at))


def allowed_target(settings: dict[str, Any]) -> tuple[str, int]:
    address = expanded(str(settings["allowed_target"]["address"])).split(",")[0]
    return address, int(settings["allowed_target"]["port"])


def expanded(text: str) -> str:
    """The text itself, or of `$NAME` what the environment has under it."""
    return pod.required(text[1:]) if text.startswith("$") else text


def authority(place: tuple[str, int]) -> str:
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def ports(target: Target) -> list[int]:
    return list(target.ports) or [53 if target.kind.startswith("dns") else 0]
