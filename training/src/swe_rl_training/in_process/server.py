"""The HTTP server of one worker: every trial by its own key, on one port of a reserved range."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web
from litellm.exceptions import APIError, BadRequestError, UnsupportedParamsError

from . import surfaces
from .conversation import BadMessage
from .session import PromptTooLong, Refused, Session, Unavailable

logger = logging.getLogger(__name__)

PING_SECONDS = 10.0
"""A stream without an answer yet is kept open by a sign of life: agents give up after minutes of silence."""

MOST_BODY_BYTES = 64 * 2**20
"""A window of a million tokens as JSON, with room."""


class NoPort(Exception):
    """The whole range is taken."""


class PolicyServer:
    """Serves the sessions that are open, and answers everybody else with 401."""

    def __init__(self, host: str, ports: range) -> None:
        self._host = host
        self._ports = ports
        self._sessions: dict[str, Session] = {}
        self._running: dict[str, set[asyncio.Task[Any]]] = {}
        self._runner: web.AppRunner | None = None
        self._starting = asyncio.Lock()
        self.url = ""
        """Address as sandboxes reach it, once `start` has returned."""

    async def start(self) -> None:
        """Listens on the first free port, if it does not yet. Raises NoPort."""
        async with self._starting:
            if self._runner is not None:
                return
            surfaces.register()
            application = web.Application(client_max_size=MOST_BODY_BYTES)
            application.add_routes(
                [
                    web.post("/v1/chat/completions", self._chat),
                    web.post("/v1/messages", self._message),
                    web.post("/v1/messages/count_tokens", self._count),
                    web.get("/v1/models", self._models),
                ]
            )
            # An agent that hangs up wants no answer: its generation is given up.
            runner = web.AppRunner(application, handler_cancellation=True, access_log=None)
            await runner.setup()
            port = await self._listen(runner)
            self._runner = runner
            host = f"[{self._host}]" if ":" in self._host else self._host
            self.url = f"http://{host}:{port}"
            logger.info("serving the policy of this worker's trials on %s", self.url)

    async def _listen(self, runner: web.AppRunner) -> int:
        for port in self._ports:
            try:
                await web.TCPSite(runner, self._host, port).start()
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise
            return port
        await runner.cleanup()
        raise NoPort(
            f"no port of {self._ports[0]}-{self._ports[-1]} is free on {self._host} "
            "to serve the policy to this worker's trials"
        )

    def open(self, session: Session) -> str:
        """Serves a session from now on. The key that opens it."""
        key = f"sk-{secrets.token_urlsafe(32)}"
        self._sessions[key] = session
        self._running[key] = set()
        return key

    async def close(self, key: str) -> None:
        """Ends the calls that are still running; the key is worth nothing any more."""
        self._sessions.pop(key, None)
        running = self._running.pop(key, set())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _key_of(self, request: web.Request) -> str:
        given = request.headers.get("x-api-key") or request.headers.get("authorization", "")
        key = given.removeprefix("Bearer ").strip()
        if key not in self._sessions:
            raise web.HTTPUnauthorized(
                text=json.dumps(_openai_error("this key opens no trial", "authentication_error")),
                content_type="application/json",
            )
        return key

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, surfaces.chat_completion, _OpenAi())

    async def _message(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, surfaces.message, _Anthropic())

    async def _count(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, surfaces.count_tokens, _Anthropic())

    async def _models(self, request: web.Request) -> web.StreamResponse:
        self._key_of(request)
        return web.json_response({"object": "list", "data": [{"id": "policy", "object": "model"}]})

    async def _serve(
        self, request: web.Request, surface: Any, dialect: _OpenAi | _Anthropic
    ) -> web.StreamResponse:
        self._key_of(request)
        try:
            body = await request.json()
            if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
                raise ValueError
        except ValueError:
            return web.json_response(
                dialect.error(BadMessage("the body is no JSON object with messages")), status=400
            )
        # The trial may have ended while the body came.
        key = self._key_of(request)
        task = asyncio.current_task()
        assert task is not None
        session, running = self._sessions[key], self._running[key]
        running.add(task)
        try:
            answer = await surface(session, body)
            if isinstance(answer, Mapping):
                return web.json_response(answer)
            return await _stream(request, answer, dialect)
        except Exception as error:
            status = _status_of(error)
            if status == 500:
                logger.exception("a call of %s failed", session.trial)
            return web.json_response(dialect.error(error), status=status)
        finally:
            running.discard(task)


class _OpenAi:
    ping = b": waiting\n\n"
    end = b"data: [DONE]\n\n"

    def event(self, part: Any) -> bytes:
        return b"data: " + str(part).encode() + b"\n\n"

    def error(self, error: Exception) -> dict[str, Any]:
        kind = "invalid_request_error" if _status_of(error) == 400 else "server_error"
        code = "context_length_exceeded" if isinstance(error, PromptTooLong) else None
        return _openai_error(_said(error), kind, code)

    def error_event(self, error: Exception) -> bytes:
        return self.event(json.dumps(self.error(error)))


class _Anthropic:
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'
    end = b""

    def event(self, part: Any) -> bytes:
        return part if isinstance(part, bytes) else str(part).encode()

    def error(self, error: Exception) -> dict[str, Any]:
        kind = "invalid_request_error" if _status_of(error) == 400 else "overloaded_error"
        return {"type": "error", "error": {"type": kind, "message": _said(error)}}

    def error_event(self, error: Exception) -> bytes:
        return b"event: error\ndata: " + json.dumps(self.error(error)).encode() + b"\n\n"


async def _stream(
    request: web.Request, parts: AsyncIterator[Any], dialect: _OpenAi | _Anthropic
) -> web.StreamResponse:
    """Writes the parts as they come.

    What LiteLLM says before the policy has answered is held back until the first sign of life is due,
    so that a call that is refused is refused by its status. Raises what the parts raise until then.
    """
    response: web.StreamResponse | None = None
    held: list[bytes] = []
    pending: asyncio.Future[Any] = asyncio.ensure_future(anext(parts, None))
    try:
        while True:
            done, _ = await asyncio.wait({pending}, timeout=PING_SECONDS)
            if done:
                try:
                    part = pending.result()
                except Exception as error:
                    if response is None:
                        raise
                    await response.write(dialect.error_event(error))
                    return response
                if part is None:
                    break
                held.append(dialect.event(part))
                pending = asyncio.ensure_future(anext(parts, None))
                if response is None and len(held) < 2:
                    continue
            else:
                held.append(dialect.ping)
            if response is None:
                response = web.StreamResponse(
                    headers={"content-type": "text/event-stream", "cache-control": "no-cache"}
                )
                await response.prepare(request)
            await response.write(b"".join(held))
            held.clear()
        if response is None:
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
        await response.write(b"".join([*held, dialect.end]))
        return response
    finally:
        pending.cancel()


def _status_of(error: Exception) -> int:
    if isinstance(error, Unavailable):
        return 503
    if isinstance(error, BadMessage | Refused | BadRequestError | UnsupportedParamsError):
        return 400
    return 500


def _said(error: Exception) -> str:
    """Nothing of our own insides goes into a sandbox."""
    if isinstance(error, BadMessage | Refused | Unavailable):
        return str(error)
    if isinstance(error, APIError | BadRequestError):
        return error.message
    return "the call failed"


def _openai_error(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "code": code}}
