"""The project's agent loop with the agent of this folder in the place of Harbor's, whose programs are not carried."""

from __future__ import annotations

from harbor.models.trial.config import AgentConfig
from swe_rl_training import trials
from swe_rl_training.loop import HarborAgentLoop
from swe_rl_training.settings import Agent


def conversation(agent: Agent, *, proxy_url: str, key: str, most_seconds: float) -> AgentConfig:
    """As swe_rl_training.agents.agent_config."""
    return AgentConfig(
        import_path="agent:Conversation",
        model_name=agent.model,
        kwargs={"turns": agent.max_iterations, "call_tokens": agent.call_tokens},
        env={"OPENAI_BASE_URL": f"{proxy_url}/v1", "OPENAI_API_KEY": key},
        override_timeout_sec=agent.base_seconds,
        max_timeout_sec=most_seconds,
    )


trials.agent_config = conversation


class ConversationLoop(HarborAgentLoop):
    """Loading it from here has put the agent in its place."""
