"""An API server with pods that can be entered: commands really run, in a directory of their own.

It speaks what kubernetes.stream speaks: REST and the websocket channels of versions 4 and 5. Paths
inside of a pod are those of this machine, so tests name them below `FakeCluster.root`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

TOKEN = "account-token-0123456789"
NAMESPACE = "run-sandbox"

RUNNING = {
    "phase": "Running",
    "containerStatuses": [{"name": "main", "state": {"running": {"startedAt": "now"}}}],
}
PENDING = {"phase": "Pending"}


def waiting(reason: str, message: str = "", *, kind: str = "containerStatuses") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", kind: [{"name": "main", "state": state}]}


@dataclass
class Refusal:
    """What the server answers instead of doing what it is asked to."""

    code: int
    message: str
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeCluster:
    root: Path
    """Where commands run, and what their pod may write to."""
    url: str = ""
    statuses: list[dict[str, Any]] = field(default_factory=list)
    """Of a pod at each look at it; the last one stays."""
    refusals: dict[str, list[Refusal | None]] = field(default_factory=dict)
    """Answers to the next calls, by `create`, `get`, `delete` and `exec`. None lets one pass."""
    lost_answers: set[str] = field(default_factory=set)
    """Calls that are carried out once, and then not answered."""
    protocols: Sequence[str] = ("v5.channel.k8s.io", "v4.channel.k8s.io")
    path: str = os.environ["PATH"]
    """Where commands find programs."""
    idle_seconds: float = 0
    """A load balancer's: a connection with nothing from the client for so long is cut; 0: never."""
    is_deaf: bool = False
    """Whether pings stay unanswered."""
    cut_after: int = 0
    """Bytes of output after which the next connection is cut, once; 0: never."""
    is_slow_to_close: bool = False
    answer_seconds: float = 0
    """Time that each call takes."""

    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    deletions: list[dict[str, Any]] = field(default_factory=list)
    pings: int = 0
    open_execs: int = 0
    busy: int = 0
    most_busy: int = 0
    processes: set[asyncio.subprocess.Process] = field(default_factory=set)

    def kubeconfig(self, file: Path, authority: Path | None = None) -> Path:
        trusted = {"certificate-authority": str(authority)} if authority else {}
        cluster = {"server": self.url, **trusted}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": cluster}],
            "users": [{"name": "trainer", "user": {"token": TOKEN}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "trainer"}}],
        }
        file.write_text(json.dumps(content))
        return file

    @contextmanager
    def running(self, tls: ssl.SSLContext | None = None) -> Iterator[FakeCluster]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        runner = asyncio.run_coroutine_threadsafe(self._start(tls), loop).result(10)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._stop(runner), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

    async def _start(self, tls: ssl.SSLContext | None) -> web.AppRunner:
        app = web.Application(client_max_size=2**24)
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
        app.router.add_post(pods, self._answer("create", self._create))
        app.router.add_get(f"{pods}/{{name}}", self._answer("get", self._get))
        app.router.add_delete(f"{pods}/{{name}}", self._answer("delete", self._delete))
        app.router.add_get(f"{pods}/{{name}}/exec", self._answer("exec", self._exec))
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        return runner

    async def _stop(self, runner: web.AppRunner) -> None:
        for process in list(self.processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await runner.cleanup()
        # Transports of processes complain if their loop is closed before they are.
        await asyncio.sleep(0.05)

    def _answer(self, verb: str, handler: Any) -> Any:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.requests.append(f"{verb} {request.path_qs}")
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
            try:
                await asyncio.sleep(self.answer_seconds)
                if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                    return _refuse(Refusal(401, "Unauthorized", "Unauthorized"))
                planned = self.refusals.get(verb)
                refusal = planned.pop(0) if planned else None
                if refusal is not None:
                    return _refuse(refusal)
                if verb != "exec":
                    response = await handler(request)
                    if verb in self.lost_answers:
                        self.lost_answers.discard(verb)
                        assert request.transport is not None
                        request.transport.abort()
                    return response
            finally:
                self.busy -= 1
            return await handler(request)

        return answer

    async def _create(self, request: web.Request) -> web.Response:
        pod = await request.json()
        name = pod["metadata"]["name"]
        if name in self.pods:
            return _refuse(Refusal(409, f'pods "{name}" already exists', "AlreadyExists"))
        self.pods[name] = pod
        self.created.append(pod)
        return web.json_response(pod, status=201)

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.pods:
            return _refuse(Refusal(404, f'pods "{name}" not found', "NotFound"))
        pod = self.pods[name]
        if self.statuses:
            pod["status"] = self.statuses[0] if len(self.statuses) == 1 else self.statuses.pop(0)
        return web.json_response(pod)

    async def _delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.deletions.append(await request.json())
        if self.pods.pop(name, None) is None:
            return _refuse(Refusal(404, f'pods "{name}" not found', "NotFound"))
        return web.json_response({"kind": "Status", "status": "Success"})

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["name"] not in self.pods:
            return _refuse(Refusal(404, "pod not found", "NotFound"))
        assert request.query["container"] == "main"
        socket = web.WebSocketResponse(
            protocols=self.protocols, autoping=False, max_msg_size=2**24, timeout=0.5
        )
        await socket.prepare(request)
        assert socket.ws_protocol in self.protocols
        self.open_execs += 1
        try:
            await _Exec(self, request, socket).run()
        finally:
            self.open_execs -= 1
        return socket


class _Exec:
    """One command, as a container runtime runs it: the leader of a session of its own."""

    def __init__(
        self, cluster: FakeCluster, request: web.Request, socket: web.WebSocketResponse
    ) -> None:
        self._cluster = cluster
        self._request = request
        self._socket = socket
        self._sent = 0

    async def run(self) -> None:
        command = self._request.query.getall("command")
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self._cluster.root,
                env={"PATH": self._cluster.path, "HOME": "/root"},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            report = {"status": "Failure", "reason": "InternalError", "message": f"exec: {error}"}
            return await self._finish(report)
        reading = asyncio.ensure_future(self._read(process))
        self._cluster.processes.add(process)
        try:
            await asyncio.gather(
                self._copy(process.stdout, 1), self._copy(process.stderr, 2), process.wait()
            )
            if not self._socket.closed:
                await self._finish(_report(process.returncode or 0))
        except (ConnectionError, RuntimeError):
            pass
        finally:
            reading.cancel()
            self._cluster.processes.discard(process)

    async def _finish(self, report: dict[str, Any]) -> None:
        with suppress(ConnectionError):
            await self._socket.send_bytes(b"\3" + json.dumps(report).encode())
            if self._cluster.is_slow_to_close:
                await asyncio.sleep(60)
            await self._socket.close()

    async def _copy(self, stream: asyncio.StreamReader | None, channel: int) -> None:
        assert stream is not None
        while data := await stream.read(8192):
            limit = self._cluster.cut_after
            self._sent += len(data)
            if limit and self._sent > limit:
                self._cluster.cut_after = 0
                self._abort()
            with suppress(ConnectionError):
                await self._socket.send_bytes(bytes([channel]) + data)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """The client's part. When it leaves, only the process's input ends, as under containerd."""
        assert process.stdin is not None
        try:
            await self._receive(process.stdin)
        finally:
            process.stdin.close()

    async def _receive(self, stdin: asyncio.StreamWriter) -> None:
        while True:
            patience = self._cluster.idle_seconds or None
            try:
                message = await asyncio.wait_for(self._socket.receive(), patience)
            except TimeoutError:
                return self._abort()
            if message.type == WSMsgType.PING:
                self._cluster.pings += 1
                if not self._cluster.is_deaf:
                    await self._socket.pong(message.data)
            elif message.type == WSMsgType.BINARY:
                assert message.data[0] == 0
                with suppress(ConnectionError):
                    stdin.write(message.data[1:])
                    await stdin.drain()
            elif message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR):
                return None

    def _abort(self) -> None:
        transport = self._request.transport
        if transport is not None:
            transport.abort()


def _report(code: int) -> dict[str, Any]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    code = 128 - code if code < 0 else code
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _refuse(refusal: Refusal) -> web.Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": refusal.message,
        "reason": refusal.reason,
        "code": refusal.code,
    }
    return web.json_response(body, status=refusal.code, headers=refusal.headers)


def runs(pid: int) -> bool:
    """Whether the process is there, and no mere entry of a dead one."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def ends(pid: int, seconds: float = 5) -> bool:
    """Whether the process ends in time."""
    by = time.monotonic() + seconds
    while runs(pid):
        if time.monotonic() > by:
            os.kill(pid, signal.SIGKILL)
            return False
        time.sleep(0.02)
    return True
