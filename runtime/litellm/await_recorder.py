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

import sys
import time
from enum import IntEnum

import pod
from http_client import HttpClient, NoAnswer
from pod import BadInput, GiveUp, Progress, say


class Exit(IntEnum):
    READY = 0
    NOT_READY = 3



POLL_SECONDS = 2.0


def why_not_ready(recorder: HttpClient) -> str | None:
    """None: it is ready."""
    try:
        answer = recorder.send("GET", "/ready")
        if answer.status != 200:
            return f"it answers {answer.status} {answer.reason}"
        return None if answer.json()["ready"] else "it says that it is not ready"
    except NoAnswer as error:
        return str(error)
    except (ValueError, TypeError, KeyError) as error:
        return f"it answers, but not as the recorder: {error!r}"


def wait() -> int:
    try:
        recorder = HttpClient(pod.required("RECORDER_URL"), timeout=10)
    except ValueError as error:
        raise BadInput(f"RECORDER_URL: {error}") from None
    timeout = pod.number("TIMEOUT_SECONDS")
    deadline = time.monotonic() + timeout
    progress = Progress()
    while reason := why_not_ready(recorder):
        left = deadline - time.monotonic()
        if left <= 0:
            raise GiveUp(
                Exit.NOT_READY,
                f"given up after {timeout:g} s: the recorder at {recorder.address} is not ready: {reason}. "
                "It starts when every rollout server answers; its init container "
                "discover-rollouts, in the training namespace, names those that are missing.",
            )
        progress.say(f"the recorder at {recorder.address} is not ready: {reason}", left)
        time.sleep(min(POLL_SECONDS, max(left, 0.1)))
    say("the recorder is ready")
    return Exit.READY


if __name__ == "__main__":
    sys.exit(pod.run("await_recorder", wait))
