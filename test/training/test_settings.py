"""What a worker reads of its environment, and what of it reaches Harbor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from swe_rl_training.policy import Access
from swe_rl_training.settings import (
    Agent,
    BadSetting,
    InProcessProxy,
    Limits,
    LiteLlm,
    Multipliers,
    Sandbox,
    Settings,
    TailKill,
)
from swe_rl_training.trials import Trials

VARIABLES = {
    "HARBOR_TRIALS_DIR": "/trials",
    "SWE_RL_PROXY_URL": "http://proxy:4000/",
    "SWE_RL_PROXY_KEY": "sk-proxy",
    "NUM_WORKERS": "3",
    "SWE_RL_PARALLEL_TRIALS": "10",
    "HARBOR_TAIL_KILL_TARGET": "0.95",
    "HARBOR_TAIL_KILL_GRACE_SEC": "106",
    "HARBOR_TAIL_KILL_MIN_TASKS": "107",
    "SWE_RL_DROP_REASONS": "timeout,overlong",
    "HARBOR_VERIFIER_ENABLED": "True",
    "SWE_RL_SCAFFOLD": "opencode",
    "HARBOR_AGENT_RUNTIME_MOUNT_PATH": "/opt/agent",
    "SERVED_MODEL_NAME": "policy",
    "HARBOR_AGENT_OVERRIDE_TIMEOUT_SEC": "101",
    "HARBOR_AGENT_MAX_ITERATIONS": "102",
    "HARBOR_AGENT_TEMPERATURE": "0.5",
    "SWE_RL_AGENT_WINDOW": "103",
    "SWE_RL_CALL_TOKENS": "104",
    "HARBOR_OPENCODE_CONFIG_CONTENT": '{"model": "x"}',
    "HARBOR_ENVIRONMENT_IMPORT_PATH": "some.module:Class",
    "HARBOR_ENVIRONMENT_FORCE_BUILD": "False",
    "HARBOR_ENVIRONMENT_DELETE": "True",
    "HARBOR_ENVIRONMENT_OVERRIDE_CPUS": "1.5",
    "HARBOR_ENVIRONMENT_OVERRIDE_MEMORY_MB": "105",
    "HARBOR_ENVIRONMENT_BUILD_TIMEOUT_MULTIPLIER": "2",
    "HARBOR_AGENT_SETUP_TIMEOUT_MULTIPLIER": "3",
    "HARBOR_AGENT_TIMEOUT_MULTIPLIER": "4",
    "HARBOR_VERIFIER_TIMEOUT_MULTIPLIER": "5",
    "HARBOR_AGENT_MAX_TIMEOUT_SEC": "201",
    "SWE_RL_TRIAL_DEADLINE_SEC": "202.5",
    "HARBOR_MAX_RETRIES": "203",
    "K8S_POD_STARTUP_TIMEOUT": "204",
    "HARBOR_VAL_AGENT_MAX_TIMEOUT_SEC": "301",
    "SWE_RL_VAL_TRIAL_DEADLINE_SEC": "302",
    "HARBOR_VAL_MAX_RETRIES": "303",
    "K8S_VAL_POD_STARTUP_TIMEOUT": "304",
}

STARTUP = {"K8S_POD_STARTUP_TIMEOUT", "K8S_VAL_POD_STARTUP_TIMEOUT"}
"""Not set on a Docker host."""

OPTIONAL = {*STARTUP, "HARBOR_OPENCODE_CONFIG_CONTENT", "SWE_RL_DROP_REASONS"}

TEXTS = {
    "HARBOR_TRIALS_DIR",
    "SWE_RL_PROXY_URL",
    "SWE_RL_PROXY_KEY",
    "SWE_RL_DROP_REASONS",
    "HARBOR_AGENT_RUNTIME_MOUNT_PATH",
    "SERVED_MODEL_NAME",
    "HARBOR_ENVIRONMENT_IMPORT_PATH",
}
"""Of which any value will do."""


def test_every_variable_lands_where_it_should() -> None:
    assert Settings.from_environment(VARIABLES) == Settings(
        trials_directory=Path("/trials"),
        proxy=LiteLlm(url="http://proxy:4000", key="sk-proxy"),
        agent=Agent(
            scaffold="opencode",
            runtime=Path("/opt/agent"),
            model="policy",
            base_seconds=101,
            max_iterations=102,
            temperature=0.5,
            window=103,
            call_tokens=104,
            opencode_config={"model": "x"},
        ),
        sandbox=Sandbox(
            import_path="some.module:Class",
            force_build=False,
            delete=True,
            cpus=1.5,
            memory_mb=105,
        ),
        multipliers=Multipliers(environment_build=2, agent_setup=3, agent=4, verifier=5),
        training=Limits(agent_seconds=201, trial_seconds=202.5, retries=203, startup_seconds=204),
        validation=Limits(agent_seconds=301, trial_seconds=302, retries=303, startup_seconds=304),
        parallel_trials=3,
        tail_kill=TailKill(target=0.95, grace_seconds=106, least_trials=107),
        drop_reasons=frozenset({"timeout", "overlong"}),
        verifies=True,
    )


def test_some_variables_may_be_missing() -> None:
    full = Settings.from_environment(VARIABLES)
    variables = {name: value for name, value in VARIABLES.items() if name not in OPTIONAL}
    assert Settings.from_environment(variables) == replace(
        full,
        agent=replace(full.agent, opencode_config={}),
        training=replace(full.training, startup_seconds=None),
        validation=replace(full.validation, startup_seconds=None),
        drop_reasons=frozenset(),
    )


@pytest.mark.parametrize("name", sorted(VARIABLES.keys() - OPTIONAL))
def test_a_missing_variable_is_named(name: str) -> None:
    variables = {other: value for other, value in VARIABLES.items() if other != name}
    with pytest.raises(BadSetting, match=rf"^{name} is not set$"):
        Settings.from_environment(variables)


@pytest.mark.parametrize("value", ["", "what?"])
@pytest.mark.parametrize("name", sorted(VARIABLES.keys() - TEXTS))
def test_a_malformed_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=rf"^{name} .*must be "):
        Settings.from_environment({**VARIABLES, name: value})


def test_a_worker_runs_at_least_one_trial() -> None:
    settings = Settings.from_environment({**VARIABLES, "SWE_RL_PARALLEL_TRIALS": "2"})
    assert settings.parallel_trials == 1


@pytest.mark.parametrize(
    ("is_validation", "bounds"),
    [
        (False, {"startup_timeout_sec": 204.0, "active_deadline_sec": 202}),
        (True, {"startup_timeout_sec": 304.0, "active_deadline_sec": 302}),
    ],
)
def test_only_a_cluster_gets_bounds_of_its_sandboxes(
    is_validation: bool, bounds: dict[str, float]
) -> None:
    docker = {name: value for name, value in VARIABLES.items() if name not in STARTUP}
    for variables, expected in ((VARIABLES, bounds), (docker, {})):
        settings = Settings.from_environment(variables)
        limits = settings.limits(is_validation=is_validation)
        config = Trials(settings)._config(Path("/task"), "trial", limits, Access("http://x", "sk-x"))
        assert config.environment.kwargs == expected


IN_PROCESS = {
    **{name: value for name, value in VARIABLES.items() if "SWE_RL_PROXY" not in name},
    "SWE_RL_POLICY_PORTS": "8100-8103",
    "SWE_RL_TOOL_PARSER": "hermes",
}


def test_a_worker_that_serves_the_policy_itself_needs_no_proxy() -> None:
    settings = Settings.from_environment(IN_PROCESS)
    assert settings.proxy == InProcessProxy(range(8100, 8104), "hermes")


@pytest.mark.parametrize("value", ["", "8100", "8103-8100", "0-3", "65000-65536", "a-b"])
def test_a_malformed_range_of_ports_is_named(value: str) -> None:
    with pytest.raises(BadSetting, match=r"^SWE_RL_POLICY_PORTS is .*must be "):
        Settings.from_environment({**IN_PROCESS, "SWE_RL_POLICY_PORTS": value})
