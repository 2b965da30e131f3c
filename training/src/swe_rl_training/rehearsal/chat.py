"""Conversations as tokens: what a rendered prompt says, and how a policy writes a tool call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


def _shell(content: str) -> Tool | None:
    """The tool among the JSON lines that a template makes of an agent's tools."""
    for line in content.splitlines():
        if not line.startswith("{"):
            continue
        try:
            function = json.loads(line)["function"]
            parameters = function["parameters"]
        except (ValueError, KeyError, TypeError):
            continue
        named = any(word in function["name"].lower() for word in SHELL)
        if named and "command" in parameters.get("properties", {}):
            return Tool(function["name"], parameters)
    return None


def written(tool: Tool, command: str, parser: str) -> str | None:
    """A call of the tool in the format of one of vLLM's parsers; None for a format that is not known here."""
    arguments = tool.arguments(command)
    if parser == "hermes":
        call = json.dumps({"name": tool.name, "arguments": arguments})
        return f"<tool_call>\n{call}\n</tool_call>"
    if parser in ("qwen3_coder", "qwen3_xml"):
        lines = [f"<parameter={name}>\n{value}\n</parameter>" for name, value in arguments.items()]
        return "\n".join(["<tool_call>", f"<function={tool.name}>", *lines, "</function>", "</tool_call>"])
    return None

