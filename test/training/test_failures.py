"""What goes wrong in a trial, with a real agent in a real container: a drop reason each time, and no sandbox left."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import swe_rl_training
from laboratory import Laboratory
from policy import Turn
from scripts import TASKS, Solver
from support.processes import Tree, wait_until
from support.programs import RUNTIME
from swe_rl_training.outcome import Drop
from swe_rl_training.trials import Sample
from trial_run import one_trial

TASK = TASKS / "sum-of-digits"


class Stopping:
    """A policy that stops at its second turn until it may go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self._solver = Solver(right=1)

    def __call__(self, messages: list[dict[str, Any]]) -> Turn:
        if any(message.get("tool_calls") for message in messages) and not self.go_on.is_set():
            self.reached.set()
            self.go_on.wait(240)
        return self._solver(messages)


@pytest.fixture
def run(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sample]:
    """Runs one trial of Claude Code, and beside it `meanwhile`."""
    for name, value in laboratory.sandboxes.variables.items():
        monkeypatch.setenv(name, value)

    def once(
        task: Path = TASK, meanwhile: Callable[[], None] = lambda: None, **changes: str
    ) -> Sample:
        trial = one_trial(task, laboratory.variables("claude-code", **changes))
        with ThreadPoolExecutor(1) as pool:
            # What is started beside it lives no longer than the thread that starts it.
            sample = pool.submit(asyncio.run, trial)
            meanwhile()
        assert laboratory.sandboxes.left() == []
        return sample.result()

    return once


@pytest.fixture
def stopping(laboratory: Laboratory) -> Iterator[Stopping]:
    script = Stopping()
    laboratory.follow(script)
    yield script
    script.go_on.set()


def reached(stopping: Stopping) -> None:
    assert stopping.reached.wait(90), "the agent made no second call"


def changed_task(folder: Path, **files: str) -> Path:
    """A copy of the task with other files."""
    task = folder / "changed"
    shutil.copytree(TASK, task)
    for name, content in files.items():
        (task / name.replace("__", "/").replace("_dot_", ".")).write_text(content)
    return task


def test_agent_that_is_killed(
    run: Callable[..., Sample], laboratory: Laboratory, stopping: Stopping
) -> None:
    def kill() -> None:
        reached(stopping)
        [sandbox] = laboratory.sandboxes.left()
        laboratory.sandboxes.host.docker("exec", sandbox, "pkill", "-9", "-f", "claude")
        stopping.go_on.set()

    assert run(meanwhile=kill).drop == Drop.AGENT_FAILED


def test_sandbox_that_is_deleted_from_outside(
    run: Callable[..., Sample], laboratory: Laboratory, stopping: Stopping
) -> None:
    def delete() -> None:
        reached(stopping)
        [sandbox] = laboratory.sandboxes.left()
        laboratory.sandboxes.host.docker("rm", "--force", sandbox)
        stopping.go_on.set()

    sample = run(meanwhile=delete)
    assert sample.drop in (Drop.SANDBOX_LOST, Drop.AGENT_FAILED)
    assert (sample.reward, sample.trajectory) == (0, None)


def test_verifier_that_hangs(
    run: Callable[..., Sample], laboratory: Laboratory, tmp_path: Path
) -> None:
    laboratory.follow(Solver(right=1))
    text = (TASK / "task.toml").read_text().replace("timeout_sec = 120.0", "timeout_sec = 3.0")
    task = changed_task(
        tmp_path, tests__test_dot_sh="#!/bin/sh\nsleep 600\n", task_dot_toml=text
    )
    assert run(task).drop == Drop.VERIFIER_FAILED


def test_verifier_that_writes_no_reward(
    run: Callable[..., Sample], laboratory: Laboratory, tmp_path: Path
) -> None:
    laboratory.follow(Solver(right=1))
    task = changed_task(tmp_path, tests__test_dot_sh="#!/bin/sh\nexit 0\n")
    assert run(task).drop == Drop.VERIFIER_FAILED


def test_trial_over_its_deadline(run: Callable[..., Sample], stopping: Stopping) -> None:
    begun = time.monotonic()
    sample = run(SWE_RL_TRIAL_DEADLINE_SEC="15")
    assert sample.drop == Drop.DEADLINE
    assert time.monotonic() - begun < 45


@pytest.mark.parametrize("dropped", [True, False])
def test_agent_over_its_time(
    run: Callable[..., Sample], stopping: Stopping, dropped: bool
) -> None:
    reasons = "timeout,env_setup_failed" if dropped else "env_setup_failed"
    sample = run(HARBOR_AGENT_MAX_TIMEOUT_SEC="15", SWE_RL_DROP_REASONS=reasons)
    assert sample.drop == (Drop.TIMEOUT if dropped else None)
    # What it had sampled until then was not the solution.
    assert sample.reward == 0
    assert (sample.trajectory is None) == dropped


