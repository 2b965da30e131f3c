"""Records every call between LiteLLM and verl's rollout servers, token by token.

A reverse proxy on the trusted side. LiteLLM's entries lead to `/servers/<i>/v1/...`; this passes a
call on to rollout server i, wherever that is by now, and bytes back as they come. It has vLLM give
the ids and log-probabilities of all tokens, keeps them, takes them out of the answer again, and
writes one line of JSON when the call has ended; a call that broke is written with what was sampled
until then. A call that reaches no server is refused with 503, so that LiteLLM repeats it, and only
counted. Needs aiohttp, which Ray's dashboard brings.

    POST /servers/<i>/v1/chat/completions, /servers/<i>/v1/completions
    GET  /servers/<i>/v1/models
    GET  /ready      200 once every promised server is known; the state of each, and counts
    GET  /healthz    200

Environment: that of discover_rollouts.py, and
    RECORDER_PORT           port to listen on
    TRAJECTORIES_DIRECTORY  directory of the trials
    MOST_CALL_TOKENS        optional: most tokens that one call may sample

Exit codes:
    0  SIGTERM; calls that still ran DRAIN_SECONDS later are recorded as far as they came
    2  the environment or the table cannot be used
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pod
from aiohttp import web
from discover_rollouts import from_environment, read_table
from exchange import Cut, Exchange, brief, refusal
from pod import BadInput, say
from rollout_routes import CONNECT_SECONDS, Route, Routes
from sampled import CHAT, COMPLETIONS, parse
from trajectories import UNATTRIBUTED, Trajectories, trial_of


MOST_CALLS = 2048
"""Calls at once; further ones are refused. A server decodes vllm.max_num_seqs of them, 96."""

LARGEST_REQUEST_BYTES = 16 * 2**20
"""A window of 131,072 tokens is about 1 MB of JSON; a sandbox could send more, and fill memory."""

DRAIN_SECONDS = 15.0

IDLE_SECONDS = 3600.0
"""How long an idle connection stays, so that it is LiteLLM that closes it and never both."""

CALL_HEADER = "x-swe-rl-call"
"""A mark that LiteLLM's retries of one call have in common; see call_headers.py."""

MOST_MARKS = 20_000
"""Marks of calls that are remembered, to count their attempts."""


