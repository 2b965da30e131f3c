"""An agent for models of random weights: it converses, whatever the model says.

It calls the policy by OpenAI's chat completions, streamed and not by turns, runs the commands that the model asks for,
and otherwise thanks and asks for more. A random model mends nothing, and equal rewards train nothing: so the agent
applies the task's own solution where the answers' checksum is even, which is about every second time.
"""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from typing import Any, override

import httpx
from harbor.agents.base import BaseAgent
from harbor.environments.base import BaseEnvironment
from harbor.models.agent.context import AgentContext

SHELL = {
    "type": "function",
    "function": {
        "name": "bash",
        "description": "Runs a shell command in the sandbox.",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}},
            "required": ["command"],
        },
    },
}

MOST_RESULT_CHARACTERS = 500
COMMAND_SECONDS = 20
CALL_SECONDS = 300.0

REACH_SECONDS = 90.0
"""How long nobody may answer: proxy and recorder start beside the trainer."""

Message = dict[str, Any]


class Conversation(BaseAgent):
    """`url` and `key` of the policy may also come as OPENAI_BASE_URL and OPENAI_API_KEY of the agent's environment."""

    def __init__(
        self,
        *args: Any,
        turns: int = 3,
        call_tokens: int = 128,
        url: str | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._turns = turns
        self._call_tokens = call_tokens
        self._url = url or self._get_env("OPENAI_BASE_URL")
        self._key = key or self._get_env("OPENAI_API_KEY") or "none"

    @staticmethod
    @override
    def name() -> str:
        return "conversation"

    @override
    def version(self) -> str | None:
        return "1"

    @override
    async def setup(self, environment: BaseEnvironment) -> None:
        """Nothing is installed."""

    @override
    async def run(
        self, instruction: str, environment: BaseEnvironment, context: AgentContext
    ) -> None:
        messages: list[Message] = [
            {"role": "system", "content": "You mend programs."},
            {"role": "user", "content": instruction},
        ]
        headers = {"Authorization": f"Bearer {self._key}"}
        if "." in self._key:
            # A key of proxy mode `litellm` names its trial, also where no LiteLLM reads it.
            headers["x-trajectory-output-path"] = self._key.removeprefix("sk-").rpartition(".")[0]
        async with httpx.AsyncClient(
            base_url=self._url or "", headers=headers, timeout=CALL_SECONDS, trust_env=False
        ) as client:
            for turn in range(self._turns):
                answer = await self._call(client, messages, is_streamed=turn % 2 == 1)
                if answer is None:
                    break
                messages.append(answer)
                messages += await self._results(answer, environment)
        (self.logs_dir / "conversation.json").write_text(json.dumps(messages, indent=1))
        said = "".join(message["content"] or "" for message in messages if message["role"] == "assistant")
        if zlib.crc32(said.encode()) % 2 == 0:
            await environment.upload_dir(environment.environment_dir.parent / "solution", "/solution")
            await environment.exec("sh /solution/solve.sh", timeout_sec=COMMAND_SECONDS)

    async def _call(
        self, client: httpx.AsyncClient, messages: list[Message], *, is_streamed: bool
    ) -> Message | None:
        """The assistant's message; None where the window is full. Raises httpx.HTTPError."""
        give_up = time.monotonic() + REACH_SECONDS
        while True:
            try:
                return await self._ask(client, messages, is_streamed=is_streamed)
            except (httpx.TransportError, httpx.HTTPStatusError):
                if time.monotonic() > give_up:
                    raise
                await asyncio.sleep(2)

    async def _ask(
        self, client: httpx.AsyncClient, messages: list[Message], *, is_streamed: bool
    ) -> Message | None:
        body = {
            "model": self.model_name,
            "messages": messages,
            "tools": [SHELL],
            "max_tokens": self._call_tokens,
            "stream": is_streamed,
        }
        async with client.stream("POST", "/chat/completions", json=body) as response:
            if response.status_code == 400:
                self.logger.info("the policy refuses: %s", (await response.aread())[:500])
                return None
            response.raise_for_status()
            if is_streamed:
                return _joined([line async for line in response.aiter_lines()])
            message = json.loads(await response.aread())["choices"][0]["message"]
        return _said(message.get("content"), message.get("tool_calls") or [])

    async def _results(self, answer: Message, environment: BaseEnvironment) -> list[Message]:
        calls = answer.get("tool_calls", [])
        if not calls:
            return [{"role": "user", "content": "Thank you. What else?"}]
        return [
            {
                "role": "tool",
                "tool_call_id": call["id"],
                "content": await _result(call["function"]["arguments"], environment),
            }
            for call in calls
        ]


async def _result(arguments: str, environment: BaseEnvironment) -> str:
    try:
        command = str(json.loads(arguments)["command"])
        done = await environment.exec(command, timeout_sec=COMMAND_SECONDS)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    output = f"{done.stdout or ''}{done.stderr or ''}"
    return f"exit code {done.return_code}\n{output[:MOST_RESULT_CHARACTERS]}"


def _said(content: str | None, calls: list[dict[str, Any]]) -> Message:
    message: Message = {"role": "assistant", "content": content or ""}
    if calls:
        message["tool_calls"] = [
            {"id": call["id"], "type": "function", "function": call["function"]} for call in calls
        ]
    return message


def _joined(lines: list[str]) -> Message:
    """The message of a stream of server-sent events. Raises httpx.HTTPError where it broke off."""
    content: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    for line in lines:
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            continue
        event = json.loads(data)
        if "error" in event:
            raise httpx.RemoteProtocolError(str(event["error"]))
        for choice in event.get("choices", []):
            delta = choice["delta"]
            content.append(delta.get("content") or "")
            for part in delta.get("tool_calls") or []:
                empty = {"id": "", "function": {"name": "", "arguments": ""}}
                call = calls.setdefault(part.get("index", 0), empty)
                call["id"] = part.get("id") or call["id"]
                for name in ("name", "arguments"):
                    call["function"][name] += part.get("function", {}).get(name) or ""
    return _said("".join(content), list(calls.values()))
