"""One completion, asked of a rollout server or of LiteLLM. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from http_client import Answer, HttpClient, NoAnswer

COMPLETION_SECONDS = 120.0
"""The first one may compile kernels."""


def client_of(address: str) -> HttpClient:
    """Raises ValueError for what is no HTTP address."""
    return HttpClient(address, timeout=COMPLETION_SECONDS)


def complete(
    client: HttpClient,
    path: str,
    body: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The answer, whose status is 200. Raises NoAnswer."""
    sent = {"content-type": "application/json", **(headers or {})}
    answer = client.send("POST", path, headers=sent, body=body)
    if answer.status != 200:
        raise NoAnswer(f"it answers {answer.status}: {answer.text[:300]}")
    return answer
