"""The decisions of sandbox_auth.py without a server: what it does at import, and with each key."""

from __future__ import annotations

import asyncio
import importlib
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.proxy import trial_key


class Refused(Exception):
    def __init__(self, code: int, **_: object) -> None:
        self.code = code


def load(
    monkeypatch: pytest.MonkeyPatch,
    master: str | None = "sk-master",
    sandbox: str | None = "sk-box",
) -> Any:
    """The module with stand-ins for LiteLLM, which takes seconds to import."""
    for name, key in {"LITELLM_MASTER_KEY": master, "SANDBOX_API_KEY": sandbox}.items():
        monkeypatch.delenv(name, raising=False)
        if key is not None:
            monkeypatch.setenv(name, key)
    roles = SimpleNamespace(PROXY_ADMIN="proxy_admin", INTERNAL_USER="internal_user")
    names: dict[str, dict[str, Any]] = {
        "fastapi": {"Request": object},
        "litellm": {},
        "litellm.proxy": {},
        "litellm.proxy._types": {
            "LitellmUserRoles": roles,
            "ProxyException": Refused,
            "UserAPIKeyAuth": lambda **values: values,
        },
        "litellm.proxy.proxy_server": {"app": SimpleNamespace(middleware_stack=object())},
    }
    for name, attributes in names.items():
        module = types.ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "sandbox_auth", raising=False)
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "runtime"))
    return importlib.import_module("sandbox_auth")


@pytest.mark.parametrize(
    ("master", "sandbox", "complaint"),
    [
        ("sk-master", None, "SANDBOX_API_KEY is not set"),
        ("sk-master", "", "SANDBOX_API_KEY is not set"),
        (None, "sk-box", "LITELLM_MASTER_KEY is not set"),
        ("sk-same", "sk-same", "are the same key"),
    ],
)
def test_refuses_to_load(
    monkeypatch: pytest.MonkeyPatch, master: str | None, sandbox: str | None, complaint: str
) -> None:
    with pytest.raises(RuntimeError, match=complaint) as failure:
        load(monkeypatch, master, sandbox)
    assert "sk-" not in str(failure.value)


def test_puts_one_gate_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(monkeypatch)
    gate = module.app.middleware_stack
    assert isinstance(gate, module.Gate)
    module._put_gate_in_front()
    assert module.app.middleware_stack is gate


def test_whose_key(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(monkeypatch)
    keys: dict[bytes, str | None] = {b"sk-master": "administrator", b"sk-box": "sandbox"}
    for other in (
        b"",
        b"sk-",
        b"sk-boxx",
        b"SK-BOX",
        b"sk-box\x00",
        b"\xff\xfe",
        "schlüssel".encode(),
    ):
        keys[other] = None
    assert {key: module.caller_of(key) for key in keys} == keys


@pytest.mark.parametrize(
    ("path", "root", "expected"),
    [
        ("/v1/models", "", "/v1/models"),
        ("/llm/v1/models", "/llm", "/v1/models"),
        ("/llm/v1/models", "/llm/", "/v1/models"),
        ("/llm/llm/v1/models", "/llm", "/llm/v1/models"),
        ("/llmx/v1/models", "/llm", "/llmx/v1/models"),
        ("/v1/models", "/llm", "/v1/models"),
    ],
)
def test_path_below_the_root(
    monkeypatch: pytest.MonkeyPatch, path: str, root: str, expected: str
) -> None:
    module = load(monkeypatch)
    assert module.path_of({"path": path, "root_path": root}) == expected


def test_a_mounted_application_does_not_shorten_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(monkeypatch)
    scope = {"path": "/mcp/v1/models", "root_path": "/mcp", "app_root_path": ""}
    assert module.path_of(scope) == "/mcp/v1/models"


@pytest.mark.parametrize(
    ("method", "path", "key", "outcome"),
    [
        ("GET", "/v1/models", "sk-box", "internal_user"),
        ("GET", "/v1/models", "Bearer sk-box", "internal_user"),
        ("POST", "/v1/models", "sk-box", 403),
        ("GET", "/model/info", "sk-box", 403),
        ("GET", "/model/info", "sk-master", "proxy_admin"),
        ("GET", "/v1/models", "", 401),
        ("GET", "/v1/models", "sk-wrong", 401),
        ("GET", "/v1/models", "schlüssel\udcff", 401),
    ],
)
def test_custom_auth_decides_by_itself_too(
    monkeypatch: pytest.MonkeyPatch, method: str, path: str, key: str, outcome: str | int
) -> None:
    """The gate is in front of it; it must not depend on that."""
    module = load(monkeypatch)
    request = SimpleNamespace(method=method, scope={"path": path})
    if isinstance(outcome, int):
        with pytest.raises(Refused) as refused:
            asyncio.run(module.check(request, key))
        assert refused.value.code == outcome
    else:
        assert asyncio.run(module.check(request, key))["user_role"] == outcome


@pytest.mark.parametrize("trial", ["fix-sum__0a1b2c3d4e", "a.b.c", "x"])
def test_a_trials_key_opens_what_sandboxes_may_open(
    monkeypatch: pytest.MonkeyPatch, trial: str
) -> None:
    auth = load(monkeypatch)
    key = trial_key("sk-box", trial)
    assert auth.caller_of(key.encode()) == "sandbox"
    assert auth.trial_of(key.encode()) == trial
    request = SimpleNamespace(method="POST", scope={"path": "/v1/messages"})
    found = asyncio.run(auth.check(request, f"Bearer {key}"))
    assert found["metadata"] == {auth.TRIAL: trial}
    plain = asyncio.run(auth.check(request, "Bearer sk-box"))
    assert plain["metadata"] == {}


@pytest.mark.parametrize(
    "key",
    [
        trial_key("sk-other", "mine"),
        trial_key("sk-box", "mine").replace("mine", "yours"),
        trial_key("sk-box", "mine")[:-1],
        trial_key("sk-box", "mine") + "0",
        "sk-mine.",
        "sk-.",
        "sk-",
        ".",
        "sk-\udcff.00",
    ],
)
def test_a_forged_key_of_a_trial_opens_nothing(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    auth = load(monkeypatch)
    assert auth.caller_of(key.encode(errors="surrogateescape")) is None
