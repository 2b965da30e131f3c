"""What the entry gate holds back, and what it costs. As root, with the Python of the runtime tests:

    sudo ~/.cache/swe-rl/python/*/venv/bin/python bench/entry_gate.py

Starts 200 pods for each of three delays of the filter, with the gate and without; then 500 gates at
once. Network namespaces stand for pods, nftables for the network plugin. Prints Markdown.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "test/runtime"))

from support.fabric import Fabric, Pod  # noqa: E402
from support.gated import Start, gate_environment, starts_in  # noqa: E402
from support.network import enter_private_network  # noqa: E402

DELAYS = (0.2, 1.0, 5.0)
STARTS = int(os.environ.get("STARTS", "200"))
AT_ONCE = 20
PARALLEL = int(os.environ.get("PARALLEL", "500"))


def rounds(pods: list[Pod], delay: float, *, gate: bool) -> list[Start]:
    found: list[Start] = []
    while len(found) < STARTS:
        batch = pods[: STARTS - len(found)]
        found += starts_in([(pod, delay) for pod in batch], gate=gate)
    return found


def cost(pods: list[Pod], deny: str) -> str:
    """CPU of many gates at once, whose pods are closed from the start."""
    for pod in pods:
        pod.admit(deny=deny)
    environment = {**os.environ, **gate_environment(pods[0].fabric)}
    text = (ROOT / "runtime/egress_proof/entry_gate.py").read_text()
    python = [os.path.realpath(sys.executable), "-I", "-S", "-c", text]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    gates = [
        subprocess.Popen(
            [*pods[number % len(pods)].enter, *python],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PARALLEL)
    ]
    outputs = [json.loads(gate.communicate()[0]) for gate in gates]
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    seconds = sorted(output["seconds"] for output in outputs)
    closed = sum(output["gate"] == "closed" for output in outputs)
    return (
        f"| {deny} | {closed} of {PARALLEL} | {statistics.median(seconds):.1f} | "
        f"{seconds[int(len(seconds) * 0.99)]:.1f} | {cpu / PARALLEL:.2f} | {cpu:.0f} | {wall:.0f} |"
    )


def main() -> None:
    if reason := enter_private_network():
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as folder:
        fabric = Fabric(Path(folder))
        try:
            pods = [fabric.sandbox() for _ in range(AT_ONCE)]
            print("| Filter comes after | Gate | Starts | Leaked | Median s until the agent starts |")
            print("|--:|---|--:|--:|--:|")
            for delay in DELAYS:
                for gate in (True, False):
                    found = rounds(pods, delay, gate=gate)
                    leaked = sum(start.leaked for start in found)
                    failed = sum(start.code != 0 or not start.served for start in found)
                    wait = statistics.median(start.seconds for start in found)
                    note = f" ({failed} failed)" if failed else ""
                    print(
                        f"| {delay} s | {'yes' if gate else 'no'} | {len(found)}{note} | {leaked} | "
                        f"{wait:.1f} |",
                        flush=True,
                    )
            print("\n| Denies by | Closed | Median s | 99th percentile s | CPU s each | CPU s | Wall s |")
            print("|---|--:|--:|--:|--:|--:|--:|")
            for deny in ("drop", "reject"):
                print(cost(pods, deny), flush=True)
        finally:
            fabric.close()


if __name__ == "__main__":
    main()
