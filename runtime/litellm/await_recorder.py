"""Waits until the recorder is ready: init container of LiteLLM, so that it starts when the policy is
served and not before. Standard library only.

Environment:
    RECORDER_URL     base URL of the recorder
    TIMEOUT_SECONDS  how long to wait

Exit codes:
    0    it is ready
    2    the environment cannot be used
    3    it is not, within the time
    143  SIGTERM
"""

from __future__ import annotations

import json
import signal
import sys
import time
import urllib.request
from http.client import HTTPException
from typing import NoReturn

import pod
from pod import BadInput, GiveUp, Progress, say

READY, _, BAD_INPUT, NOT_READY = range(4)

POLL_SECONDS = 2.0


def why_not_ready(url: str) -> str | None:
    """None: it is ready."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/ready", timeout=10) as answer:
            return None if json.load(answer)["ready"] else "it says that it is not ready"
    except (OSError, HTTPException, ValueError, TypeError, KeyError) as error:
        return str(getattr(error, "reason", None) or error or type(error).__name__)


def wait() -> int:
    url = pod.required("RECORDER_URL").rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise BadInput(f"RECORDER_URL: {url!r} is not an HTTP address")
    timeout = pod.number("TIMEOUT_SECONDS")
    deadline = time.monotonic() + timeout
    progress = Progress()
    while reason := why_not_ready(url):
        left = deadline - time.monotonic()
        if left <= 0:
            raise GiveUp(
                NOT_READY,
                f"given up after {timeout:g} s: the recorder at {url} is not ready: {reason}. "
                "It starts when every rollout server answers; its init container "
                "discover-rollouts, in the training namespace, names those that are missing.",
            )
        progress.say(f"the recorder at {url} is not ready: {reason}", left)
        time.sleep(min(POLL_SECONDS, max(left, 0.1)))
    say("the recorder is ready")
    return READY


def main() -> int:
    def terminate(number: int, _: object) -> NoReturn:
        raise GiveUp(128 + number, "ended by a signal")

    signal.signal(signal.SIGTERM, terminate)
    try:
        return wait()
    except GiveUp as end:
        say(f"await_recorder: {end}")
        return end.code
    except BadInput as error:
        say(f"await_recorder: {error}")
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
