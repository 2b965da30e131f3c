"""Shows that the policy is served: waits for every rollout server, then asks each for one completion.

The agent loops call the rollout servers as this does. An answer counts only with every sampled
token's id and log-probability: training needs both, and a server without them looks healthy until
the first update. Where agents go through LiteLLM, this then goes their way as well. Standard
library only.

Environment: that of discover_rollouts.py but ROLLOUT_TABLE, and
    MODEL                   name under which the servers serve the policy
    ANSWER_SECONDS          optional, 300: how long what accepts connections may fail to answer
    PROXY_URL               optional: address of LiteLLM. With it
    SANDBOX_API_KEY         key of the sandboxes
    TRAJECTORIES_DIRECTORY  directory of the trials, in which the recorder writes

A run that has ended well has been served, and nothing is left to ask.

Exit codes: those of discover_rollouts.py, and
    7    a server, or LiteLLM, does not answer a completion
    8    an answer, or its record, is without the tokens' ids or log-probabilities
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import completion
import discover_rollouts
import pod
import sampled
from check_proxy import RECORD_SECONDS, SURFACES, NoRecord, ProxyWay
from discover_rollouts import Discovery, Server
from http_client import NoAnswer
from pod import BadInput, GiveUp, Progress, say
from ray_jobs import RayJobsError


class Exit(IntEnum):
    SERVED = 0
    NO_COMPLETION = 7
    NOT_EXACT = 8


POLL_SECONDS = 5.0

Answer = TypeVar("Answer")


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
    client = completion.client_of(f"http://{server.authority}")
    answer = completion.complete(client, sampled.CHAT, request_for(model))
    try:
        [choice] = sampled.parse(answer.content)["choices"]
        found = sampled.Choice()
        found.keep(choice)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoAnswer(f"it answers, but not as vLLM: {error!r}") from None
    return found


def answer_or_end(discovery: Discovery, ask: Callable[[], Answer]) -> Answer:
    """What `ask` gives. Raises RunEnded as well: then no patience helps."""
    try:
        return ask()
    except NoAnswer:
        with suppress(RayJobsError):
            discovery.demand_run()
        raise


def patiently(who: str, ask: Callable[[], Answer], patience: float) -> Answer:
    until = time.monotonic() + patience
    progress = Progress()
    while True:
        try:
            return ask()
        except NoAnswer as error:
            left = until - time.monotonic()
            if left <= 0:
                raise GiveUp(
                    Exit.NO_COMPLETION,
                    f"{who} gives no completion: {error}",
                ) from None
            progress.say(f"{who} gives no completion yet: {error}", left)
            time.sleep(min(POLL_SECONDS, left))


def check() -> int:
    patience = pod.number("ANSWER_SECONDS", 300)
    model = pod.required("MODEL")
    proxy = proxy_from_environment(model)
    try:
        discovery = discover_rollouts.from_environment()
        check_servers(discovery, model, patience)
        if proxy is not None:
            check_proxy(discovery, proxy, patience)
    except discover_rollouts.RunEnded as error:
        if not error.end.succeeded:
            raise GiveUp(discover_rollouts.Exit.RUN_ENDED, str(error)) from None
        say(f"{error}: the policy is no longer served")
    return Exit.SERVED


def proxy_from_environment(model: str) -> ProxyWay | None:
    url = os.environ.get("PROXY_URL")
    if not url:
        return None
    key, trials = pod.required("SANDBOX_API_KEY"), pod.required("TRAJECTORIES_DIRECTORY")
    try:
        return ProxyWay(url, key, model, Path(trials))
    except ValueError as error:
        raise BadInput(f"PROXY_URL: {error}") from None


def check_servers(discovery: Discovery, model: str, patience: float) -> None:
    servers = discovery.servers()
    discovery.await_reach(servers, pod.number("REACH_SECONDS", 60))
    for server in servers:
        who = f"{server.name} at {server.authority}"
        ask = partial(complete, server, model)
        choice = patiently(who, partial(answer_or_end, discovery, ask), patience)
        if not choice.is_exact or not choice.token_ids:
            raise GiveUp(
                Exit.NOT_EXACT,
                f"{who} answers without token ids or without their "
                "log-probabilities, so no trial could be trained on: does the image have vLLM "
                "0.10.2 or newer?",
            )
        say(f"{who} sampled {len(choice.token_ids)} tokens")
    say(f"the policy is served by {len(servers)} rollout servers")


def check_proxy(discovery: Discovery, proxy: ProxyWay, patience: float) -> None:
    for surface in SURFACES:
        who = f"LiteLLM, by {surface}'s surface,"
        ask = partial(proxy.complete, surface)
        nonce = patiently(who, partial(answer_or_end, discovery, ask), patience)
        try:
            tokens = proxy.await_record(nonce, RECORD_SECONDS)
        except NoRecord as error:
            raise GiveUp(Exit.NOT_EXACT, f"{who} gave a completion, but {error}") from None
        say(f"through {surface}'s surface of LiteLLM {tokens} tokens were sampled and recorded")


if __name__ == "__main__":
    sys.exit(pod.run("check_policy", check))
