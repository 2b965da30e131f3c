"""Client of the Kubernetes API server, as a pod's own service account sees it.

Only what our programs need of it: read an object, list pods page by page, delete one, read the end
of a container's log. Standard library only: docs/decisions.md#the-reapers-kubernetes-client says why
not the official client.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import pod
from http_client import Answer, HttpClient, NoAnswer
from pod import BadInput

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


class Missing(ApiError):
    """There is no such object (404)."""


class _Expired(ApiError):
    """The continuation of a list is too old (410)."""


class KubernetesApi:
    """The API server at `url`; token and authority lie in `account`, as in every pod."""

    def __init__(self, url: str, account: Path = ACCOUNT, timeout: float = 30.0) -> None:
        """`timeout` bounds each wait for an answer, in seconds."""
        self._token = account / "token"
        context = None
        if url.startswith("https://"):
            context = ssl.create_default_context(cafile=str(account / "ca.crt"))
            # From 3.13 on Python refuses authorities without extensions that many clusters' lack.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self._http = HttpClient(url, timeout=timeout, context=context)

    def get(self, path: str) -> Any:
        """The object, or the list, at this path. Raises Missing."""
        return self._send("GET", path)

    def log(self, namespace: str, name: str, container: str, *, lines: int, previous: bool) -> str:
        """The end of a container's log; with `previous`, of the container before its last restart."""
        query = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        path = f"{_pods(namespace)}/{quote(name, safe='')}/log?{urlencode(query)}"
        return self._ask("GET", path).text

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
        answer = self._ask(method, path, body)
        if answer.status in (404, 409):
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise Unavailable(f"{self._http.address} answers no JSON: {error}") from None

    def _ask(self, method: str, path: str, body: object = None) -> Answer:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, */*",
            # Read each time: Kubernetes replaces the token every hour.
            "Authorization": f"Bearer {self._token.read_text().strip()}",
        }
        try:
            answer = self._http.send(method, path, headers=headers, body=body)
        except NoAnswer as error:
            raise Unavailable(str(error)) from None
        gone = answer.status in (404, 409) and method == "DELETE"
        if answer.status >= 300 and not gone:
            raise _failure(answer, f"{method} {path.partition('?')[0]}")
        return answer


def from_environment() -> KubernetesApi:
    """The API server that every pod knows, or API_SERVER; the account of the pod, or ACCOUNT_DIRECTORY's."""
    account = Path(os.environ.get("ACCOUNT_DIRECTORY") or ACCOUNT)
    url = os.environ.get("API_SERVER") or ""
    if not url:
        host = pod.required("KUBERNETES_SERVICE_HOST")
        port = pod.required("KUBERNETES_SERVICE_PORT")
        url = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    if not url.startswith(("http://", "https://")):
        raise BadInput(f"API_SERVER must be an HTTP address, not {url!r}")
    try:
        (account / "token").read_text()
        return KubernetesApi(url, account)
    except OSError as error:
        raise BadInput(f"the service account cannot be read: {error}") from None
    except ValueError as error:
        raise BadInput(f"API_SERVER: {error}") from None


def _pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"


def _failure(answer: Answer, what: str) -> ApiError:
    try:
        message = str(answer.json().get("message") or answer.text)
    except (ValueError, AttributeError):
        message = answer.reason
    shown = f"{what} answers {answer.status}: {message[:300]}"
    if answer.status in (401, 403):
        return Refused(shown)
    if answer.status == 404:
        return Missing(shown)
    if answer.status == 410:
        return _Expired(shown)
    if answer.status == 429 or answer.status >= 500:
        return Unavailable(shown)
    return ApiError(shown)
