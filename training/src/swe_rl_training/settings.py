"""What the Plan has decided about trials, from the environment of the training pods."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Scaffold = Literal["claude-code", "opencode", "openhands-sdk"]


class BadSetting(ValueError):
    """A variable is missing or has no usable value. The message names it."""


@dataclass(frozen=True)
class Limits:
    """Bounds of a trial; another set holds for validation."""

    agent_seconds: float
    """Cap on the agent's phase."""
    trial_seconds: float
    """Deadline of the whole trial, sandbox included."""
    retries: int
    """Further attempts after one that failed before it could be rewarded."""
    startup_seconds: float | None
    """Until a sandbox must run on a cluster; None on a Docker host."""


@dataclass(frozen=True)
class Sandbox:
    """How Harbor makes a trial's environment."""

    import_path: str
    force_build: bool
    delete: bool
    cpus: float
    memory_mb: int


@dataclass(frozen=True)
class Multipliers:
    """Factors on the timeouts of the task."""

    environment_build: float
    agent_setup: float
    agent: float
    verifier: float


@dataclass(frozen=True)
class Agent:
    scaffold: Scaffold
    runtime: Path
    """Where the sandbox finds the agent's program."""
    model: str
    """Name under which the policy is served."""
    base_seconds: float
    """Timeout of the agent's phase before the cap."""
    max_iterations: int
    temperature: float
    window: int
    """Tokens of prompt and answer that the agent may fill."""
    call_tokens: int
    """Most tokens that one call may sample."""
    opencode_config: Mapping[str, object]


@dataclass(frozen=True)
class LiteLlm:
    """Proxy mode `litellm`."""

    url: str
    """As sandboxes reach it."""
    key: str
    """From which the keys of trials are made; no sandbox gets it."""


@dataclass(frozen=True)
class InProcessProxy:
    """Proxy mode `in_process`."""

    ports: range
    """Of which every worker takes one."""
    tool_parser: str
    """As verl names it."""


@dataclass(frozen=True)
class TailKill:
    """When the slowest trials of a step are given up."""

    target: float
    """Share of a step's trials that must end by themselves, over 0; 1 gives none up."""
    grace_seconds: float
    """From then until the others are ended."""
    least_trials: int
    """Of a step; in smaller ones none is given up."""


