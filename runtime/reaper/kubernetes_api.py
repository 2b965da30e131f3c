"""Client of the Kubernetes API server, as a pod's own service account sees it.

Only what our programs need of it: list pods page by page, delete one. Standard library only.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import quote, urlencode

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts token and certificate authority into a pod."""

PAGE = 200
"""Objects of one answer: thousands at once weigh on the API server and on us."""

FRESH_STARTS = 3
"""Times that a list is begun anew when its continuation has expired."""

Pod = Mapping[str, Any]
T = TypeVar("T")


class ApiError(Exception):
    """The API server did not do what it was asked to do."""


class Unavailable(ApiError):
    """Nobody answered in time, or with 429 or 5xx: it may pass by itself."""


class Refused(ApiError):
    """The account may not do this (401, 403)."""


class _Expired(ApiError):
    """The continuation of a list is too old (410)."""


class KubernetesApi:
    """The API server at `url`; token and authority lie in `account`, as in every pod."""

    def __init__(self, url: str, account: Path = ACCOUNT, timeout: float = 30.0) -> None:
        """`timeout` bounds each wait for an answer, in seconds."""
        self._url = url.rstrip("/")
        self._token = account / "token"
        self._timeout = timeout
        handlers: list[urllib.request.BaseHandler] = [
            # The token goes to the API server alone: not to a proxy, not along a redirect.
            urllib.request.ProxyHandler({}),
            _NoRedirect(),
        ]
        if url.startswith("https://"):
            authority = ssl.create_default_context(cafile=str(account / "ca.crt"))
            # From 3.13 on Python refuses authorities without extensions that many clusters' lack.
            authority.verify_flags &= ~ssl.VERIFY_X509_STRICT
            handlers.append(urllib.request.HTTPSHandler(context=authority))
        self._opener = urllib.request.build_opener(*handlers)

    def pods(self, namespace: str, selector: str, keep: Callable[[Pod], T]) -> list[T]:
        """What `keep` makes of each pod of a namespace with these labels."""
        expired: ApiError | None = None
        for _ in range(FRESH_STARTS):
            try:
                return self._pages(namespace, selector, keep)
            except _Expired as error:
                expired = error
        raise Unavailable(f"the list of pods changes faster than it can be read: {expired}")

    def delete_pod(self, namespace: str, name: str, uid: str, grace: int) -> bool:
        """Deletes exactly this pod, and none that took its name. False if it was gone already."""
        body = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "gracePeriodSeconds": grace,
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        path = f"{_pods(namespace)}/{quote(name, safe='')}"
        return self._send("DELETE", path, body) is not None

    def _pages(self, namespace: str, selector: str, keep: Callable[[Pod], T]) -> list[T]:
        found: list[T] = []
        more = ""
        while True:
            query = {"labelSelector": selector, "limit": str(PAGE)}
            if more:
                query["continue"] = more
            answer = self._send("GET", f"{_pods(namespace)}?{urlencode(query)}")
            found += [keep(item) for item in answer.get("items") or []]
            more = (answer.get("metadata") or {}).get("continue") or ""
            if not more:
                return found

    def _send(self, method: str, path: str, body: object = None) -> Any:
        """The answer; None if what was to be deleted is gone, or another has its name."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        request.add_header("Accept", "application/json")
        # Read each time: Kubernetes replaces the token every hour.
        request.add_header("Authorization", f"Bearer {self._token.read_text().strip()}")
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in (404, 409) and method == "DELETE":
                    return None
                raise _failure(error, f"{method} {path.partition('?')[0]}") from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error or type(error).__name__
            raise Unavailable(f"{self._url} does not answer: {reason}") from None
        except ValueError as error:
            raise Unavailable(f"{self._url} answers no JSON: {error}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> None:
        return None


def _pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"


def _failure(error: urllib.error.HTTPError, what: str) -> ApiError:
    try:
        text = error.read(65536).decode(errors="replace")
        message = str(json.loads(text).get("message") or text)
    except (OSError, HTTPException, ValueError, AttributeError):
        message = str(error.reason)
    shown = f"{what} answers {error.code}: {message[:300]}"
    if error.code in (401, 403):
        return Refused(shown)
    if error.code == 410:
        return _Expired(shown)
    if error.code == 429 or error.code >= 500:
        return Unavailable(shown)
    return ApiError(shown)
