"""From the recorded calls of a trial to the sequence that is trained on."""

from __future__ import annotations

import json
import random
import time
from array import array
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from support.backend import Backend
from support.recorder import FILE_NAME, Recorder
from swe_rl_training.recording import Call, parse, read
from swe_rl_training.trajectory import Trajectory, Untrainable, stitch

LONG = {"prompt_length": 100_000, "response_length": 100_000}


def call(name: str, prompt: Sequence[int], sampled: Sequence[int], started: float = 0) -> Call:
    logprobs = [-(token % 97) / 10 - 0.01 for token in sampled]
    return Call(name, started, started, array("q", prompt), array("q", sampled), array("d", logprobs))


def trained(found: Trajectory) -> list[int]:
    """The tokens with mask 1."""
    return [t for t, m in zip(found.response_ids, found.response_mask, strict=True) if m]


def assert_sound(found: Trajectory, calls: Sequence[Call]) -> None:
    """Every trained token has the context and the log-probability with which a call sampled it."""
    sequence = found.prompt_ids + found.response_ids
    assert len(found.response_ids) == len(found.response_mask) == len(found.response_logprobs)
    by_context = {
        (len(one.prompt) + i, tuple(one.prompt), tuple(one.sampled[: i + 1])): one.logprobs[i]
        for one in calls
        for i in range(len(one.sampled))
    }
    for position, (mask, logprob) in enumerate(
        zip(found.response_mask, found.response_logprobs, strict=True), len(found.prompt_ids)
    ):
        if not mask:
            assert logprob == 0.0
            continue
        assert logprob in [
            value
            for (end, prompt, sampled), value in by_context.items()
            if end == position and sequence[: position + 1] == [*prompt, *sampled]
        ]


SYSTEM, TASK, TOOL = [1, 2, 3], [10, 11], [20, 21, 22]


def test_a_straight_conversation() -> None:
    calls = [
        call("a", SYSTEM + TASK, [100, 101]),
        call("b", [*SYSTEM, *TASK, 100, 101, *TOOL], [102], 1),
        call("c", [*SYSTEM, *TASK, 100, 101, *TOOL, 102, *TOOL], [103, 104], 2),
    ]
    found = stitch(calls, **LONG)
    assert found.prompt_ids == SYSTEM + TASK
    assert found.response_ids == [100, 101, *TOOL, 102, *TOOL, 103, 104]
    assert found.response_mask == [1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1]
    assert found.calls == ("a", "b", "c")
    assert (found.beside, found.rewritten, found.is_truncated) == ((), 0, False)
    assert_sound(found, calls)


def test_titles_summaries_and_sub_agents_stay_beside() -> None:
    calls = [
        call("title", [7, 7, 7], [70]),
        call("a", SYSTEM + TASK, [100, 101], 1),
        call("sub agent", [8, 8, 8, *TASK], [80, 81], 2),
        call("sub agent's second", [8, 8, 8, *TASK, 80, 81, *TOOL], [82], 3),
        call("b", [*SYSTEM, *TASK, 100, 101, *TOOL], [102, 103], 4),
    ]
    found = stitch(calls, **LONG)
    assert trained(found) == [100, 101, 102, 103]
    assert found.beside == ("title", "sub agent", "sub agent's second")
    assert_sound(found, calls)


def test_of_a_repeated_call_the_answer_counts_that_the_agent_took() -> None:
    calls = [
        call("lost", SYSTEM, [100, 1, 2, 3]),
        call("taken", SYSTEM, [100, 101], 1),
        call("next", [*SYSTEM, 100, 101, *TOOL], [102], 2),
    ]
    found = stitch(calls, **LONG)
    assert trained(found) == [100, 101, 102]
    assert found.calls == ("taken", "next")
    assert found.beside == ("lost",)
    assert_sound(found, calls)


def test_parallel_calls_with_one_prompt() -> None:
    calls = [call("a", SYSTEM, [100]), call("b", SYSTEM, [200, 201, 202])]
    assert trained(stitch(calls, **LONG)) == [200, 201, 202]