@dataclass(frozen=True)
class Settings:
    trials_directory: Path
    proxy: LiteLlm | InProcessProxy
    agent: Agent
    sandbox: Sandbox
    multipliers: Multipliers
    training: Limits
    validation: Limits
    parallel_trials: int
    """Trials that one worker runs at once."""
    tail_kill: TailKill
    drop_reasons: frozenset[str]
    """Reasons for which a rewarded trial is not trained on."""
    verifies: bool

    def limits(self, *, is_validation: bool) -> Limits:
        return self.validation if is_validation else self.training

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Raises BadSetting."""
        read = _Reader(environment)
        workers = read.integer("NUM_WORKERS")
        agent_seconds = read.number("HARBOR_AGENT_MAX_TIMEOUT_SEC")
        return cls(
            trials_directory=Path(read.text("HARBOR_TRIALS_DIR")),
            proxy=read.proxy(),
            agent=Agent(
                scaffold=read.scaffold("SWE_RL_SCAFFOLD"),
                runtime=Path(read.text("HARBOR_AGENT_RUNTIME_MOUNT_PATH")),
                model=read.text("SERVED_MODEL_NAME"),
                base_seconds=read.number("HARBOR_AGENT_OVERRIDE_TIMEOUT_SEC"),
                max_iterations=read.integer("HARBOR_AGENT_MAX_ITERATIONS"),
                temperature=read.number("HARBOR_AGENT_TEMPERATURE"),
                window=read.integer("SWE_RL_AGENT_WINDOW"),
                call_tokens=read.integer("SWE_RL_CALL_TOKENS"),
                opencode_config=read.object("HARBOR_OPENCODE_CONFIG_CONTENT", {}),
            ),
            sandbox=Sandbox(
                import_path=read.text("HARBOR_ENVIRONMENT_IMPORT_PATH"),
                force_build=read.truth("HARBOR_ENVIRONMENT_FORCE_BUILD"),
                delete=read.truth("HARBOR_ENVIRONMENT_DELETE"),
                cpus=read.number("HARBOR_ENVIRONMENT_OVERRIDE_CPUS"),
                memory_mb=read.integer("HARBOR_ENVIRONMENT_OVERRIDE_MEMORY_MB"),
            ),
            multipliers=Multipliers(
                environment_build=read.number("HARBOR_ENVIRONMENT_BUILD_TIMEOUT_MULTIPLIER"),
                agent_setup=read.number("HARBOR_AGENT_SETUP_TIMEOUT_MULTIPLIER"),
                agent=read.number("HARBOR_AGENT_TIMEOUT_MULTIPLIER"),
                verifier=read.number("HARBOR_VERIFIER_TIMEOUT_MULTIPLIER"),
            ),
            training=Limits(
                agent_seconds=agent_seconds,
                trial_seconds=read.number("SWE_RL_TRIAL_DEADLINE_SEC"),
                retries=read.integer("HARBOR_MAX_RETRIES"),
                startup_seconds=read.number_if_set("K8S_POD_STARTUP_TIMEOUT"),
            ),
            validation=Limits(
                agent_seconds=read.number("HARBOR_VAL_AGENT_MAX_TIMEOUT_SEC"),
                trial_seconds=read.number("SWE_RL_VAL_TRIAL_DEADLINE_SEC"),
                retries=read.integer("HARBOR_VAL_MAX_RETRIES"),
                startup_seconds=read.number_if_set("K8S_VAL_POD_STARTUP_TIMEOUT"),
            ),
            parallel_trials=max(1, read.integer("SWE_RL_PARALLEL_TRIALS") // workers),
            tail_kill=TailKill(
                target=read.number("HARBOR_TAIL_KILL_TARGET"),
                grace_seconds=read.number("HARBOR_TAIL_KILL_GRACE_SEC"),
                least_trials=read.integer("HARBOR_TAIL_KILL_MIN_TASKS"),
            ),
            drop_reasons=frozenset(
                filter(None, read.text("SWE_RL_DROP_REASONS", "").split(","))
            ),
            verifies=read.truth("HARBOR_VERIFIER_ENABLED"),
        )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str | None = None) -> str:
        value = self._environment.get(name, default)
        if value is None:
            raise BadSetting(f"{name} is not set")
        return value

    def number(self, name: str) -> float:
        value = self.text(name)
        try:
            return float(value)
        except ValueError:
            raise BadSetting(f"{name} is {value!r}, and must be a number") from None

    def number_if_set(self, name: str) -> float | None:
        return self.number(name) if name in self._environment else None

    def integer(self, name: str) -> int:
        value = self.text(name)
        try:
            return int(value)
        except ValueError:
            raise BadSetting(f"{name} is {value!r}, and must be a whole number") from None

    def truth(self, name: str) -> bool:
        value = self.text(name)
        if value not in ("True", "False"):
            raise BadSetting(f"{name} is {value!r}, and must be True or False")
        return value == "True"

    def object(self, name: str, default: Mapping[str, object]) -> Mapping[str, object]:
        try:
            value = json.loads(self.text(name, json.dumps(default)))
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise BadSetting(f"{name} must be a JSON object")
        return value

    def proxy(self) -> LiteLlm | InProcessProxy:
        if "SWE_RL_POLICY_PORTS" not in self._environment:
            url = self.text("SWE_RL_PROXY_URL").rstrip("/")
            return LiteLlm(url, self.text("SWE_RL_PROXY_KEY"))
        return InProcessProxy(self.ports("SWE_RL_POLICY_PORTS"), self.text("SWE_RL_TOOL_PARSER"))

    def ports(self, name: str) -> range:
        value = self.text(name)
        first, _, last = value.partition("-")
        try:
            ports = range(int(first), int(last) + 1)
        except ValueError:
            ports = range(0)
        if not ports or ports[0] < 1 or ports[-1] > 65535:
            raise BadSetting(f"{name} is {value!r}, and must be a range of ports such as 8100-8163")
        return ports

    def scaffold(self, name: str) -> Scaffold:
        value = self.text(name)
        for known in get_args(Scaffold):
            if value == known:
                return known
        raise BadSetting(f"{name} is {value!r}, and must be one of {', '.join(get_args(Scaffold))}")
