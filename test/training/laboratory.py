"""All that a trial goes through, on this machine: sandboxes by Docker, LiteLLM, the recorder, and policies that sample."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from policy import Policy, Script
from sandboxes import DEADLINE_SECONDS, GATEWAY, MOUNT, Sandboxes, sandboxes
from scripts import TASKS, Solver
from support.chain import Chain, chain
from support.proxy import SANDBOX_KEY
from swe_rl_training import index
from swe_rl_training.rehearsal.model import write_model
from transformers import PreTrainedTokenizerFast

SERVED = "vllm_model"
WINDOW, CALL_TOKENS = 100_000, 4096


def agents() -> dict[str, Path]:
    """The agents' programs as `images/agents` makes them, by their paths below the mount."""
    return {
        "bin/claude": Path(os.environ["SWE_RL_CLAUDE_CODE"]) / "claude",
        "bin/opencode": Path(os.environ["SWE_RL_OPENCODE"]) / "bin/opencode",
        "venv": Path(os.environ["SWE_RL_OPENHANDS_SDK"]),
    }


@dataclass
class Laboratory:
    folder: Path
    tokenizer: PreTrainedTokenizerFast
    sandboxes: Sandboxes
    chain: Chain
    policies: list[Policy]

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def trials(self) -> Path:
        return self.chain.recorder.trials

    def follow(self, script: Script) -> None:
        """What the policies say from now on."""
        for policy in self.policies:
            policy.script = script

    def index(self, *tasks: Path) -> Path:
        """An index of tasks, all of ours by default."""
        source = TASKS
        if tasks:
            source = self.folder / "tasks"
            source.mkdir(exist_ok=True)
            for task in tasks:
                (source / task.name).symlink_to(task)
        file = self.folder / "train.parquet"
        assert index.main([str(source), "-o", str(file), "--skip-images"]) == 0
        return file

    def variables(self, scaffold: str, **changes: str) -> dict[str, str]:
        """The environment of the training pods."""
        multipliers = {
            f"HARBOR_{phase}_TIMEOUT_MULTIPLIER": "1"
            for phase in ("ENVIRONMENT_BUILD", "AGENT_SETUP", "AGENT", "VERIFIER")
        }
        return {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "HARBOR_TRIALS_DIR": str(self.trials),
            "SWE_RL_PROXY_URL": f"http://{GATEWAY}:{self.chain.proxy.port}",
            "SWE_RL_PROXY_KEY": SANDBOX_KEY,
            "SWE_RL_SCAFFOLD": scaffold,
            "HARBOR_AGENT_RUNTIME_MOUNT_PATH": MOUNT,
            "SERVED_MODEL_NAME": SERVED,
            "HARBOR_AGENT_OVERRIDE_TIMEOUT_SEC": "300",
            "HARBOR_AGENT_MAX_TIMEOUT_SEC": "300",
            "HARBOR_VAL_AGENT_MAX_TIMEOUT_SEC": "300",
            "HARBOR_AGENT_MAX_ITERATIONS": "20",
            "HARBOR_AGENT_TEMPERATURE": "1",
            "HARBOR_OPENCODE_CONFIG_CONTENT": json.dumps(opencode_configuration()),
            "SWE_RL_AGENT_WINDOW": str(WINDOW),
            "SWE_RL_CALL_TOKENS": str(CALL_TOKENS),
            "HARBOR_ENVIRONMENT_IMPORT_PATH": "harbor.environments.docker.docker:DockerEnvironment",
            "HARBOR_ENVIRONMENT_FORCE_BUILD": "False",
            "HARBOR_ENVIRONMENT_DELETE": "True",
            "HARBOR_ENVIRONMENT_OVERRIDE_CPUS": "1",
            "HARBOR_ENVIRONMENT_OVERRIDE_MEMORY_MB": "1024",
            **multipliers,
            "SWE_RL_TRIAL_DEADLINE_SEC": str(DEADLINE_SECONDS),
            "SWE_RL_VAL_TRIAL_DEADLINE_SEC": str(DEADLINE_SECONDS),
            "HARBOR_MAX_RETRIES": "0",
            "HARBOR_VAL_MAX_RETRIES": "0",
            "SWE_RL_PARALLEL_TRIALS": "4",
            "NUM_WORKERS": "2",
            "HARBOR_TAIL_KILL_TARGET": "1",
            "HARBOR_TAIL_KILL_GRACE_SEC": "180",
            "HARBOR_TAIL_KILL_MIN_TASKS": "32",
            "SWE_RL_DROP_REASONS": "timeout",
            "HARBOR_VERIFIER_ENABLED": "True",
            **changes,
        }


def opencode_configuration() -> Mapping[str, object]:
    """As the Plan writes it (plan/verl/environment/agent.ts)."""
    model = f"hosted_vllm/{SERVED}"
    limit = {"context": WINDOW, "output": CALL_TOKENS}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Policy",
        "options": {
            "baseURL": "{env:HOSTED_VLLM_BASE_URL}",
            "apiKey": "{env:HOSTED_VLLM_API_KEY}",
        },
        "models": {SERVED: {"name": SERVED, "limit": limit}},
    }
    return {
        "model": model,
        "small_model": model,
        "enabled_providers": ["hosted_vllm"],
        "provider": {"hosted_vllm": provider},
    }


@contextmanager
def laboratory(folder: Path) -> Iterator[Laboratory]:
    tokenizer = write_model(folder / "model")
    policies = [
        Policy(f"server {number}", tokenizer=tokenizer, script=Solver(seed=number))
        for number in range(2)
    ]
    with sandboxes(agents()) as host, chain(folder / "chain", list(policies), host="0.0.0.0") as way:
        yield Laboratory(folder, tokenizer, host, way, policies)
