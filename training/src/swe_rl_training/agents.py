"""Harbor's own agents, whose programs are mounted into the sandbox instead of installed in it.

Harbor 0.25.0 installs an agent from the internet at the start of every trial. Sandboxes have no
internet, so these link the mounted runtime to where Harbor's class looks for the program.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, override

from harbor.agents.installed import openhands_sdk
from harbor.agents.installed.base import BaseInstalledAgent
from harbor.agents.installed.claude_code import ClaudeCode as HarborClaudeCode
from harbor.agents.installed.opencode import OpenCode as HarborOpenCode
from harbor.agents.installed.openhands_sdk import OpenHandsSDK as HarborOpenHandsSDK
from harbor.environments.base import BaseEnvironment
from harbor.models.trial.config import AgentConfig

from .settings import Agent

RUNTIME = "SWE_RL_AGENT_RUNTIME"
"""Variable of an agent with the directory of its mounted runtime."""


async def link_runtime(
    agent: BaseInstalledAgent, environment: BaseEnvironment, program: str, link: str
) -> None:
    """Makes `link` lead to `program` of the mounted runtime, and checks that it runs."""
    target = f"{agent.extra_env[RUNTIME]}/{program}"
    there = shlex.quote(target)
    await agent.exec_as_root(
        environment,
        command=(
            f"test -e {there} || {{ echo {there} is not in the sandbox >&2; exit 66; }}; "
            f"mkdir -p {shlex.quote(str(Path(link).parent))} && ln -sfn {there} {shlex.quote(link)}"
        ),
    )


class ClaudeCode(HarborClaudeCode):
    @override
    async def install(self, environment: BaseEnvironment) -> None:
        await link_runtime(self, environment, "bin/claude", "/usr/local/bin/claude")


class OpenCode(HarborOpenCode):
    @override
    async def install(self, environment: BaseEnvironment) -> None:
        await link_runtime(self, environment, "bin/opencode", "/usr/local/bin/opencode")


class OpenHandsSDK(HarborOpenHandsSDK):
    @override
    async def install(self, environment: BaseEnvironment) -> None:
        await link_runtime(self, environment, "venv", "/opt/openhands-sdk-venv")
        # As Harbor's own install, which also asks the internet for packages.
        runner = Path(openhands_sdk.__file__).with_name("openhands_sdk_runner.py")
        await environment.upload_file(runner, "/installed-agent/run_agent.py")


def agent_config(agent: Agent, *, proxy_url: str, key: str, most_seconds: float) -> AgentConfig:
    """The agent of one trial."""
    setup: Mapping[str, Any] = {
        "claude-code": _claude_code,
        "opencode": _opencode,
        "openhands-sdk": _openhands_sdk,
    }[agent.scaffold](agent, proxy_url, key)
    return AgentConfig(
        **{
            **setup,
            "env": {**setup["env"], RUNTIME: str(agent.runtime)},
            "override_timeout_sec": agent.base_seconds,
            "max_timeout_sec": most_seconds,
        }
    )


def _claude_code(agent: Agent, proxy_url: str, key: str) -> dict[str, Any]:
    return {
        "import_path": f"{__name__}:ClaudeCode",
        "model_name": agent.model,
        "kwargs": {"max_turns": agent.max_iterations},
        "env": {
            "ANTHROPIC_BASE_URL": proxy_url,
            "ANTHROPIC_API_KEY": key,
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(agent.call_tokens),
            # It takes the window of an unknown model as 200000 tokens.
            "CLAUDE_CODE_AUTO_COMPACT_WINDOW": str(agent.window),
            # Its header changes with every call, and so would the prompt's beginning.
            "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        },
    }


def _opencode(agent: Agent, proxy_url: str, key: str) -> dict[str, Any]:
    return {
        "import_path": f"{__name__}:OpenCode",
        "model_name": f"hosted_vllm/{agent.model}",
        "kwargs": {"opencode_config": dict(agent.opencode_config)},
        "env": {
            "HOSTED_VLLM_BASE_URL": f"{proxy_url}/v1",
            "HOSTED_VLLM_API_KEY": key,
            "OPENCODE_TEMPERATURE": f"{agent.temperature:g}",
        },
    }


def _openhands_sdk(agent: Agent, proxy_url: str, key: str) -> dict[str, Any]:
    return {
        "import_path": f"{__name__}:OpenHandsSDK",
        "model_name": f"hosted_vllm/{agent.model}",
        "kwargs": {
            "max_iterations": agent.max_iterations,
            "temperature": agent.temperature,
            "load_skills": False,
            # Without its limits LiteLLM inside the agent trims prompts to about 4k tokens.
            "config": {
                "max_input_tokens": agent.window,
                "max_output_tokens": agent.call_tokens,
            },
        },
        "env": {"LLM_BASE_URL": f"{proxy_url}/v1", "LLM_API_KEY": key},
    }
