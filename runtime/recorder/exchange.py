"""One call on its way through the recorder, and the line that is written of it."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any, Literal

import aiohttp
from aiohttp import web
from rollout_routes import Call, Route, Routes
from sampled import Sampled

Outcome = Literal["complete", "aborted by client", "failed", "refused"]
"""`refused`: no server was reached, so there is nothing to record."""

STREAM = "text/event-stream"


class Cut(ConnectionError):
    """The answer has begun and cannot be completed, so the client's connection is closed."""


class _ClientGone(Exception):
    pass


def refusal(status: int, message: str) -> web.Response:
    """An error as OpenAI's surface has it."""
    error = {"message": message, "type": "rollout_server_error", "code": status}
    return web.json_response({"error": error}, status=status)


class Exchange:
    """A call to one rollout server. `outcome` counts once `run` has ended."""

    def __init__(
        self, path: str, body: dict[str, Any], route: Route, most_tokens: int = 0
    ) -> None:
        self.sampled = Sampled(path, body, most_tokens)
        self.outcome: Outcome = "failed"
        self._path = path
        self._body = body
        self._route = route
        self._server = route.server
        self._id = uuid.uuid4().hex
        self._started = time.time()
        self._first_byte: float | None = None
        self._ended: float | None = None
        self._status: int | None = None
        self._error: str | None = None
        self._has_begun = False
        """Whether the client has got something of the answer."""

    def record(self, marks: dict[str, Any]) -> dict[str, Any]:
        """The line of the file. Times are Unix times in seconds."""
        return {
            "id": self._id,
            **marks,
            "started": self._started,
            "first_byte": self._first_byte,
            "ended": self._ended,
            "server": {"index": self._server.index, "address": self._server.authority},
            "path": self._path,
            "model": self._body.get("model"),
            "outcome": self.outcome,
            "error": self._error,
            "status": self._status,
            "request_body": self._body,
            **self.sampled.as_json(),
        }

    async def run(
        self, request: web.Request, client: aiohttp.ClientSession, routes: Routes
    ) -> web.StreamResponse:
        """Passes the call on, and the answer back. Raises Cut and CancelledError."""
        task = asyncio.current_task()
        assert task is not None
        call = Call(task)
        self._route.calls.add(call)
        try:
            return await self._pass_on(request, client, call)
        except asyncio.CancelledError:
            if call.why_ended is not None and not self.sampled.is_whole:
                return self._failed(503, call.why_ended)
            self._leave()
            raise
        except _ClientGone:
            self._leave()
            raise Cut from None
        except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError) as error:
            why = brief(error)
            routes.report_dead(self._route, self._server, why)
            self.outcome = "refused"
            return refusal(503, f"{self._server.name} is down: {why}")
        except (aiohttp.ClientError, OSError) as error:
            return self._failed(502, f"{self._server.name} broke off: {brief(error)}")
        finally:
            self._ended = time.time()
            self._route.calls.discard(call)

    async def _pass_on(
        self, request: web.Request, client: aiohttp.ClientSession, call: Call
    ) -> web.StreamResponse:
        url = f"http://{self._server.authority}{self._path}"
        # None of the client's headers: vLLM obeys some.
        async with client.post(url, json=self.sampled.request) as answer:
            call.heard = time.monotonic()
            self._status = answer.status
            if answer.status != 200:
                content = await answer.read()
                if asks_too_much(answer.status, content) and self.sampled.lift_bound():
                    return await self._pass_on(request, client, call)
                return self._pass_error(answer, content)
            if answer.content_type != STREAM:
                return self._pass_whole(await answer.read())
            return await self._pass_stream(request, answer, call)

    def _pass_error(self, answer: aiohttp.ClientResponse, content: bytes) -> web.Response:
        self._error = content[:2000].decode(errors="replace")
        return web.Response(body=content, status=answer.status, content_type=answer.content_type)

    def _pass_whole(self, content: bytes) -> web.Response:
        try:
            passed = self.sampled.whole(content)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            return self._failed(502, f"{self._server.name} did not answer as vLLM does: {error}")
        self._complete()
        return web.Response(body=passed, content_type="application/json")

    async def _pass_stream(
        self, request: web.Request, answer: aiohttp.ClientResponse, call: Call
    ) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": answer.headers["Content-Type"], "Cache-Control": "no-cache"}
        )
        async for data in self._pieces(answer):
            call.heard = time.monotonic()
            self._first_byte = self._first_byte or time.time()
            passed = self.sampled.stream(data)
            if not passed:
                continue
            try:
                # Only now, so that a server which dies before its first event can be replaced.
                if not response.prepared:
                    self._has_begun = True
                    await response.prepare(request)
                await response.write(passed)
            except (ConnectionError, aiohttp.ClientError):
                raise _ClientGone from None
        if not self.sampled.is_whole:
            return self._failed(502, f"{self._server.name} broke off without a last event")
        self._complete()
        return response

    async def _pieces(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        try:
            async for data in answer.content.iter_any():
                yield data
        except (aiohttp.ClientError, OSError):
            if not self.sampled.is_whole:
                raise

    def _complete(self) -> None:
        self.sampled.end()
        self._error = self.sampled.error
        self.outcome = "failed" if self._error else "complete"

    def _leave(self) -> None:
        """The client has gone; some do as soon as they have read the last event."""
        if self.sampled.is_whole:
            self._complete()
        else:
            self.outcome = "aborted by client"

    def _failed(self, status: int, why: str) -> web.Response:
        self._error = why
        if self._has_begun:
            raise Cut
        return refusal(status, why)


def asks_too_much(status: int, content: bytes) -> bool:
    """Whether vLLM refused since prompt and bound together exceed the window, or the prompt alone."""
    return status == 400 and b"maximum context length" in content


def brief(error: BaseException) -> str:
    return str(error) or type(error).__name__