class Recorder:
    """The application."""

    def __init__(self, routes: Routes, trajectories: Trajectories, most_tokens: int = 0) -> None:
        self._routes = routes
        self._trajectories = trajectories
        self._most_tokens = most_tokens
        self._attempts: OrderedDict[str, int] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self._is_ending = False

    def application(self) -> web.Application:
        application = web.Application(client_max_size=LARGEST_REQUEST_BYTES)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/ready", self._ready)
        application.router.add_get(r"/servers/{index:\d{1,6}}/v1/models", self._models)
        for path in (CHAT, COMPLETIONS):
            application.router.add_post(
                r"/servers/{index:\d{1,6}}{path:" + path + "}", self._completion
            )
        application.cleanup_ctx.append(self._work)
        return application

    async def drain(self, seconds: float) -> None:
        """Takes no further calls, and lets those that run end; what lasts longer is ended."""
        self._is_ending = True
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._running:
            await asyncio.sleep(0.1)
        for route in self._routes.all:
            for call in list(route.calls):
                call.end("the recorder was ended")
        while self._running:
            await asyncio.sleep(0.05)

    @property
    def _running(self) -> int:
        return sum(len(route.calls) for route in self._routes.all)

    async def _work(self, _: web.Application) -> AsyncIterator[None]:
        # A connection for each call: one that the server closes while it is taken up again would
        # look like a server that died.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._client:
            self._routes.start(self._client)
            yield
            self._routes.stop()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _: web.Request) -> web.Response:
        state = {
            "ready": not self._is_ending,
            "servers": [
                {
                    "index": route.server.index,
                    "address": route.server.authority,
                    "down": route.why_down,
                    "calls": len(route.calls),
                }
                for route in self._routes.all
            ],
            "calls": dict(self._counts),
            "records": self._trajectories.counts,
        }
        return web.json_response(state, status=503 if self._is_ending else 200)

    async def _models(self, request: web.Request) -> web.Response:
        route = self._route(request)
        url = f"http://{route.server.authority}/v1/models"
        try:
            async with self._client.get(url, timeout=aiohttp.ClientTimeout(30)) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            return refusal(502, f"{route.server.name} does not answer: {brief(error)}")
        return web.Response(body=content, status=answer.status, content_type=answer.content_type)

    async def _completion(self, request: web.Request) -> web.StreamResponse:
        route = self._route(request)
        marks = self._marks(request)
        try:
            body = parse(await request.read())
        except ValueError as error:
            return self._refuse(400, f"the request is not usable: {error}")
        if self._is_ending or self._running >= MOST_CALLS:
            return self._refuse(503, "the recorder takes no further call now")
        if route.why_down and marks["attempt"] > 1:
            # LiteLLM repeats a call for the server that its session has.
            trial = marks["trial"]
            caller = marks["call"] if trial == UNATTRIBUTED else trial
            route = self._routes.instead(caller) or route
        if route.why_down:
            return self._refuse(503, f"{route.server.name} is down: {route.why_down}")
        exchange = Exchange(request.match_info["path"], body, route, self._most_tokens)
        try:
            return await exchange.run(request, self._client, self._routes)
        finally:
            self._counts[exchange.outcome] += 1
            if exchange.outcome != "refused":
                if exchange.outcome == "complete" and not exchange.sampled.is_exact:
                    self._counts["complete, but without token ids or log-probabilities"] += 1
                self._trajectories.add(marks["trial"], lambda: exchange.record(marks))

    def _route(self, request: web.Request) -> Route:
        route = self._routes.get(int(request.match_info["index"]))
        if route is None:
            raise web.HTTPNotFound(text="there is no such rollout server\n")
        return route

    def _marks(self, request: web.Request) -> dict[str, Any]:
        """Whose call it is, and the how manieth attempt at it."""
        mark = request.headers.get(CALL_HEADER, "")[:64]
        attempt = self._attempts.pop(mark, 0) + 1
        if mark:
            self._attempts[mark] = attempt
        if len(self._attempts) > MOST_MARKS:
            self._attempts.popitem(last=False)
        return {"call": mark or None, "attempt": attempt, "trial": trial_of(request.headers)}

    def _refuse(self, status: int, message: str) -> web.Response:
        self._counts["refused"] += 1
        return refusal(status, message)


def _is_no_cut(entry: logging.LogRecord) -> bool:
    """A cut answer is recorded, and no error of ours."""
    return not (entry.exc_info and isinstance(entry.exc_info[1], Cut))


async def serve() -> None:
    port = pod.number("RECORDER_PORT")
    trajectories = Trajectories(Path(pod.required("TRAJECTORIES_DIRECTORY")))
    routes = Routes(read_table(pod.required("ROLLOUT_TABLE")), from_environment())
    recorder = Recorder(routes, trajectories, int(pod.number("MOST_CALL_TOKENS", 0)))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    logging.getLogger("aiohttp.server").addFilter(_is_no_cut)
    runner = web.AppRunner(
        recorder.application(),
        access_log=None,
        # A client that has gone must not keep a server busy.
        handler_cancellation=True,
        keepalive_timeout=IDLE_SECONDS,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, port=int(port), backlog=1024).start()
        say(f"recording on port {port:.0f} for {len(routes.all)} rollout servers")
        await ended.wait()
        say("ending: no further calls are taken")
        await recorder.drain(DRAIN_SECONDS)
    finally:
        await runner.cleanup()
        trajectories.close()
        say(f"ended; records: {trajectories.counts}")


def main() -> int:
    try:
        asyncio.run(serve())
    except (BadInput, ValueError) as error:
        say(f"recorder: {error}")
        return pod.BAD_INPUT
    except OSError as error:
        say(f"recorder: cannot listen: {error}")
        return pod.BAD_INPUT
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # A listing that still waits for Ray's head would hold this process up to half a minute.
    os._exit(code)
