"""The entry gate against filters that come late: no byte of the main program gets out."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fabric import CANARY, ALLOWED_TARGET, Fabric
from support.gated import Start, gate_environment, starts

LATE = (0.2, 1.0, 5.0)
ROUNDS = 6
"""Starts for each delay; bench/entry_gate.py has the larger number."""


@pytest.fixture(scope="module")
def fabric(private_network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabric]:
    fabric = Fabric(tmp_path_factory.mktemp("gates"))
    try:
        yield fabric
    finally:
        fabric.close()


@pytest.fixture(scope="module")
def gated(fabric: Fabric) -> list[Start]:
    return starts(fabric, delays=LATE, count=ROUNDS, gate=True)


def test_no_byte_leaves_before_the_filter_is_there(gated: list[Start]) -> None:
    assert len(gated) == len(LATE) * ROUNDS
    assert [start for start in gated if start.leaked] == []
    for start in gated:
        assert start.code == 0, start
        assert start.gate["gate"] == "closed"
        assert start.served, "the main program reached the proxy"


def test_the_gate_tells_how_long_the_pod_was_open(gated: list[Start]) -> None:
    for start in gated:
        [canary] = start.gate["canaries"].values()
        open_seconds = canary.get("open_seconds", 0)
        seen = f"until {open_seconds} s after" if canary["reached"] else "never while it was probed"
        assert canary["open"].startswith(seen), start
        assert "; not seen: the pod's " in canary["open"]
        # The gate counts from its own first instruction, so never past the filter.
        assert open_seconds <= start.closed + 1, start
        # An upper bound: the interpreter's start, and whatever a busy machine adds after the gate.
        first_probe = start.seconds - start.gate["seconds"]
        # On a busy machine an early filter may be there before the gate is.
        if start.delay == max(LATE) or first_probe + 0.5 < start.delay:
            assert canary["reached"] > 0, start
            assert open_seconds >= start.delay - first_probe - 1, start


def test_without_the_gate_the_same_starts_leak(fabric: Fabric) -> None:
    bare = starts(fabric, delays=(5.0,), count=ROUNDS, gate=False)
    assert all(start.leaked for start in bare)


def run(fabric: Fabric, *, opens: bool = False, allowed_target: bool = True, **env: str) -> Start:
    """A gate that cannot open, or can only in one way."""
    pod = fabric.sandbox()
    if not opens:
        pod.admit(allowed_target=allowed_target)
    log = fabric.folder / f"gate-{pod.number}.log"
    environment = {**gate_environment(fabric), "TIMEOUT_SECONDS": "4", **env}
    tree = fabric.keep(pod.start("entry_gate.py", log, environment))
    code = tree.wait(30)
    return Start(0, code, json.loads(tree.output), leaked=False, served=False)


def test_names_why_it_stays_shut(fabric: Fabric) -> None:
    proxy = fabric.proxy.v4
    nobody = f"{proxy}:1"
    cases = {
        "not-closed": (3, {"opens": True}),
        "no-control": (4, {"allowed_target": False}),
        "no-proxy": (5, {"PROXY": f"{proxy}:{CANARY}", "TIMEOUT_SECONDS": "7"}),
        "bad-environment": (2, {"QUIET_SECONDS": "soon"}),
    }
    ended: dict[str, Start] = {}

    def one(name: str, arguments: dict[str, object]) -> None:
        ended[name] = run(fabric, **arguments)  # type: ignore[arg-type]

    threads = [
        threading.Thread(target=one, args=(name, arguments))
        for name, (_, arguments) in cases.items()
    ]
    # A canary that is gone looks closed; its control is gone with it, and tells.
    gone = {"CANARY": nobody, "CONTROL": nobody, "opens": True}
    threads.append(threading.Thread(target=one, args=("gone", gone)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, (code, _) in cases.items():
        assert (ended[name].code, ended[name].gate["gate"]) == (code, name)
    assert ended["gone"].gate["gate"] == "no-control"


def test_probes_on_both_families(fabric: Fabric) -> None:
    """A pod that is closed in one family only is not closed."""
    pod = fabric.sandbox()
    pod.admit("meta nfproto ipv6 accept")
    both = {
        "CANARY": f"{fabric.proxy.v4}:{CANARY},[{fabric.proxy.v6}]:{CANARY}",
        "CONTROL": f"{fabric.proxy.v4}:{ALLOWED_TARGET},[{fabric.proxy.v6}]:{ALLOWED_TARGET}",
        "TIMEOUT_SECONDS": "4",
    }
    log = fabric.folder / f"gate-{pod.number}.log"
    tree = fabric.keep(pod.start("entry_gate.py", log, {**gate_environment(fabric), **both}))
    assert tree.wait(30) == 3
    canaries = json.loads(tree.output)["canaries"]
    assert canaries[f"{fabric.proxy.v6} {CANARY}"]["reached"] > 0
    assert canaries[f"{fabric.proxy.v4} {CANARY}"]["reached"] == 0


def test_says_what_of_the_pods_time_it_did_not_see(fabric: Fabric, tmp_path: Path) -> None:
    """Runtimes write and mount the host name of a pod when they have made its network."""
    name = tmp_path / "hostname"
    name.write_text("pod")
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("")
    pod = fabric.sandbox(resolver)
    pod.run(f"mount --bind {name} /etc/hostname")
    pod.admit(deny="reject")
    made = time.time() - 2.5
    os.utime(name, (made, made))
    log = fabric.folder / f"gate-{pod.number}.log"
    tree = fabric.keep(pod.start("entry_gate.py", log, gate_environment(fabric)))
    assert tree.wait(30) == 0, tree.output
    gate = json.loads(tree.output)
    [canary] = gate["canaries"].values()
    assert gate["after_pod_start"] >= 2.5
    # The filter was there before the pod: what the gate says is that it has not seen it open.
    assert (canary["reached"], "open_seconds" in canary) == (0, False)
    assert canary["unseen_seconds"] >= gate["after_pod_start"]
    unseen = f"not seen: the pod's first {canary['unseen_seconds']:.2f} s, before the first probe"
    assert canary["open"] == f"never while it was probed; {unseen}"


def test_its_text_is_all_that_it_needs(fabric: Fabric, runtime: Path) -> None:
    """As pods start it: the text itself as the command, isolated, without site packages."""
    pod = fabric.sandbox()
    # A network that refuses at once, where the others here stay silent.
    pod.admit(deny="reject")
    text = (runtime / "entry_gate.py").read_text()
    log = fabric.folder / f"gate-{pod.number}.log"
    command = ["python3", "-I", "-S", "-c", text]
    tree = fabric.keep(pod.start(command, log, gate_environment(fabric)))
    assert tree.wait(30) == 0, tree.output
