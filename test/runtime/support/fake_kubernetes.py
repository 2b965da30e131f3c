"""An API server with pods and what is told of it, and what can go wrong between it and a program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .http_stub import Handler, Server, serving

TOKEN = "account-token-0123456789"


class FakeKubernetes:
    """Its pods by namespace, and every request that it has seen."""

    def __init__(self) -> None:
        self.pods: dict[str, list[dict[str, Any]]] = {}
        self.objects: dict[str, dict[str, Any]] = {}
        """Other objects, by path."""
        self.events: list[dict[str, Any]] = []
        """Of every pod."""
        self.logs: dict[str, str] = {}
        """By pod and container, and `previous` where it is another's."""
        self.requests: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.failures: list[int] = []
        """Status codes of the next answers, before it answers as it should."""
        self.refused: dict[str, int] = {}
        """Status code of each deletion of a pod with this name."""
        self.expired = 0
        """Continuations that it will refuse."""
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[Server]:
        api = self

        class Own(Handler):
            def do_GET(self) -> None:
                api.answer(self, "GET")

            def do_DELETE(self) -> None:
                api.answer(self, "DELETE")

        with serving(Own) as server:
            self.url = server.url
            yield server

    @property
    def deleted(self) -> list[str]:
        return [
            line.rpartition("/")[2] for line in self.requests if line.startswith("DELETE")
        ]

    def answer(self, handler: Handler, method: str) -> None:
        body = handler.body()
        url = urlsplit(handler.path)
        self.requests.append(f"{method} {url.path}")
        if handler.headers["Authorization"] != f"Bearer {TOKEN}":
            return _refuse(handler, 401, "Unauthorized")
        if self.failures:
            return _refuse(handler, self.failures.pop(0), "as the test wants it")
        parts = url.path.split("/")
        namespace = parts[4]
        if method == "DELETE":
            self.bodies.append(json.loads(body))
            return self._delete(handler, namespace, parts[6])
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if parts[-1] == "log":
            kept = " previous" if query["previous"] == "true" else ""
            text = self.logs.get(f"{parts[6]} {query['container']}{kept}")
            if text is None:
                return _refuse(handler, 400, "previous terminated container not found")
            return handler.answer(200, text.encode())
        if parts[-1] == "events":
            return handler.answer(200, json.dumps({"items": self.events}).encode())
        if parts[-1] != "pods":
            found_object = self.objects.get(url.path)
            if found_object is None:
                return _refuse(handler, 404, "not found")
            return handler.answer(200, json.dumps(found_object).encode())
        if "continue" in query and self.expired:
            self.expired -= 1
            return _refuse(handler, 410, "The provided continue parameter is too old")
        found = [
            pod
            for pod in self.pods.get(namespace, [])
            if _selected(pod["metadata"]["labels"], query["labelSelector"])
        ]
        begin, size = int(query.get("continue", 0)), int(query["limit"])
        rest = {"continue": str(begin + size)} if begin + size < len(found) else {}
        handler.answer(
            200,
            json.dumps({"items": found[begin : begin + size], "metadata": rest}).encode(),
        )

    def _delete(self, handler: Handler, namespace: str, name: str) -> None:
        if name in self.refused:
            return _refuse(handler, self.refused[name], "as the test wants it")
        for pod in self.pods.get(namespace, []):
            if pod["metadata"]["name"] == name:
                if pod["metadata"]["uid"] != self.bodies[-1]["preconditions"]["uid"]:
                    return _refuse(handler, 409, "the UID in the precondition does not match")
                self.pods[namespace].remove(pod)
                return handler.answer(200, json.dumps(pod).encode())
        _refuse(handler, 404, "not found")


def account(directory: Path) -> Path:
    """A directory with a service account's token."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "token").write_text(f"{TOKEN}\n")
    return directory


def _refuse(handler: Handler, status: int, message: str) -> None:
    text = json.dumps({"kind": "Status", "code": status, "message": message})
    handler.answer(status, text.encode())


def _selected(labels: dict[str, str], selector: str) -> bool:
    """`key=value` and `key in (a,b)`, as far as our programs use them."""
    for term in selector.replace("(", "").replace(")", "").split(",") if selector else []:
        key, _, value = term.partition("=")
        if " in " in term:
            key, _, _ = term.partition(" in ")
            continue
        if value and labels.get(key) != value:
            return False
    return True