def test_of_a_compacted_conversation_the_longer_part_counts() -> None:
    before = [
        call("a", SYSTEM + TASK, [100, 101]),
        call("b", [*SYSTEM, *TASK, 100, 101, *TOOL], [102, 103], 1),
    ]
    after = [
        call("summary", [9, 9, 100, 101], [90], 2),
        call("c", [*SYSTEM, 90], [104], 3),
    ]
    assert trained(stitch([*before, *after], **LONG)) == [100, 101, 102, 103]
    longer = call("d", [*SYSTEM, 90, 104, *TOOL], [105, 106, 107, 108], 4)
    found = stitch([*before, *after, longer], **LONG)
    assert trained(found) == [104, 105, 106, 107, 108]
    assert found.beside == ("a", "b", "summary")


def test_what_a_template_writes_anew_is_context() -> None:
    """As tool calls whose arguments come back in another order."""
    calls = [
        call("a", SYSTEM, [100, 101, 102, 103]),
        call("b", [*SYSTEM, 100, 101, 555, 556, *TOOL], [104], 1),
    ]
    found = stitch(calls, **LONG)
    assert found.response_mask == [1, 1, 0, 0, 0, 0, 0, 1]
    assert trained(found) == [100, 101, 104]
    assert found.rewritten == 2
    assert_sound(found, calls)


def test_turns_whose_thoughts_are_left_out_do_not_count() -> None:
    """Templates that strip earlier reasoning: the later prompt does not repeat the earlier one."""
    calls = [
        call("a", [*SYSTEM, 50], [60, 61, 100]),
        call("b", [*SYSTEM, 100, *TOOL, 50], [62, 63, 64, 101], 1),
    ]
    found = stitch(calls, **LONG)
    assert trained(found) == [62, 63, 64, 101]
    assert found.beside == ("a",)
    assert_sound(found, calls)


def test_an_answer_that_is_gone_on_with() -> None:
    """A call that has the beginning of an answer in its prompt."""
    calls = [
        call("a", SYSTEM, [100, 101, 102]),
        call("b", [*SYSTEM, 100], [101, 102, 103], 1),
        call("c", [*SYSTEM, 100, 101, 102, 103, *TOOL], [104], 2),
    ]
    found = stitch(calls, **LONG)
    assert trained(found) == [100, 101, 102, 103, 104]
    assert_sound(found, calls)


class TestLengths:
    calls = [call("a", [1] * 10, [100, 101]), call("b", [*[1] * 10, 100, 101, *TOOL], [102], 1)]

    def test_a_long_first_prompt_goes_on_in_the_response(self) -> None:
        found = stitch(self.calls, prompt_length=4, response_length=100)
        assert (found.prompt_ids, found.response_ids[:6]) == ([1] * 4, [1] * 6)
        assert found.response_mask == [0] * 6 + [1, 1, 0, 0, 0, 1]
        assert_sound(found, self.calls)

    def test_a_long_response_is_cut(self) -> None:
        found = stitch(self.calls, prompt_length=10, response_length=4)
        assert (found.response_mask, found.is_truncated) == ([1, 1, 0, 0], True)
        assert_sound(found, self.calls)

    @pytest.mark.parametrize("response_length", [0, 3])
    def test_nothing_sampled_within_the_window(self, response_length: int) -> None:
        with pytest.raises(Untrainable, match="no sampled token within the window"):
            stitch(self.calls, prompt_length=4, response_length=response_length)

    def test_no_call(self) -> None:
        with pytest.raises(Untrainable, match="no call"):
            stitch([], **LONG)


