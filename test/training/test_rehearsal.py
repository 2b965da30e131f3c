"""The rollout servers of a rehearsal: tokens, calls, and answers that a weight sync cuts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from scripts import TASKS
from swe_rl_training.rehearsal import chat
from swe_rl_training.rehearsal.model import write_model
from swe_rl_training.rehearsal.policy import Bigrams
from swe_rl_training.rehearsal.server import RehearsalServer, Wishes
from transformers import AutoTokenizer

WINDOW = 20_000

BASH = {
    "type": "function",
    "function": {
        "name": "Bash",
        "description": "Runs a command.",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}, "description": {"type": "string"}},
            "required": ["command", "description"],
        },
    },
}

ASKED = {"role": "user", "content": (TASKS / "sum-of-digits/instruction.md").read_text()}


XML = """{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}{% for call in message.tool_calls or [] %}<tool_call>
<function={{ call.function.name }}>
{% for name, value in call.function.arguments.items() %}<parameter={{ name }}>
{{ value }}
</parameter>
{% endfor %}</function>
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{%- if tools %}<|im_start|>tools
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""Calls in the form of Qwen3-Coder."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    return folder


@pytest.fixture(params=["hermes", "qwen3_coder"])
def parser(request: pytest.FixtureRequest) -> str:
    """verl's name of a form of tool calls."""
    name: str = request.param
    return name


@pytest.fixture
def writing(model: Path, parser: str, tmp_path: Path) -> Path:
    """A model whose template writes calls in that form."""
    if parser == "hermes":
        return model
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = XML
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def with_server(
    model: Path, use: Callable[[RehearsalServer, str], Awaitable[Any]], parser: str = "hermes"
) -> Any:
    async def run() -> Any:
        tasks = tuple(str(task) for task in sorted(TASKS.iterdir()))
        server = RehearsalServer(Wishes(str(model), "vllm_model", parser, WINDOW, tasks), 0)
        await server.start()
        _, port = await server.get_server_address()
        return await use(server, f"http://127.0.0.1:{port}/v1/chat/completions")

    return asyncio.run(run())


def body(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "model": "vllm_model",
        "messages": list(messages),
        "tools": [BASH],
        "logprobs": True,
        "return_token_ids": True,
        **more,
    }


async def post(url: str, wanted: dict[str, Any]) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.post(url, json=wanted) as response:
        return response.status, await response.text()


def test_it_calls_the_shell_and_says_every_token_that_it_drew(writing: Path, parser: str) -> None:
    async def use(_: RehearsalServer, url: str) -> None:
        status, text = await post(url, body(ASKED))
        answer = json.loads(text)
        assert status == 200
        [choice] = answer["choices"]
        [call] = choice["message"]["tool_calls"]
        assert choice["finish_reason"] == "tool_calls"
        arguments = json.loads(call["function"]["arguments"])
        assert (call["function"]["name"], arguments["command"]) == ("Bash", "pwd && ls")
        tokenizer = AutoTokenizer.from_pretrained(writing)
        assert "sum" in tokenizer.decode(answer["prompt_token_ids"])
        tokens = choice["token_ids"]
        assert tokenizer.decode(tokens).startswith("Let me look.")
        assert tokens[-1] == tokenizer.eos_token_id
        logprobs = [one["logprob"] for one in choice["logprobs"]["content"]]
        assert len(logprobs) == len(tokens) and all(one < 0 for one in logprobs)

        # The next prompt begins with this one and its answer, token by token.
        said = {"role": "assistant", "content": choice["message"]["content"]}
        said["tool_calls"] = [{**call, "function": {"name": "Bash", "arguments": arguments}}]
        following = tokenizer.apply_chat_template([ASKED, said], tools=[BASH], return_dict=False)
        begin = [*answer["prompt_token_ids"], *tokens]
        if parser == "hermes":
            assert following[: len(begin)] == begin

    with_server(writing, use, parser)


