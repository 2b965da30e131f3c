"""Conversations as text: what a rendered prompt says, and how a policy writes a tool call."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

MESSAGE = re.compile(r"<\|im_start\|>(\w+)\n(.*?)(?:<\|im_end\|>|\Z)", re.DOTALL)
"""ChatML, which Qwen's templates write."""

SHELL = ("bash", "terminal", "shell")
"""What agents call the tool that runs a command, or part of its name."""


@dataclass(frozen=True)
class Tool:
    """An agent's tool that runs a command."""

    name: str
    parameters: Mapping[str, Any]

    def arguments(self, command: str) -> dict[str, Any]:
        """Of a call that runs it; what else the tool wants gets its first choice, or a few words."""
        arguments: dict[str, Any] = {"command": command}
        for name in self.parameters.get("required", []):
            if name not in arguments:
                kind = self.parameters["properties"][name]
                arguments[name] = (kind.get("enum") or ["Runs a command"])[0]
        return arguments


@dataclass(frozen=True)
class Prompt:
    """What a policy reads of its prompt."""

    user: str
    """All that was said to it."""
    calls: int
    """Tool calls that it has made."""
    shell: Tool | None


def read(text: str) -> Prompt:
    """Reads a rendered prompt. Of a template other than ChatML it sees no message."""
    user: list[str] = []
    calls = 0
    shell: Tool | None = None
    for role, content in MESSAGE.findall(text):
        if role == "assistant":
            calls += "<tool_call>" in content
        elif role == "user":
            user.append(content)
        else:
            shell = shell or _shell(content)
    return Prompt("\n".join(user), calls, shell)


def shell_of(tools: Iterable[Mapping[str, Any]]) -> Tool | None:
    """The one of an agent's tools that runs a command."""
    for tool in tools:
        function = tool["function"]
        named = any(word in function["name"].lower() for word in SHELL)
        if named and "command" in function["parameters"].get("properties", {}):
            return Tool(function["name"], function["parameters"])
    return None


def _shell(content: str) -> Tool | None:
    """The same, of the JSON lines that a template makes of the tools."""
    for line in content.splitlines():
        try:
            if line.startswith("{") and (tool := shell_of([json.loads(line)])):
                return tool
        except (ValueError, KeyError, TypeError):
            continue
    return None


def written(tokenizer: PreTrainedTokenizerBase, text: str, tool: Tool, command: str) -> str:
    """A turn that calls the tool, as the template will render it in the prompt of the next.

    So the tokens of a conversation go on from those that were sampled.
    """
    asked = [{"role": "user", "content": ""}]
    function = {"name": tool.name, "arguments": tool.arguments(command)}
    call = {"id": "call", "type": "function", "function": function}
    said = {"role": "assistant", "content": text, "tool_calls": [call]}
    before = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*asked, said], tokenize=False)
    turn = str(whole).removeprefix(str(before))
    return turn.partition(str(tokenizer.eos_token))[0]
