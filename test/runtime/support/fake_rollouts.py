"""Stands in for verl: a Ray driver with rollout servers as named actors, which die with it.

    fake_rollouts.py NAMESPACE SERVERS

SERVERS is JSON: a list of {"name", "address": [host, port], "once": file, "until_then": how}. An
actor is registered at once, as verl's is; it knows its address once that file exists. Until then
its address method raises as verl's does ("assertion"), or waits as while an engine loads
("silence").
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import ray

from support.cluster import ROLLOUT_RESOURCE


class Server:
    """What list_rollouts.py needs of verl's server."""

    def __init__(self, address: list[Any], once: str | None, until_then: str) -> None:
        self._address = tuple(address)
        self._once = once
        self._until_then = until_then

    def started(self) -> None:
        pass

    def get_server_address(self) -> tuple[Any, ...]:
        while self._once and not Path(self._once).exists():
            assert self._until_then == "silence", "http server is not launched, port is None"
            time.sleep(0.2)
        return self._address


def main(namespace: str, servers: list[dict[str, Any]]) -> None:
    ray.init(namespace=namespace, log_to_driver=False)
    remote: Any = ray.remote(num_cpus=0, resources={ROLLOUT_RESOURCE: 1})(Server)
    actors = [
        remote.options(name=server["name"]).remote(
            server["address"], server.get("once"), server.get("until_then", "assertion")
        )
        for server in servers
    ]
    ray.get([actor.started.remote() for actor in actors])
    print("registered", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