def test_trials_made_up_at_random_are_sound() -> None:
    """Agents that answer, repeat, branch and forget."""
    for seed in range(300):
        chance = random.Random(seed)
        contexts = [[chance.randrange(5) for _ in range(chance.randrange(1, 6))]]
        calls: list[Call] = []
        for number in range(chance.randrange(1, 12)):
            context = chance.choice(contexts)
            sampled = [chance.randrange(4) for _ in range(chance.randrange(1, 6))]
            calls.append(call(f"{number}", context, sampled, number))
            kept = sampled if chance.random() < 0.7 else sampled[: chance.randrange(len(sampled))]
            tail = [chance.randrange(5) for _ in range(chance.randrange(1, 4))]
            contexts.append([*context, *kept, *tail])
        sizes = {"prompt_length": chance.choice([2, 50]), "response_length": chance.choice([3, 90])}
        try:
            found = stitch(calls, **sizes)
        except Untrainable:
            continue
        assert len(found.prompt_ids) <= sizes["prompt_length"]
        assert len(found.response_ids) <= sizes["response_length"]
        assert set(found.calls).isdisjoint(found.beside)
        assert_sound(found, calls)


def test_a_long_trial_takes_little_time() -> None:
    """200 turns up to a window of 131072 tokens."""
    context = list(range(4000))
    calls = []
    for number in range(200):
        sampled = [number * 1000 + i for i in range(300)]
        calls.append(call(str(number), context, sampled, number))
        context = [*context, *sampled, *range(330)]
    begun = time.monotonic()
    found = stitch(calls, prompt_length=40_000, response_length=131_072)
    assert time.monotonic() - begun < 20
    assert sum(found.response_mask) == 200 * 300


class TestLines:
    whole = {
        "id": "x",
        "started": 1.5,
        "outcome": "complete",
        "prompt_token_ids": [1, 2],
        "response_body": {"choices": [{"token_ids": [3], "logprobs": [-0.5]}]},
    }

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"outcome": "failed"}, "failed"),
            ({"outcome": "aborted by client"}, "aborted by client"),
            ({"prompt_token_ids": None}, "without token ids or log-probabilities"),
            ({"response_body": {"choices": []}}, "several answers"),
            (
                {"response_body": {"choices": [{"token_ids": None, "logprobs": None}]}},
                "without token ids or log-probabilities",
            ),
            (
                {"response_body": {"choices": [{"token_ids": [3, 4], "logprobs": [-0.5]}]}},
                "ids and log-probabilities of different length",
            ),
            (
                {"response_body": {"choices": [{"token_ids": [], "logprobs": []}]}},
                "nothing sampled",
            ),
        ],
    )
    def test_what_teaches_nothing_is_counted(self, change: dict[str, object], reason: str) -> None:
        lines = [json.dumps(self.whole).encode(), json.dumps({**self.whole, **change}).encode()]
        recording = parse(lines)
        assert [one.id for one in recording.calls] == ["x"]
        assert recording.unusable == {reason: 1}

    @pytest.mark.parametrize("torn", [b'{"id": "x", "outco', b"\xff\xfe", b"[1, 2]", b""])
    def test_a_torn_line_breaks_nothing(self, torn: bytes) -> None:
        recording = parse([json.dumps(self.whole).encode(), torn])
        assert len(recording.calls) == 1 and sum(recording.unusable.values()) == 1

    def test_a_trial_without_a_file(self, tmp_path: Path) -> None:
        assert read(tmp_path / "none.jsonl").calls == []


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_recorder_writes(private_network: None, tmp_path: Path, stream: bool) -> None:
    """The real recorder in front of a stand-in for a rollout server."""
    backend = Backend("server")
    with backend.running():
        recorder = Recorder(tmp_path, [backend])
        try:
            recorder.wait()
            url = f"{recorder.url}/servers/0/v1/chat/completions"
            body = {
                "model": "m",
                "stream": stream,
                "messages": [{"role": "user", "content": "hello"}],
            }
            headers = {"x-trajectory-output-path": f"/t/trial/agent/{FILE_NAME}"}
            assert httpx.post(url, json=body, headers=headers, trust_env=False).status_code == 200
            recorder.settled("trial", 1)
        finally:
            recorder.process.kill()
    recording = read(recorder.trials / "trial" / FILE_NAME)
    [made] = backend.calls
    found = stitch(recording.calls, **LONG)
    assert found.prompt_ids == made.prompt_token_ids
    assert (found.response_ids, found.response_logprobs) == (made.token_ids, made.logprobs)