def test_a_stream_says_the_same_as_a_whole_answer(model: Path) -> None:
    async def use(_: RehearsalServer, url: str) -> tuple[list[int], dict[str, Any]]:
        wanted = body(ASKED, stream=True, stream_options={"include_usage": True})
        _, text = await post(url, wanted)
        lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
        assert lines[-1] == "[DONE]"
        chunks = [json.loads(line) for line in lines[:-1]]
        assert chunks[0]["prompt_token_ids"]
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        tokens = [token for choice in choices for token in choice.get("token_ids") or []]
        assert chunks[-1]["usage"]["completion_tokens"] == len(tokens)
        said = "".join(choice["delta"].get("content", "") for choice in choices)
        [calls] = [c["delta"]["tool_calls"] for c in choices if "tool_calls" in c["delta"]]
        assert choices[-1]["finish_reason"] == "tool_calls"
        return tokens, {"content": said, "name": calls[0]["function"]["name"]}

    async def whole(_: RehearsalServer, url: str) -> tuple[list[int], dict[str, Any]]:
        [choice] = json.loads((await post(url, body(ASKED)))[1])["choices"]
        message = choice["message"]
        name = message["tool_calls"][0]["function"]["name"]
        return choice["token_ids"], {"content": message["content"], "name": name}

    assert with_server(model, use) == with_server(model, whole)


def test_an_answer_that_new_weights_cut_goes_on_where_it_was(model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    prompt = tokenizer.apply_chat_template(
        [ASKED], tools=[BASH], add_generation_prompt=True, return_dict=False
    )

    async def use(server: RehearsalServer, _: str) -> str:
        parameters = {"max_tokens": 1000}
        running = asyncio.create_task(
            server.generate(request_id="1", prompt_ids=prompt, sampling_params=parameters)
        )
        await asyncio.sleep(0.03)
        await server.set_weights(1)
        first = await running
        assert first.stop_reason == "aborted" and first.extra_fields["global_steps"] == 0
        rest = await server.generate(
            request_id="2", prompt_ids=[*prompt, *first.token_ids], sampling_params=parameters
        )
        assert rest.stop_reason == "completed" and rest.extra_fields["global_steps"] == 1
        assert len(first.token_ids) == len(first.log_probs)
        return str(tokenizer.decode([*first.token_ids, *rest.token_ids]))

    said = with_server(model, use)
    assert said.startswith("Let me look.") and said.endswith("</tool_call><|im_end|>")


def test_a_bound_above_the_window_is_refused_as_vllm_does(model: Path) -> None:
    async def use(_: RehearsalServer, url: str) -> None:
        status, text = await post(url, body(ASKED, max_tokens=WINDOW))
        assert status == 400
        assert "maximum context length is 20000 tokens" in json.loads(text)["error"]["message"]

    with_server(model, use)


def test_about_every_second_trial_applies_the_reference_solution(model: Path) -> None:
    looked = {
        "role": "assistant",
        "content": "Let me look. ",
        "tool_calls": [
            {
                "id": "1",
                "type": "function",
                "function": {"name": "Bash", "arguments": {"command": "pwd && ls"}},
            }
        ],
    }
    result = {"role": "tool", "tool_call_id": "1", "content": "digits.py"}

    async def use(_: RehearsalServer, url: str) -> list[str]:
        texts = [(await post(url, body(ASKED, looked, result)))[1] for _ in range(12)]
        calls = [json.loads(t)["choices"][0]["message"]["tool_calls"][0] for t in texts]
        return [json.loads(call["function"]["arguments"])["command"] for call in calls]

    commands = with_server(model, use)
    solved = [command for command in commands if command != "echo nothing to do"]
    assert 2 <= len(solved) <= 10
    assert (TASKS / "sum-of-digits/solution/solve.sh").read_text().strip().endswith(solved[0])


def test_the_log_probability_is_that_of_the_draw() -> None:
    size, last, meant = 1300, 17, 5
    policy = Bigrams(size, seed=1)
    # Of a vocabulary whose logits repeat: those of every token, and the share of the meant one.
    drawn = [next(policy.draw(last, [meant])) for _ in range(50)]
    assert {token for token, _ in drawn} == {meant}
    logprob = drawn[0][1]
    assert -1e-4 < logprob < 0


def test_a_prompt_of_another_template_has_no_messages() -> None:
    assert chat.read("[INST] do it [/INST]") == chat.Prompt("", 0, None)
