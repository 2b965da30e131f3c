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

import json
import sys
import time
from typing import Any
from urllib.parse import quote

import pod
from http_client import HttpClient, NoAnswer
from pod import Progress, say

GRACE_SECONDS = 10


def overdue(container: dict[str, Any], now: float) -> bool:
    """Whether a sandbox's time is up. One without a readable deadline is left alone."""
    try:
        deadline = float(container["Labels"]["swe-rl.dev/deadline-seconds"])
        return now - float(container["Created"]) > deadline
    except (KeyError, TypeError, ValueError):
        return False


def look(daemon: HttpClient, stack: str) -> int:
    """Ends what is overdue; returns how many that were. Raises NoAnswer, ValueError."""
    labels = [f"swe-rl.dev/stack={stack}", "swe-rl.dev/role=sandbox"]
    filters = quote(json.dumps({"label": labels}))
    answer = daemon.send("GET", f"/containers/json?all=1&filters={filters}")
    found = answer.json() if answer.status == 200 else None
    if not isinstance(found, list):
        raise ValueError(f"it answers {answer.status}")
    ended = 0
    for container in found:
        if not overdue(container, time.time()):
            continue
        name = "".join(container.get("Names", [])[:1]).lstrip("/") or container["Id"][:12]
        daemon.send("POST", f"/containers/{container['Id']}/stop?t={GRACE_SECONDS}")
        status = daemon.send("DELETE", f"/containers/{container['Id']}?force=1&v=1").status
        gone = status in (204, 404)
        say(f"{name} is overdue: {'removed' if gone else f'not removed, the daemon says {status}'}")
        ended += gone
    return ended


def keep_looking() -> int:
    progress = Progress()
    daemon = HttpClient(f"unix://{pod.required('DAEMON_SOCKET')}")
    stack = pod.required("STACK")
    pause, looks = pod.number("PAUSE_SECONDS", 30), pod.number("LOOKS", 0)
    taken = 0
    while True:
        try:
            look(daemon, stack)
        except (NoAnswer, ValueError) as error:
            progress.say(f"the daemon cannot be asked: {error}")
        taken += 1
        if looks and taken >= looks:
            return 0
        time.sleep(pause)


if __name__ == "__main__":
    sys.exit(pod.run("reap_docker_sandboxes", keep_looking))
