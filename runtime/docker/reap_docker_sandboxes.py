"""Ends sandboxes that outstay their deadline, as Kubernetes does for pods. Standard library only.

Every sandbox of a stack carries the labels `swe-rl.dev/stack`, `swe-rl.dev/role=sandbox` and
`swe-rl.dev/deadline-seconds`. A trial that was killed leaves its container behind; without this it
would hold memory and an address of the network until somebody looks.

Environment:
    DAEMON_SOCKET  the daemon's socket
    STACK          name of the stack whose sandboxes these are
    PAUSE_SECONDS  optional, 30: between two looks
    LOOKS          optional, 0: how many; 0 is no end

Exit codes:
    0    LOOKS looks were taken
    2    the environment cannot be used
    143  SIGTERM
"""

from __future__ import annotations

import http.client
import json
import signal
import socket
import sys
import time
from typing import Any, NoReturn
from urllib.parse import quote

import pod
from pod import BadInput, GiveUp, Progress, say

DONE, _, BAD_INPUT = range(3)

GRACE_SECONDS = 10


class Daemon(http.client.HTTPConnection):
    """HTTP over the daemon's socket."""

    def __init__(self, path: str, timeout: float = 30) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(path: str, method: str, url: str) -> tuple[int, Any]:
    connection = Daemon(path)
    try:
        connection.request(method, url)
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if body.strip() else None
    finally:
        connection.close()


def overdue(container: dict[str, Any], now: float) -> bool:
    """Whether a sandbox's time is up. One without a readable deadline is left alone."""
    try:
        deadline = float(container["Labels"]["swe-rl.dev/deadline-seconds"])
        return now - float(container["Created"]) > deadline
    except (KeyError, TypeError, ValueError):
        return False


def look(path: str, stack: str) -> int:
    """Ends what is overdue; returns how many that were."""
    labels = [f"swe-rl.dev/stack={stack}", "swe-rl.dev/role=sandbox"]
    filters = quote(json.dumps({"label": labels}))
    status, found = ask(path, "GET", f"/containers/json?all=1&filters={filters}")
    if status != 200 or not isinstance(found, list):
        raise OSError(f"the daemon answered {status}")
    ended = 0
    for container in found:
        if not overdue(container, time.time()):
            continue
        name = "".join(container.get("Names", [])[:1]).lstrip("/") or container["Id"][:12]
        ask(path, "POST", f"/containers/{container['Id']}/stop?t={GRACE_SECONDS}")
        status, _ = ask(path, "DELETE", f"/containers/{container['Id']}?force=1&v=1")
        gone = status in (204, 404)
        say(f"{name} is overdue: {'removed' if gone else f'not removed, the daemon says {status}'}")
        ended += gone
    return ended


def main() -> int:
    def terminate(number: int, _: object) -> NoReturn:
        raise GiveUp(128 + number, "ended by a signal")

    signal.signal(signal.SIGTERM, terminate)
    progress = Progress()
    try:
        path, stack = pod.required("DAEMON_SOCKET"), pod.required("STACK")
        pause, looks = pod.number("PAUSE_SECONDS", 30), pod.number("LOOKS", 0)
        taken = 0
        while True:
            try:
                look(path, stack)
            except (OSError, http.client.HTTPException, ValueError) as error:
                progress.say(f"the daemon cannot be asked: {error}")
            taken += 1
            if looks and taken >= looks:
                return DONE
            time.sleep(pause)
    except GiveUp as end:
        say(f"reap_docker_sandboxes: {end}")
        return end.code
    except BadInput as error:
        say(f"reap_docker_sandboxes: {error}")
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