def test_proxy_that_is_down_for_a_minute(
    run: Callable[..., Sample], laboratory: Laboratory, stopping: Stopping
) -> None:
    proxy = laboratory.chain.proxy

    def restart() -> None:
        reached(stopping)
        proxy.process.kill()
        stopping.go_on.set()
        time.sleep(60)
        proxy.start()
        proxy.wait()

    sample = run(meanwhile=restart)
    # Claude Code asks again for longer than that.
    assert (sample.drop, sample.reward) == (None, 1)


def test_recorder_that_is_restarted(
    run: Callable[..., Sample], laboratory: Laboratory, stopping: Stopping
) -> None:
    recorder = laboratory.chain.recorder

    def restart() -> None:
        reached(stopping)
        recorder.process.kill()
        stopping.go_on.set()
        recorder.start()
        recorder.wait()

    sample = run(meanwhile=restart)
    assert (sample.drop, sample.reward) == (None, 1)
    assert sample.trajectory is not None and len(sample.trajectory.calls) == 4


@pytest.mark.parametrize("fault", ["too many requests", "overloaded"])
def test_servers_that_have_too_much_to_do(
    run: Callable[..., Sample], laboratory: Laboratory, fault: Any
) -> None:
    laboratory.follow(Solver(right=1))
    for policy in laboratory.policies:
        policy.faults[:] = [fault] * 3
    sample = run()
    assert (sample.drop, sample.reward) == (None, 1)
    assert sample.unusable_calls > 0


def test_disk_that_is_full(
    run: Callable[..., Sample], laboratory: Laboratory, tmp_path: Path
) -> None:
    laboratory.follow(Solver(right=1))
    with small_disk(tmp_path / "small"):
        sample = run(HARBOR_TRIALS_DIR=str(tmp_path / "small"))
    assert sample.drop in (Drop.STORAGE_FAILED, Drop.ENV_SETUP_FAILED)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_sandbox_that_does_not_start(
    run: Callable[..., Sample], laboratory: Laboratory, tmp_path: Path
) -> None:
    text = (TASK / "task.toml").read_text()
    task = changed_task(
        tmp_path, task_dot_toml=text.replace("python:3.12.12", "127.0.0.1:9/python:3.12.12")
    )
    sample = run(task, HARBOR_MAX_RETRIES="1")
    assert (sample.drop, sample.attempts) == (Drop.ENV_SETUP_FAILED, 2)


def test_task_that_harbor_cannot_read(run: Callable[..., Sample], tmp_path: Path) -> None:
    sample = run(changed_task(tmp_path, task_dot_toml="version = "), HARBOR_MAX_RETRIES="2")
    assert (sample.drop, sample.attempts) == (Drop.TASK_INVALID, 1)


def test_proxy_that_knows_no_key(run: Callable[..., Sample], laboratory: Laboratory) -> None:
    laboratory.follow(Solver(right=1))
    sample = run(SWE_RL_PROXY_KEY="another")
    assert sample.drop in (Drop.POLICY_UNREACHABLE, Drop.AGENT_FAILED)


def test_trainer_that_is_killed_in_the_middle_of_32_trials(
    laboratory: Laboratory, stopping: Stopping, tmp_path: Path
) -> None:
    """Nobody is left who could end its sandboxes but the reaper."""
    variables = {
        **laboratory.variables("claude-code", SWE_RL_PARALLEL_TRIALS="12"),
        **laboratory.sandboxes.with_deadline(30),
        "PYTHONPATH": str(Path(swe_rl_training.__file__).parents[1]),
        "HOME": str(tmp_path),
    }
    program = Path(__file__).with_name("many_trials.py")
    trainer = Tree([sys.executable, program, "32", TASK], log=tmp_path / "log", env=variables)
    try:
        wait_until(lambda: len(laboratory.sandboxes.left()) >= 6, 120, "six sandboxes")
    finally:
        trainer.kill()
    assert len(laboratory.sandboxes.left()) >= 6
    # Those that compose was about to start.
    time.sleep(3)
    reaper = Tree(
        [sys.executable, "-S", "-B", RUNTIME / "reap_docker_sandboxes.py"],
        log=tmp_path / "reaper",
        env={
            "DAEMON_SOCKET": laboratory.sandboxes.host.socket,
            "STACK": "run",
            "PAUSE_SECONDS": "1",
        },
    )
    try:
        wait_until(lambda: laboratory.sandboxes.left() == [], 120, "the reaper's work")
    finally:
        reaper.kill()


@pytest.mark.parametrize("dropped", [True, False])
def test_agent_that_has_had_all_its_turns(
    run: Callable[..., Sample], laboratory: Laboratory, dropped: bool
) -> None:
    laboratory.follow(Solver(right=1))
    reasons = "max_turns_reached" if dropped else ""
    sample = run(HARBOR_AGENT_MAX_ITERATIONS="2", SWE_RL_DROP_REASONS=reasons)
    assert (sample.drop, sample.reward) == (Drop.MAX_TURNS if dropped else None, 1)
