"""Starts of a pod whose filter comes late: with the entry gate before its program, or without."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .fabric import CANARY, ALLOWED_TARGET, RUNTIME, Fabric, Pod

MAIN = Path(__file__).parent / "main_program.py"


@dataclass(frozen=True)
class Start:
    """What became of one."""

    delay: float
    """Seconds after which the filter came."""
    code: int
    gate: dict[str, Any]
    leaked: bool
    """Whether anything of the main program arrived at the canary, or it was answered there."""
    served: bool
    """Whether the main program reached the proxy."""
    seconds: float = 0.0
    """How long the gate took, with the start of its interpreter."""
    closed: float = 0.0
    """Seconds after which the filter was really in place: later than `delay` on a busy machine."""


def gate_environment(fabric: Fabric) -> dict[str, str]:
    proxy = fabric.proxy.v4
    return {
        "CANARY": f"{proxy}:{CANARY}",
        "CONTROL": f"{proxy}:{ALLOWED_TARGET}",
        "PROXY": f"{proxy}:{ALLOWED_TARGET}",
        "TIMEOUT_SECONDS": "60",
        "QUIET_SECONDS": "1",
    }


def starts(fabric: Fabric, *, delays: Sequence[float], count: int, gate: bool) -> list[Start]:
    """So many starts for each delay, all at once, each in a pod of its own."""
    return starts_in(
        [(fabric.sandbox(), delay) for delay in delays for _ in range(count)], gate=gate
    )


def starts_in(pods: Sequence[tuple[Pod, float]], *, gate: bool) -> list[Start]:
    """One start in each pod, with the delay of its filter."""
    with ThreadPoolExecutor(len(pods)) as pool:
        return list(pool.map(lambda pair: start(*pair, gate=gate), pods))


def start(pod: Pod, delay: float, *, gate: bool) -> Start:
    """The gate and then the program, as kubelet would start init and main container."""
    fabric = pod.fabric
    run = f"start-{pod.number}-{time.monotonic_ns()}"
    log = fabric.folder / f"{run}.log"
    environment = {**gate_environment(fabric), "RUN": run}
    python = [sys.executable, "-S", "-B"]
    pod.open()
    began = time.monotonic()
    closed: list[float] = []

    def close() -> None:
        pod.admit()
        closed.append(time.monotonic() - began)

    timer = threading.Timer(delay, close)
    timer.start()
    result: dict[str, Any] = {}
    code = 0
    if gate:
        first = pod.start([*python, str(RUNTIME / "entry_gate.py")], log, environment)
        code = first.wait(90)
        result = json.loads(first.output)
        first.kill()
    seconds = time.monotonic() - began
    main: dict[str, Any] = {}
    if code == 0:
        second = pod.start([*python, str(MAIN)], fabric.folder / f"{run}-main.log", environment)
        second.wait(90)
        main = json.loads(second.output)
        second.kill()
    timer.join()
    leaked = bool(main.get("answered")) or bool(fabric.ask("facts", run)["arrived"])
    return Start(delay, code, result, leaked, main.get("served", False), seconds, *closed)
