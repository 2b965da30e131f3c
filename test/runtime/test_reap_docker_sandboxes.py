"""Ends sandboxes that outstay their deadline. The daemon is a stand-in that answers on a socket."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from support.programs import RUNTIME



@contextmanager
def daemon(path: Path, containers: list[dict[str, Any]]) -> Iterator[list[str]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(f"{self.command} {self.path.split('?')[0]}")
            body = json.dumps(containers).encode() if self.command == "GET" else b""
            self.send_response(200 if self.command == "GET" else 204)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer

        def address_string(self) -> str:
            return "socket"

        def log_message(self, format: str, *args: object) -> None:
            pass

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield asked
        server.shutdown()


def run(path: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "DAEMON_SOCKET": str(path),
        "STACK": "run",
        "LOOKS": "1",
        "PAUSE_SECONDS": "0",
    }
    program = [sys.executable, str(RUNTIME / "reap_docker_sandboxes.py")]
    return subprocess.run(
        program, env=environment, capture_output=True, text=True, check=False, timeout=30
    )


def sandbox(name: str, age: float, deadline: str | None = "60") -> dict[str, Any]:
    labels = {} if deadline is None else {"swe-rl.dev/deadline-seconds": deadline}
    created = int(time.time() - age)
    return {"Id": name * 16, "Names": [f"/{name}"], "Labels": labels, "Created": created}


def test_only_what_is_overdue_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    containers = [sandbox("old", 90), sandbox("new", 5), sandbox("strange", 9e9, None)]
    with daemon(path, containers) as asked:
        done = run(path)
    assert done.returncode == 0
    assert asked == [
        "GET /containers/json",
        f"POST /containers/{'old' * 16}/stop",
        f"DELETE /containers/{'old' * 16}",
    ]
    assert "old is overdue: removed" in done.stderr


def test_a_daemon_that_is_away_is_waited_for(tmp_path: Path) -> None:
    done = run(tmp_path / "docker.sock")
    assert done.returncode == 0
    assert "the daemon cannot be asked" in done.stderr
