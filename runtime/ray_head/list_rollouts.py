"""Lists the rollout servers that verl has registered in Ray. Runs on the Ray head, as a Ray job.

    list_rollouts.py --namespace NAMESPACE --expected N --wait SECONDS [--address HOST:PORT]

verl's vLLM servers are Ray actors named `vllm_server_<replica>_0` (`_0`: the node that serves; the
other nodes of a replica only compute). Their namespace is the run's, because the Plan sets it; verl
itself gives none, and Ray would make up another for each run.

A registered server is not yet a ready one: the name is there many minutes before the address, and
until then the address method raises, or waits. So this waits for `--expected` addresses, looks at
every number instead of stopping at the first gap, and says for each missing server why.

Lines with results begin with RESULT_PREFIX, because Ray writes into the same output; the last one
counts. They hold JSON:
    servers     [{"index", "host", "port"}], the servers that gave their address
    missing     {index: reason}
    problem     null, or why waiting longer is of no use

Exit codes:
    0  exactly the expected servers are ready
    2  wrong arguments
    3  some are still missing after --wait seconds
    4  Ray does not answer, or refuses the token
    5  more servers than expected, or one number in two namespaces: two runs share the cluster
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    READY = 0
    MISSING = 3
    RAY_SILENT = 4
    AMBIGUOUS = 5


RESULT_PREFIX = "swe-rl-rollouts: "

NAME = re.compile(r"vllm_server_(\d+)_0")
"""Anchored by fullmatch: judge models are `vllm_server_reward_0_0` and the like."""

ADDRESS_SECONDS = 5.0
"""How long one server may take to say its address; while its engine loads it does not answer."""

CONNECT_SECONDS = 30.0
"""How long Ray may take to accept this driver. `ray.init` itself has no limit."""

LOOK_SECONDS = 2.0


@dataclass
class Found:
    """What one look at the cluster has shown."""

    servers: dict[int, tuple[str, int]] = field(default_factory=dict)
    missing: dict[int, str] = field(default_factory=dict)
    problem: str | None = None

    def line(self) -> str:
        servers = [
            {"index": index, "host": host, "port": port}
            for index, (host, port) in sorted(self.servers.items())
        ]
        result = {"servers": servers, "missing": self.missing, "problem": self.problem}
        return RESULT_PREFIX + json.dumps(result)


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    deadline = time.monotonic() + options.wait
    reason = _connect(options.address)
    if reason:
        print(Found(missing=_all_missing(options.expected, reason)).line(), flush=True)
        return Exit.RAY_SILENT
    shown = ""
    while True:
        found = look(options.namespace, options.expected)
        line = found.line()
        if line != shown:
            print(line, flush=True)
            shown = line
        if found.problem:
            return Exit.AMBIGUOUS
        if not found.missing:
            return Exit.READY
        if time.monotonic() >= deadline:
            return Exit.MISSING
        time.sleep(LOOK_SECONDS)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Lists verl's rollout servers.")
    parser.add_argument("--namespace", required=True, help="Ray namespace of the run")
    parser.add_argument("--expected", required=True, type=int, help="number of servers")
    parser.add_argument("--wait", required=True, type=float, help="seconds to wait for them")
    parser.add_argument(
        "--address",
        default=os.environ.get("RAY_ADDRESS"),
        help="control store of Ray; default: RAY_ADDRESS, which Ray sets for its jobs",
    )
    options = parser.parse_args(arguments)
    if options.expected < 1:
        parser.error("--expected must be at least 1")
    if not re.fullmatch(r".+:\d+", options.address or ""):
        parser.error("no --address HOST:PORT, and RAY_ADDRESS has none either")
    return options


def _all_missing(expected: int, reason: str) -> dict[int, str]:
    return dict.fromkeys(range(expected), reason)


def _connect(address: str) -> str | None:
    """Connects to Ray. Returns why that failed, if it did."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        return f"Ray does not answer at {address}: {error}"
    # Against a peer that accepts and stays silent, ray.init blocks for ever in its own C++ code.
    watchdog = threading.Timer(CONNECT_SECONDS, _leave, [address])
    watchdog.daemon = True
    watchdog.start()
    try:
        import ray

        ray.init(address=address, namespace="swe-rl-discovery", log_to_driver=False)
    except Exception as error:
        return f"Ray at {address} does not accept this driver (wrong token?): {_brief(error)}"
    finally:
        watchdog.cancel()
    return None


def _leave(address: str) -> None:
    print(f"Ray at {address} has not answered for {CONNECT_SECONDS:g} s", flush=True)
    os._exit(Exit.RAY_SILENT)


def look(namespace: str, expected: int) -> Found:
    """Asks every registered rollout server for its address."""
    import ray

    spaces: dict[int, list[str]] = {}
    for actor in ray.util.list_named_actors(all_namespaces=True):
        match = NAME.fullmatch(actor["name"])
        if match:
            spaces.setdefault(int(match[1]), []).append(actor["namespace"])
    here = sorted(index for index, names in spaces.items() if namespace in names)
    found = Found(problem=_ambiguity(spaces, here, expected))
    if found.problem:
        return found
    # All are asked before any is waited for, so that slow ones share one limit.
    answers: dict[int, Any] = {}
    for index in here:
        try:
            actor = ray.get_actor(f"vllm_server_{index}_0", namespace=namespace)
            answers[index] = actor.get_server_address.remote()
        except (ValueError, AttributeError) as error:
            found.missing[index] = f"registered, but cannot be asked: {_brief(error)}"
    until = time.monotonic() + ADDRESS_SECONDS
    for index, answer in answers.items():
        try:
            host, port = ray.get(answer, timeout=max(0.0, until - time.monotonic()))
            found.servers[index] = (str(host), int(port))
        except ray.exceptions.GetTimeoutError:
            found.missing[index] = "registered, but does not answer yet: its engine is loading"
        except Exception as error:
            found.missing[index] = f"registered, but not ready: {_brief(error)}"
    for index in range(expected):
        if index not in here:
            found.missing[index] = _absence(spaces.get(index))
    return found


def _ambiguity(spaces: dict[int, list[str]], here: list[int], expected: int) -> str | None:
    twice = [index for index in here if len(spaces[index]) > 1]
    if twice:
        names = ", ".join(sorted(spaces[twice[0]]))
        return (
            f"vllm_server_{twice[0]}_0 is registered in several namespaces ({names}): "
            "two runs share this cluster"
        )
    surplus = [index for index in here if index >= expected]
    if surplus:
        names = ", ".join(f"vllm_server_{index}_0" for index in surplus)
        return (
            f"{len(here)} rollout servers are registered, but {expected} were promised; "
            f"too many: {names}"
        )
    return None


def _absence(elsewhere: list[str] | None) -> str:
    if elsewhere:
        return f"not registered, except in namespace {elsewhere[0]}, which is another run's"
    return "not registered"


def _brief(error: Exception) -> str:
    """The last line of an error's text; Ray puts the remote traceback before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
