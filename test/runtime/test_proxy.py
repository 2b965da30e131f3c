"""A real LiteLLM with the Plan's configuration, in front of the recorder and stand-ins for vLLM."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.chain import Chain, chain
from support.http_stub import answering
from support.our_code import shipped_plan
from support.processes import wait_until
from support.proxy import MASTER_KEY, SANDBOX_KEY, Proxy

ALLOWED = {
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/chat/completions"),
    ("POST", "/v1/completions"),
    ("GET", "/v1/models"),
    ("GET", "/models"),
}
BLIND_SECONDS = 3.0
"""How long calls may fail after a server is back: the recorder asks for its health each second."""

PROBES = {("GET", "/health/liveliness"), ("GET", "/health/liveness"), ("GET", "/health/readiness")}


@dataclass
class Setup(Chain):
    below_a_path: Proxy
    """A second LiteLLM, with SERVER_ROOT_PATH=/llm."""


@pytest.fixture(scope="module")
def setup(
    private_network: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Setup]:
    directory = tmp_path_factory.mktemp("proxy")
    with chain(directory) as running:
        configuration = directory / "proxy" / "config.yaml"
        below = Proxy(configuration, directory / "below.log", SERVER_ROOT_PATH="/llm")
        try:
            below.wait()
            yield Setup(**vars(running), below_a_path=below)
        finally:
            below.process.kill()


@pytest.fixture
def client(setup: Setup) -> Iterator[httpx.Client]:
    """A sandbox."""
    with setup.proxy.client() as client:
        yield client


def chat(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}


def anthropic(model: str, **more: Any) -> dict[str, Any]:
    return {**chat(model), "max_tokens": 50, **more}


class TestModels:
    def test_starts_without_internet(self, setup: Setup) -> None:
        assert setup.proxy.seconds_to_start < 90
        assert "Failed to fetch" not in setup.proxy.process.errors + setup.proxy.process.output

    @pytest.mark.parametrize(
        "model",
        ["vllm_model", "hosted_vllm/vllm_model", "claude-sonnet-4-5", "claude-anything-at-all"],
    )
    def test_every_alias_on_both_surfaces(
        self, setup: Setup, client: httpx.Client, model: str
    ) -> None:
        names = {backend.text for backend in setup.backends}
        answer = client.post("/v1/chat/completions", json=chat(model))
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"] in names
        answer = client.post("/v1/messages", json=anthropic(model))
        assert answer.status_code == 200, answer.text
        assert answer.json()["content"][0]["text"] in names
        assert answer.json()["usage"] == {"input_tokens": 3, "output_tokens": 4}
        for backend in setup.backends:
            for call in backend.calls:
                assert call.path == "/v1/chat/completions"
                assert call.body["model"] == "vllm_model"
                assert call.authorization is None

    def test_aliases_are_those_of_the_plan(self, client: httpx.Client) -> None:
        # The wildcard is a name that works, not one that is listed.
        listed = {model["id"] for model in client.get("/v1/models").json()["data"]}
        aliases = set(shipped_plan("single-node")["aliases"])
        assert aliases - listed == {"claude-*"}
        assert listed <= aliases

    def test_unknown_model(self, client: httpx.Client) -> None:
        for path, body in {"/v1/chat/completions": chat, "/v1/messages": anthropic}.items():
            assert client.post(path, json=body("gpt-4o")).status_code == 400

    @pytest.mark.parametrize("model", ["vllm_model", "claude-x"])
    def test_streams_on_both_surfaces(self, setup: Setup, client: httpx.Client, model: str) -> None:
        names = {backend.text for backend in setup.backends}
        with client.stream("POST", "/v1/chat/completions", json=chat(model, stream=True)) as answer:
            assert answer.status_code == 200
            events = [line[6:] for line in answer.iter_lines() if line.startswith("data: ")]
        assert events[-1] == "[DONE]"
        deltas = [json.loads(event)["choices"][0]["delta"] for event in events[:-1]]
        assert "".join(delta.get("content") or "" for delta in deltas) in names
        with client.stream("POST", "/v1/messages", json=anthropic(model, stream=True)) as answer:
            assert answer.status_code == 200
            events = [line[6:] for line in answer.iter_lines() if line.startswith("data: ")]
        parsed = [json.loads(event) for event in events]
        texts = [
            event["delta"].get("text", "")
            for event in parsed
            if event["type"] == "content_block_delta"
        ]
        assert "".join(texts) in names
        assert parsed[0]["type"] == "message_start"
        assert parsed[-1]["type"] == "message_stop"

    def test_other_routes_of_agents(self, client: httpx.Client) -> None:
        counted = client.post("/v1/messages/count_tokens", json=anthropic("claude-x"))
        assert counted.status_code == 200, counted.text
        assert counted.json()["input_tokens"] > 0
        completed = client.post("/v1/completions", json={"model": "vllm_model", "prompt": "x"})
        assert completed.status_code == 200, completed.text
        assert completed.json()["choices"][0]["text"].startswith("the answer of")
        assert client.post("/chat/completions", json=chat("vllm_model")).status_code == 200
        assert client.get("/models").status_code == 200


class TestBackends:
    def test_both_are_used(self, setup: Setup, client: httpx.Client) -> None:
        before = setup.calls()
        for _ in range(40):
            assert client.post("/v1/chat/completions", json=chat("vllm_model")).status_code == 200
        used = [now - then for now, then in zip(setup.calls(), before, strict=True)]
        assert sum(used) == 40
        assert min(used) >= 4, used

    @pytest.mark.parametrize("way", ["x-claude-code-session-id", "x-litellm-session-id", "user_id"])
    def test_a_session_stays_on_one(self, setup: Setup, client: httpx.Client, way: str) -> None:
        used_by_session = []
        for session in range(20):
            before = setup.calls()
            for _ in range(2):
                mark = f"5f0c2c1e-0000-4000-8000-{session:012d}"
                body, headers = anthropic("claude-x"), {way: mark}
                if way == "user_id":
                    user = f"user_{'a' * 64}_account__session_{mark}"
                    body, headers = {**body, "metadata": {"user_id": user}}, {}
                assert client.post("/v1/messages", json=body, headers=headers).status_code == 200
            used = [now - then for now, then in zip(setup.calls(), before, strict=True)]
            assert sorted(used) == [0, 2], used
            used_by_session.append(used.index(2))
        assert len(Counter(used_by_session)) == 2, "every session on the same server"

    def test_one_dies_and_comes_back(self, setup: Setup, client: httpx.Client) -> None:
        headers = {"x-litellm-session-id": "mortal"}
        first = client.post("/v1/chat/completions", json=chat("vllm_model"), headers=headers)
        dead = int(first.json()["choices"][0]["message"]["content"][-1])
        setup.end_backend(dead)
        try:
            answers = [
                client.post("/v1/chat/completions", json=chat("vllm_model"), headers=headers)
                for _ in range(10)
            ]
        finally:
            setup.start_backend(dead)
        assert {answer.status_code for answer in answers} == {200}
        texts = {answer.json()["choices"][0]["message"]["content"] for answer in answers}
        assert texts == {setup.backends[1 - dead].text}
        # The session is still its own.
        wait_until(lambda: not setup.recorder.is_down(dead), 10, "return of the dead server")
        again = client.post("/v1/chat/completions", json=chat("vllm_model"), headers=headers)
        assert again.json()["choices"][0]["message"]["content"] == setup.backends[dead].text

    @pytest.mark.parametrize("outage", [1, 8])
    def test_all_die_and_calls_succeed_soon_after_they_are_back(
        self, setup: Setup, client: httpx.Client, outage: float
    ) -> None:
        def statuses(seconds: float, *, until: int | None = None) -> list[int]:
            """Of calls one after the other, until one has that status."""
            found: list[int] = []
            begun = time.monotonic()
            while time.monotonic() - begun < seconds and (not found or found[-1] != until):
                answer = client.post("/v1/chat/completions", json=chat("vllm_model"))
                found.append(answer.status_code)
                time.sleep(0.05)
            return found

        for index in range(2):
            setup.end_backend(index)
        try:
            # Never 429, which agents take for a limit that they have reached.
            assert set(statuses(outage)) == {503}
        finally:
            for index in range(2):
                setup.start_backend(index)
        back = time.monotonic()
        assert set(statuses(30, until=200)) <= {503, 200}
        blind = time.monotonic() - back
        assert blind < BLIND_SECONDS, f"calls failed for {blind:.1f} s"
        wait_until(lambda: not any(map(setup.recorder.is_down, range(2))), 10, "both servers")
        assert set(statuses(2)) == {200}


class TestKeys:
    """LiteLLM's own routes, listed from its application, with each key."""

    @pytest.fixture(scope="class")
    def routes(self) -> list[tuple[str, str]]:
        program = Path(__file__).parent / "support" / "proxy_routes.py"
        done = subprocess.run(
            [sys.executable, program], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr[-3000:]
        routes = [(method, path) for method, path in json.loads(done.stdout)]
        assert len(routes) > 1000
        assert set(routes) >= ALLOWED | PROBES
        return routes

    @staticmethod
    def statuses(
        proxy: Proxy, routes: list[tuple[str, str]], headers: dict[str, str], prefix: str = ""
    ) -> dict[tuple[str, str], int]:
        """What each route answers; parameters in its path are filled in."""
        found = {}
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
        for method, template in routes:
            path = prefix + re.sub(r"{[^}]*}", "x", template)
            sent = dict(headers)
            verb = "GET" if method in ("WEBSOCKET", "MOUNT") else method
            if method == "MOUNT":
                path += "/index.html"
            if method == "WEBSOCKET":
                sent |= {"Connection": "Upgrade", "Upgrade": "websocket"}
                sent |= {
                    "Sec-WebSocket-Version": "13",
                    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                }
            connection.request(verb, path, headers=sent)
            answer = connection.getresponse()
            answer.read()
            found[method, template] = answer.status
            if method == "WEBSOCKET" or answer.will_close:
                connection.close()
        connection.close()
        return found

    @pytest.mark.parametrize("header", ["x-api-key", "Authorization"])
    def test_the_sandboxes_key_opens_nothing_else(
        self, setup: Setup, routes: list[tuple[str, str]], header: str
    ) -> None:
        value = SANDBOX_KEY if header == "x-api-key" else f"Bearer {SANDBOX_KEY}"
        closed = [route for route in routes if route not in ALLOWED | PROBES]
        statuses = self.statuses(setup.proxy, closed, {header: value})
        assert {route: code for route, code in statuses.items() if code != 403} == {}

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"x-api-key": ""},
            {"x-api-key": "sk-wrong"},
            {"x-api-key": SANDBOX_KEY[:-1]},
            {"x-api-key": f"{SANDBOX_KEY} x"},
            {"x-api-key": "schlüssel"},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer "},
            {"Authorization": SANDBOX_KEY},
            {"Authorization": f"Basic {SANDBOX_KEY}"},
            {"api-key": SANDBOX_KEY},
            {"x-goog-api-key": MASTER_KEY},
            {"x-litellm-api-key": MASTER_KEY},
            {"Cookie": f"token={MASTER_KEY}"},
        ],
    )
    def test_no_or_unknown_key(self, setup: Setup, headers: dict[str, str]) -> None:
        some = [
            *sorted(ALLOWED),
            ("GET", "/"),
            ("GET", "/docs"),
            ("GET", "/ui/"),
            ("POST", "/token"),
        ]
        statuses = self.statuses(setup.proxy, [*some, ("WEBSOCKET", "/v1/realtime")], headers)
        websocket = statuses.pop(("WEBSOCKET", "/v1/realtime"))
        assert set(statuses.values()) == {401}
        # A web socket can only be refused with 403.
        assert websocket == 403

    def test_without_a_key_nothing_opens_but_the_probes(
        self, setup: Setup, routes: list[tuple[str, str]]
    ) -> None:
        statuses = self.statuses(setup.proxy, routes, {})
        opened = {route for route, code in statuses.items() if code not in (401, 403)}
        assert opened == PROBES
        assert {statuses[probe] for probe in PROBES} == {200}

    @pytest.mark.parametrize(
        "path",
        [
            *("//v1/models", "/v1//models", "/v1/models/", "/V1/MODELS", "/v1/Models"),
            *(
                "/v1/models/..",
                "/v1/models/../../model/info",
                "/v1/models/%2e%2e/%2e%2e/model/info",
            ),
            *("/v1/models%2f..%2f..%2fmodel%2finfo", "/v1/models;/model/info", "/v1/models%00"),
            *("/v1/models%3f", "/v1/models%20", "/./v1/models", "/model/info?x=/v1/models"),
            *("/model%2finfo", "/model/info#/v1/models", "/llm/v1/models", "http://x/model/info"),
            *("/v1/models/vllm_model", "/v1/messages/batches", "/mcp/v1/models", "/ui/v1/models"),
        ],
    )
    def test_no_spelling_opens_another_route(self, setup: Setup, path: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", setup.proxy.port, timeout=30)
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", "127.0.0.1/v1/models?")
        connection.putheader("x-api-key", SANDBOX_KEY)
        connection.endheaders()
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        assert answer.status == 403, content

    def test_an_encoded_spelling_of_an_open_route_is_that_route(self, client: httpx.Client) -> None:
        assert client.get("/v1%2Fmodels").status_code == 200

    def test_headers_cannot_disagree(self, setup: Setup) -> None:
        """LiteLLM looks into more headers than agents use; the weaker key counts."""
        mixed = {"x-api-key": SANDBOX_KEY, "x-litellm-api-key": "wrong"}
        assert httpx.get(f"{setup.proxy.url}/v1/models", headers=mixed).status_code == 401
        mixed = {"Authorization": f"Bearer {MASTER_KEY}", "x-litellm-api-key": SANDBOX_KEY}
        assert httpx.get(f"{setup.proxy.url}/model/info", headers=mixed).status_code == 403

    @pytest.mark.parametrize("header", ["x-api-key", "Authorization"])
    def test_the_master_key_opens_everything(self, setup: Setup, header: str) -> None:
        value = MASTER_KEY if header == "x-api-key" else f"Bearer {MASTER_KEY}"
        with setup.proxy.client(value, header) as client:
            assert client.get("/model/info").status_code == 200
            assert client.get("/").status_code == 200
            answer = client.post("/v1/chat/completions", json=chat("vllm_model"))
            assert answer.status_code == 200

    def test_below_a_root_path(self, setup: Setup) -> None:
        with setup.below_a_path.client() as client:
            assert client.get("/llm/v1/models").status_code == 200
            answer = client.post("/llm/v1/chat/completions", json=chat("vllm_model"))
            assert answer.status_code == 200, answer.text
            for path in ("/llm/model/info", "/llm/llm/v1/models", "/llm", "/llm/", "/llmv1/models"):
                assert client.get(path).status_code == 403, path
        assert httpx.get(f"{setup.below_a_path.url}/llm/health/liveliness").status_code == 200
        assert httpx.get(f"{setup.below_a_path.url}/llm/docs").status_code == 401

    def test_a_body_cannot_redirect_a_call(self, setup: Setup, client: httpx.Client) -> None:
        """The proxy reaches more of the network than a sandbox does."""
        reached: list[str] = []

        def canary(request: Any) -> None:
            reached.append(request.path)
            request.answer(200, b"{}")

        with answering(canary) as server:
            url = f"{server.url}/v1"
            elsewhere = {"model": "openai/x", "api_base": url, "api_key": "x"}
            entry = {"model_name": "vllm_model", "litellm_params": elsewhere}
            for more in (
                {"api_base": url},
                {"base_url": url},
                {"user_config": {"model_list": [entry]}},
                {"fallbacks": [{"vllm_model": ["x"]}, elsewhere]},
                {"fallbacks": [elsewhere]},
                {"litellm_params": elsewhere},
                {"extra_body": {"api_base": url}},
                {"metadata": {"api_base": url}},
                {"litellm_metadata": {"api_base": url}},
                {"model": "openai/x", "api_base": url},
                {"model": "gpt-4o", "fallbacks": [elsewhere]},
                {"deployment_id": "x", "api_base": url},
                {"callbacks": ["x"], "success_callback": ["webhook"], "webhook_url": url},
            ):
                for path, body in {"/v1/chat/completions": chat, "/v1/messages": anthropic}.items():
                    client.post(path, json={**body("vllm_model"), **more})
            assert reached == []
            httpx.post(url, trust_env=False)
            assert reached == ["/v1"], "the canary cannot tell"


def test_does_not_start_without_the_sandboxes_key(setup: Setup, tmp_path: Path) -> None:
    configuration = setup.proxy.process.log.parent / "proxy" / "config.yaml"
    proxy = Proxy(configuration, tmp_path / "proxy.log", SANDBOX_API_KEY="")
    try:
        assert proxy.process.wait(90) != 0
        assert "SANDBOX_API_KEY is not set" in proxy.process.errors + proxy.process.output
    finally:
        proxy.process.kill()
