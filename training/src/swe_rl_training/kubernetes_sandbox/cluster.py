"""An API server: the calls that a sandbox needs, and the threads in which they wait."""

from __future__ import annotations

import json
import random
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import certifi
from kubernetes import config as kube_config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.stream.ws_client import get_websocket_url, websocket_proxycare
from urllib3.exceptions import HTTPError
from websocket import WebSocket, WebSocketBadStatusException, WebSocketException

from .pod import CONTAINER, STOP_GRACE_SECONDS, Pod

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
"""How long one call may take; the API server ends its own calls after as long."""


class ApiFailure(RuntimeError):
    """The API server refused a call, or could not be reached (status 0)."""

    def __init__(self, status: int, message: str, *, reason: str = "", wait: float = 0) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        """Kubernetes's own word for it, such as AlreadyExists."""
        self.wait = wait
        """Seconds that the server wants to be left alone."""

    @property
    def is_transient(self) -> bool:
        return self.status in (0, 408, 429, 500, 502, 503, 504)


def is_worth_waiting(failure: ApiFailure) -> bool:
    """Whether the same pod may be admitted later."""
    if failure.is_transient:
        return True
    message = str(failure)
    # Others' sandboxes are ending; a quota is unknown until its controller has counted.
    of_quota = "exceeded quota" in message or "status unknown for quota" in message
    # Two pods were counted at once.
    return (failure.status == 403 and of_quota) or failure.reason == "Conflict"


class Cluster:
    """An API server's pods, by calls that block. Threads may share it."""

    def __init__(self, kubeconfig: str | None, parallel_calls: int) -> None:
        configuration = Configuration()
        configuration.connection_pool_maxsize = parallel_calls
        # Retries are ours: urllib3's own would come at once, and without regard to the server.
        configuration.retries = 0
        if kubeconfig:
            kube_config.load_kube_config(kubeconfig, client_configuration=configuration)
        else:
            kube_config.load_incluster_config(client_configuration=configuration)
        self._configuration = configuration
        self._client = ApiClient(configuration)
        self._token = threading.Lock()

    def create(self, pod: Pod) -> None:
        self._call("POST", _pods(pod["metadata"]["namespace"]), body=pod)

    def get(self, namespace: str, name: str) -> Pod:
        return self._call("GET", f"{_pods(namespace)}/{name}")

    def delete(self, namespace: str, name: str) -> None:
        options = {"gracePeriodSeconds": STOP_GRACE_SECONDS}
        self._call("DELETE", f"{_pods(namespace)}/{name}", body=options)

    def open_exec(self, namespace: str, name: str, command: Iterable[str]) -> WebSocket:
        """A socket to a command that has just started.

        `kubernetes.stream` sets no timeout on the handshake, so a kubelet that accepts and says
        nothing would hold the thread for ever; its WSClient also keeps all that it has read. What
        is left of it is how it makes addresses, and how it goes through a proxy.
        """
        configuration = self._configuration
        query = [
            *(("command", word) for word in command),
            ("container", CONTAINER),
            *((stream, "true") for stream in ("stdin", "stdout", "stderr")),
        ]
        url = get_websocket_url(f"{configuration.host}{_pods(namespace)}/{name}/exec")
        headers = self._headers()
        options: dict[str, Any] = {
            "header": [
                *(f"{key}: {value}" for key, value in headers.items()),
                "sec-websocket-protocol: v5.channel.k8s.io,v4.channel.k8s.io",
            ],
            "timeout": ANSWER_SECONDS,
        }
        if configuration.proxy or configuration.proxy_headers:
            options = websocket_proxycare(options, configuration, url, headers)
        websocket = WebSocket(sslopt=_tls(configuration), skip_utf8_validation=True)
        try:
            websocket.connect(f"{url}?{urlencode(query)}", **options)
        except WebSocketBadStatusException as error:
            raise _failure(error.status_code, error.resp_body, error.resp_headers) from None
        except (WebSocketException, OSError, ValueError) as error:
            raise ApiFailure(0, f"{type(error).__name__}: {error}") from error
        return websocket

    def _headers(self) -> dict[str, str]:
        # The account's token changes every hour, and asking for it may read it anew.
        with self._token:
            settings: Mapping[str, Any] = self._configuration.auth_settings()
        return {auth["key"]: str(auth["value"]) for auth in settings.values()}

    def _call(self, method: str, path: str, body: Pod | None = None) -> Pod:
        """The answer as it came: Kubernetes's own classes would take milliseconds for each."""
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            **self._headers(),
        }
        try:
            response = self._client.call_api(
                method,
                f"{self._configuration.host}{path}",
                header_params=headers,
                body=body,
                _request_timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            )
            content = response.read()
        except (ApiException, HTTPError, OSError) as error:
            raise ApiFailure(0, f"{type(error).__name__}: {error}") from error
        if not 200 <= response.status < 300:
            raise _failure(response.status, content, response.headers)
        answer = json.loads(content)
        return answer if isinstance(answer, dict) else {}


def _pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def _tls(configuration: Configuration) -> dict[str, Any]:
    options: dict[str, Any] = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
    if configuration.verify_ssl:
        options = {
            "cert_reqs": ssl.CERT_REQUIRED,
            "ca_certs": configuration.ssl_ca_cert or certifi.where(),
        }
        if configuration.assert_hostname is not None:
            options["check_hostname"] = configuration.assert_hostname
    if configuration.cert_file:
        options["certfile"] = configuration.cert_file
    if configuration.key_file:
        options["keyfile"] = configuration.key_file
    if configuration.tls_server_name:
        options["server_hostname"] = configuration.tls_server_name
    return options


def _failure(status: int, content: bytes | str | None, headers: Any) -> ApiFailure:
    """A refusal in the words of the API server."""
    text = content.decode(errors="replace") if isinstance(content, bytes) else content or ""
    message, reason = text.strip()[:2000] or f"HTTP {status}", ""
    with suppress(ValueError, AttributeError):
        answer = json.loads(text)
        message, reason = answer.get("message") or message, answer.get("reason") or ""
    wait = 0.0
    with suppress(ValueError, TypeError, AttributeError):
        found = {key.lower(): value for key, value in dict(headers).items()}
        wait = min(float(found.get("retry-after", 0)), 60)
    return ApiFailure(status, message, reason=reason, wait=wait)


@lru_cache
def shared_cluster(kubeconfig: str | None, parallel_calls: int) -> Cluster:
    """One for all sandboxes of this process, with the connections that it holds."""
    return Cluster(kubeconfig, parallel_calls)


@lru_cache
def callers(size: int) -> ThreadPoolExecutor:
    """Threads for calls: as many as calls are allowed, so they are the limit, too.

    A running command needs none of them, see Connection (connection.py).
    """
    return ThreadPoolExecutor(size, thread_name_prefix="kubernetes-call")


def pauses(first: float, most: float) -> Iterator[float]:
    """Seconds between attempts, each another so that many sandboxes do not ask in step."""
    pause = first
    while True:
        yield pause * random.uniform(0.7, 1.3)
        pause = min(pause * 1.5, most)
