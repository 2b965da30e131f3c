"""Who may call what on the LiteLLM proxy (`general_settings.custom_auth: sandbox_auth.check`).

Two keys, both from the environment:
    LITELLM_MASTER_KEY  opens everything; it never leaves the proxy's namespace
    SANDBOX_API_KEY     the key of untrusted code; opens exactly OPEN_TO_SANDBOXES

A key of one trial, `sk-<trial>.<mac>`, opens the same; the mac is made with SANDBOX_API_KEY, so who
has it calls in the name of that trial and of no other (training/src/swe_rl_training/trial_key.py).

LiteLLM itself knows a second key only with a database, and it asks a custom_auth only on the routes
that it guards. LiteLLM 1.106.2 answers 46 others without any key (API documentation, dashboard,
discovery and log-in routes) and loads some 200 MB of code at the first request to some of them. So
importing this module also puts a Gate in front of the whole application, which answers before
LiteLLM sees a request:

    no key, or an unknown one           401
    the sandboxes' key, another route   403
    health probes                       open, as the kubelet has no key

The path is compared as the router will see it, decoded and without the server's root path, and as a
whole: what is spelled otherwise (case, doubled or trailing slashes, dot segments) is another route.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Literal

from fastapi import Request
from litellm.proxy._types import LitellmUserRoles, ProxyException, UserAPIKeyAuth
from litellm.proxy.proxy_server import app

TRIAL = "swe-rl-trial"
"""Where call_headers.py finds the trial of a key."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Caller = Literal["administrator", "sandbox"]

OPEN_TO_SANDBOXES = {
    "/v1/messages": "POST",
    "/v1/messages/count_tokens": "POST",
    "/v1/chat/completions": "POST",
    "/chat/completions": "POST",
    "/v1/completions": "POST",
    "/v1/models": "GET",
    "/models": "GET",
}
"""What agents need, by scaffold: Anthropic's surface, OpenAI's, and the list of models."""

OPEN_TO_ALL = {
    "/health/liveliness": "GET",
    "/health/liveness": "GET",
    "/health/readiness": "GET",
}
"""Probes. Not `/health`: it sends a completion to every rollout server."""


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _key_from_environment(name: str) -> bytes:
    value = os.environ.get(name, "")
    if not value:
        raise RuntimeError(f"{name} is not set; without it the proxy would open to an empty key")
    return _digest(value.encode())


_keys: dict[Caller, bytes] = {
    "administrator": _key_from_environment("LITELLM_MASTER_KEY"),
    "sandbox": _key_from_environment("SANDBOX_API_KEY"),
}
if _keys["administrator"] == _keys["sandbox"]:
    raise RuntimeError("LITELLM_MASTER_KEY and SANDBOX_API_KEY are the same key")


_sandbox_key = os.environ["SANDBOX_API_KEY"].encode()


def caller_of(key: bytes) -> Caller | None:
    """Whose key this is. Takes the same time for every wrong key, whatever bytes it has."""
    digest = _digest(key)
    matches = [caller for caller, own in _keys.items() if hmac.compare_digest(digest, own)]
    if matches:
        return matches[0]
    return None if trial_of(key) is None else "sandbox"


def trial_of(key: bytes) -> str | None:
    """The trial whose key this is; None: it is no trial's."""
    name, _, mac = key.removeprefix(b"sk-").rpartition(b".")
    own = hmac.digest(_sandbox_key, b"trial " + name, hashlib.sha256).hex().encode()
    if not hmac.compare_digest(own, mac):
        return None
    return name.decode()


def verdict(method: str, path: str, caller: Caller | None) -> int:
    """HTTP status for a request: 200 lets it pass."""
    if OPEN_TO_ALL.get(path) == method or caller == "administrator":
        return 200
    if caller is None:
        return 401
    return 200 if OPEN_TO_SANDBOXES.get(path) == method else 403


def path_of(scope: Scope) -> str:
    """The path below the server's root path, as the router matches it."""
    path, root = str(scope["path"]), str(scope.get("app_root_path", scope.get("root_path", "")))
    root = root.rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


class Gate:
    """ASGI application in front of LiteLLM that lets pass what `verdict` allows."""

    def __init__(self, application: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        callers = {caller_of(key) for key in _presented_keys(scope["headers"])}
        caller: Caller | None = next((c for c in _keys if c in callers), None)
        status = verdict(scope.get("method", "WEBSOCKET"), path_of(scope), caller)
        if status == 200:
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _refuse(status, send)


def _presented_keys(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[bytes]:
    """Keys as agents send them: `Authorization: Bearer KEY`, or Anthropic's `x-api-key: KEY`."""
    for name, value in headers:
        if name.lower() == b"authorization":
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer":
                yield key.strip()
        elif name.lower() == b"x-api-key":
            yield value.strip()


_refusals = {
    401: ("authentication_error", "unknown or missing key"),
    403: ("permission_error", "this key does not open this route"),
}


async def _refuse(status: int, send: Send) -> None:
    kind, message = _refusals[status]
    error = {"type": kind, "message": message, "code": str(status)}
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def check(request: Request, api_key: str) -> UserAPIKeyAuth:
    """LiteLLM's custom_auth: the same decision once more, for the key that LiteLLM has picked."""
    key = api_key.removeprefix("Bearer ").encode(errors="surrogateescape")
    caller = caller_of(key)
    status = verdict(request.method, path_of(request.scope), caller)
    if status != 200:
        kind, message = _refusals[status]
        raise ProxyException(message=message, type=kind, param="api_key", code=status)
    role = (
        LitellmUserRoles.PROXY_ADMIN
        if caller == "administrator"
        else LitellmUserRoles.INTERNAL_USER
    )
    trial = trial_of(key)
    metadata = {} if trial is None else {TRIAL: trial}
    return UserAPIKeyAuth(api_key=caller, user_role=role, metadata=metadata)


def _put_gate_in_front() -> None:
    # LiteLLM loads its configuration, and with it this module, while the application starts, when
    # Starlette refuses add_middleware. Its one entry to everything behind can still be wrapped.
    if app.middleware_stack is None:
        app.middleware_stack = app.build_middleware_stack()
    if not isinstance(app.middleware_stack, Gate):
        app.middleware_stack = Gate(app.middleware_stack)


_put_gate_in_front()
