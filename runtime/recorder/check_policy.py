"""Shows that the policy is served: waits for every rollout server, then asks each for one completion.

For stacks without LiteLLM and recorder, whose agents reach the policy through the agent loops. The
loops call the rollout servers as this does. An answer counts only with every sampled token's id and
log-probability: training needs both, and a server without them looks healthy until the first
update. Standard library only.

Environment: that of discover_rollouts.py but ROLLOUT_TABLE, and
    MODEL           name under which the servers serve the policy
    ANSWER_SECONDS  optional, 300: how long a server that accepts connections may fail to answer

Exit codes: those of discover_rollouts.py, and
    7    a server does not answer a completion
    8    a server answers without the tokens' ids or log-probabilities
"""

from __future__ import annotations

import sys
import time
from enum import IntEnum
from typing import Any

import discover_rollouts
import pod
import sampled
from discover_rollouts import Server
from http_client import HttpClient, NoAnswer
from pod import GiveUp, Progress, say


class Exit(IntEnum):
    SERVED = 0
    NO_COMPLETION = 7
    NOT_EXACT = 8


POLL_SECONDS = 5.0

COMPLETION_SECONDS = 120.0
"""The first one may compile kernels."""


def request_for(model: str) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": "Say one word."}],
        "max_tokens": 8,
        "temperature": 1,
        "logprobs": True,
        "return_token_ids": True,
    }


def complete(server: Server, model: str) -> sampled.Choice:
    """One completion. Raises NoAnswer, also for answers that are none."""
    client = HttpClient(f"http://{server.authority}", timeout=COMPLETION_SECONDS)
    headers = {"content-type": "application/json"}
    answer = client.send("POST", sampled.CHAT, headers=headers, body=request_for(model))
    if answer.status != 200:
        raise NoAnswer(f"it answers {answer.status}: {answer.text[:300]}")
    try:
        [choice] = sampled.parse(answer.content)["choices"]
        found = sampled.Choice()
        found.keep(choice)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoAnswer(f"it answers, but not as vLLM: {error!r}") from None
    return found


def patiently(server: Server, model: str, patience: float) -> sampled.Choice:
    until = time.monotonic() + patience
    progress = Progress()
    while True:
        try:
            return complete(server, model)
        except NoAnswer as error:
            left = until - time.monotonic()
            if left <= 0:
                raise GiveUp(
                    Exit.NO_COMPLETION,
                    f"{server.name} at {server.authority} gives no completion of {model}: {error}",
                ) from None
            progress.say(f"{server.name} gives no completion yet: {error}", left)
            time.sleep(min(POLL_SECONDS, left))


def check() -> int:
    model = pod.required("MODEL")
    patience = pod.number("ANSWER_SECONDS", 300)
    discovery = discover_rollouts.from_environment()
    servers = discovery.servers()
    discovery.await_reach(servers, pod.number("REACH_SECONDS", 60))
    for server in servers:
        choice = patiently(server, model, patience)
        if not choice.is_exact or not choice.token_ids:
            raise GiveUp(
                Exit.NOT_EXACT,
                f"{server.name} at {server.authority} answers without token ids or without their "
                "log-probabilities, so no trial could be trained on: does the image have vLLM "
                "0.10.2 or newer?",
            )
        say(f"{server.name} at {server.authority} sampled {len(choice.token_ids)} tokens")
    say(f"the policy is served by {len(servers)} rollout servers")
    return Exit.SERVED


if __name__ == "__main__":
    sys.exit(pod.run("check_policy", check))
