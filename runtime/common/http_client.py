"""HTTP for our programs: one request, one answer, a new connection for each. Standard library only.

Credentials go to the server that is named and to nobody else: `http.client` follows no redirects
and knows no proxies.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit


class NoAnswer(Exception):
    """The server could not be reached, or did not answer in time."""


@dataclass(frozen=True)
class Answer:
    """What a server answered, whatever the status."""

    status: int
    reason: str
    headers: Message
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        """The content. Raises ValueError if it is no JSON."""
        return json.loads(self.content)


class HttpClient:
    """The server at `address`: http://host:port, https://host:port or unix:///path of a socket."""

    def __init__(
        self, address: str, *, timeout: float = 30.0, context: ssl.SSLContext | None = None
    ) -> None:
        """`timeout` bounds each wait for an answer, in seconds. Raises ValueError."""
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https", "unix") or not (parts.hostname or parts.path):
            raise ValueError(f"{address!r} is not an HTTP address")
        self.address = address.rstrip("/")
        self._parts = parts
        self._port = parts.port
        self._prefix = "" if parts.scheme == "unix" else parts.path.rstrip("/")
        self._timeout = timeout
        self._context = context

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Answer:
        """Sends bytes as they are, and any other body as JSON. Raises NoAnswer."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = self._connection()
        try:
            connection.request(method, self._prefix + path, content, dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, answer.reason, answer.headers, answer.read())
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise NoAnswer(f"{self.address} does not answer: {reason}") from None
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        host = self._parts.hostname or ""
        if self._parts.scheme == "unix":
            return _UnixConnection(self._parts.path, self._timeout)
        if self._parts.scheme == "https":
            return HTTPSConnection(host, self._port, timeout=self._timeout, context=self._context)
        return HTTPConnection(host, self._port, timeout=self._timeout)


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
