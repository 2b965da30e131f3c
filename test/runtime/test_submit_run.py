"""The trainer's pod, against a real Ray; and its decisions, against a scripted one."""

from __future__ import annotations

import re
import signal
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import submit_run
import pytest
import ray_jobs
import run_end
from pod import GiveUp
from ray_jobs import Job
from support.cluster import JOBS_URL, TOKEN, Cluster
from support.fake_jobs import FakeJobs, ends_with
from support.network import free_port
from support.processes import Tree, wait_until
from support.programs import submitter_environment, start_program


def script(directory: Path, program: str) -> tuple[str, ...]:
    """A command that runs the program; Ray prints the command, so it must not hold the text."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"program-{zlib.crc32(program.encode())}.py"
    file.write_text(program)
    return sys.executable, "-S", str(file)


@pytest.fixture(scope="module")
def jobs(cluster: Cluster) -> ray_jobs.RayJobs:
    return ray_jobs.RayJobs(JOBS_URL, TOKEN)


def attempts(jobs: ray_jobs.RayJobs, name: str) -> dict[str, str]:
    """State of every submission of a stack."""
    found = {job.submission_id: job.status for job in jobs.submissions()}
    mine = re.compile(rf"{re.escape(name)}-.*-\d+")
    return {id: status for id, status in sorted(found.items()) if mine.fullmatch(id)}


def printed_by_run(submitter: Tree) -> bytes:
    """The submitter's standard output without the two lines that Ray writes itself."""
    content = Path(f"{submitter.log}.out").read_bytes()
    content = re.sub(rb"^[^\n]*Runtime env is setting up\.\n", b"", content, flags=re.MULTILINE)
    return re.sub(rb"Running entrypoint for job [^\n]*\n", b"", content)


FAILS_TWICE = """
import os, sys
with open('count', 'a') as count: count.write('x')
attempt = os.path.getsize('count')
print('attempt', attempt, 'begins')
if attempt < 3:
    print(f'step:{attempt} - loss:0.5')
    sys.exit(f'attempt {attempt} fails')
print('attempt', attempt, 'succeeds')
"""

PRINTS = r"""
import sys, time
write = sys.stdout.buffer.write
for i in range(40):
    write(b'line %d of the run, \xff\xfe, ' % i); sys.stdout.flush(); time.sleep(0.05)
    write(b'its end\n')
    if i % 10 == 0: write(b'x' * 150000 + b'\n')
write(b'throughput: 5 tokens/s\n')
write(b'no line end')
"""


class TestRunsThatEnd:
    """Three runs, followed side by side to their ends."""

    @pytest.fixture(scope="class")
    def ended(
        self, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[dict[str, Tree]]:
        directory = tmp_path_factory.mktemp("ended")

        def environment(name: str, program: str, **more: str) -> dict[str, str]:
            argv = script(directory / name, program)
            return submitter_environment(directory / name, name, argv, **more)

        hopeless = "raise SystemExit('no such model')"
        environments = {
            "good": environment("good", PRINTS),
            "flaky": environment("flaky", FAILS_TWICE),
            "hopeless": environment("hopeless", hopeless, max_restarts="10"),
        }
        submitters = {
            name: start_program("submit_run.py", environment, directory / name / "log")
            for name, environment in environments.items()
        }
        try:
            for submitter in submitters.values():
                submitter.wait(120)
            yield submitters
        finally:
            for submitter in submitters.values():
                submitter.kill()

    def test_success(self, ended: dict[str, Tree], jobs: ray_jobs.RayJobs) -> None:
        submitter = ended["good"]
        assert submitter.wait(0) == 0, submitter.errors
        assert attempts(jobs, "good") == {"good-aaaa-1": "SUCCEEDED"}

    def test_output_is_complete_and_not_repeated(self, ended: dict[str, Tree]) -> None:
        submitter = ended["good"]
        run_log = (submitter.log.parent / "logs" / "run.log").read_bytes()
        assert len(run_log) > 600_000
        assert run_log.count(b"its end\n") == 40
        assert run_log.endswith(b"tokens/s\nno line end")
        assert printed_by_run(submitter) == run_log
        assert (
            submitter.log.parent / "logs" / "run_vllm.log"
        ).read_text() == "throughput: 5 tokens/s\n"

    def test_failures_are_restarted(self, ended: dict[str, Tree], jobs: ray_jobs.RayJobs) -> None:
        submitter = ended["flaky"]
        assert submitter.wait(0) == 0, submitter.errors
        states = {"flaky-aaaa-1": "FAILED", "flaky-aaaa-2": "FAILED", "flaky-aaaa-3": "SUCCEEDED"}
        assert attempts(jobs, "flaky") == states
        assert printed_by_run(submitter).decode().splitlines() == [
            *("attempt 1 begins", "step:1 - loss:0.5", "attempt 1 fails"),
            *("attempt 2 begins", "step:2 - loss:0.5", "attempt 2 fails"),
            *("attempt 3 begins", "attempt 3 succeeds"),
        ]
        for attempt, next_start in {1: "restart 1 of 3 in 0.2 s", 2: "restart 2 of 3 in 0.4 s"}.items():
            said = f"flaky-aaaa-{attempt} has failed with exit code 1 after step {attempt}; {next_start}"
            assert said in submitter.errors

    def test_failures_before_the_first_step_end_it(self, ended: dict[str, Tree], jobs: ray_jobs.RayJobs) -> None:
        submitter = ended["hopeless"]
        assert submitter.wait(0) == 3, submitter.errors
        assert set(attempts(jobs, "hopeless").values()) == {"FAILED"}
        assert len(attempts(jobs, "hopeless")) == 3
        assert "3 failures in a row before the first step" in submitter.errors
        end = run_end.state_of(jobs, "hopeless-aaaa").end
        assert end is not None and not end.succeeded
        assert "3 failures in a row before the first step" in end.why
        assert end.why.endswith("no such model")
        assert submitter.errors.endswith("no such model\n")

    def test_a_new_pod_of_the_same_job_agrees(
        self, ended: dict[str, Tree], jobs: ray_jobs.RayJobs, tmp_path: Path
    ) -> None:
        for name, code in {"good": 0, "hopeless": 3}.items():
            directory = ended[name].log.parent
            environment = submitter_environment(directory, name, ["true"], max_restarts="10")
            again = start_program("submit_run.py", environment, tmp_path / name)
            assert again.wait(30) == code, again.errors
        assert len(attempts(jobs, "good")) == 1
        assert len(attempts(jobs, "hopeless")) == 3


def test_a_run_waits_for_the_gpus_of_a_worker_that_is_not_there_yet(
    cluster: Cluster, jobs: ray_jobs.RayJobs, tmp_path: Path
) -> None:
    argv = script(tmp_path, "print('it trains')")
    environment = submitter_environment(tmp_path, "early", argv, gpus="2")
    submitter = start_program("submit_run.py", environment, tmp_path / "submitter")
    try:
        said = "await_gpus: Ray has 0 of 2 GPUs; waiting for its workers"
        wait_until(lambda: said in submitter.output, 60, "a line about the GPUs")
        assert "it trains" not in submitter.output
        with cluster.gpus(2):
            assert submitter.wait(60) == 0, submitter.errors
    finally:
        submitter.kill()
    assert submitter.output.endswith("it trains\n")
    assert attempts(jobs, "early") == {"early-aaaa-1": "SUCCEEDED"}


LOSES_ITS_NODE = """
import os, time
first = not os.path.exists('begun')
open('begun', 'w').close()
print('step:5 - loss:0.5', flush=True)
while first and not os.path.exists('lost'): time.sleep(0.1)
if first: raise SystemExit('its actors are gone')
"""


def test_a_lost_node_costs_no_restart(
    cluster: Cluster, jobs: ray_jobs.RayJobs, tmp_path: Path
) -> None:
    """The run fails before Ray misses the node."""
    argv = script(tmp_path, LOSES_ITS_NODE)
    environment = submitter_environment(tmp_path, "loses", argv, gpus="2", LOSS_SECONDS="60")
    submitter = start_program("submit_run.py", environment, tmp_path / "submitter")
    try:
        with cluster.gpus(2):
            wait_until(lambda: "step:5 - " in submitter.output, 60, "the run's first step")
            assert jobs.gpus() == 2
            (tmp_path / "lost").touch()
            wait_until(lambda: jobs.get("loses-aaaa-1").is_over, 30, "the failure")
        assert jobs.gpus() == 0
        wait_until(lambda: "Ray has 0 of 2 GPUs; waiting" in submitter.output, 60, "the second wait")
        with cluster.gpus(2):
            assert submitter.wait(60) == 0, submitter.errors
    finally:
        submitter.kill()
    failed = "loses-aaaa-1 has failed with exit code 1 after step 5"
    assert f"{failed}; Ray has 0 of 2 GPUs, so that this does not count" in submitter.errors
    counted = {"after_step": "0", "before_step": "0", "losses": "1", "step": "5"}
    assert jobs.get("loses-aaaa-2").metadata == {"owner": "", **counted}


WAITS = """
import os, time
print('the run has begun', flush=True)
while not os.path.exists('go'): time.sleep(0.1)
print('the run ends')
"""


def test_a_run_outlives_its_submitters_and_ends_for_its_successor(
    cluster: Cluster, jobs: ray_jobs.RayJobs, tmp_path: Path
) -> None:
    """SIGTERM, SIGKILL, joining, and another fingerprint, in the order of a real life."""
    submitters: list[Tree] = []

    def follow(fingerprint: str, argv: tuple[str, ...]) -> Tree:
        environment = submitter_environment(tmp_path, "life", argv, fingerprint=fingerprint)
        log = tmp_path / f"submitter-{len(submitters)}"
        submitters.append(start_program("submit_run.py", environment, log))
        return submitters[-1]

    waits, ends = script(tmp_path, WAITS), script(tmp_path, "print('the successor')")
    try:
        # What belongs to no run of this stack is left alone.
        jobs.submit("life-other-aaaa-1", "exec sleep 600")
        drained = follow("aaaa", waits)
        wait_until(lambda: "has begun" in drained.output, 60, "the first output")
        drained.signal(signal.SIGTERM)
        assert drained.wait(10) == 143
        assert "no longer following life-aaaa-1, which goes on in Ray" in drained.errors

        lost = follow("aaaa", waits)
        wait_until(lambda: "has begun" in lost.output, 30, "the output of the joined run")
        assert "joining life-aaaa-1" in lost.errors
        lost.kill()
        assert attempts(jobs, "life")["life-aaaa-1"] == "RUNNING"

        outdated = follow("aaaa", waits)
        wait_until(lambda: "has begun" in outdated.output, 30, "the output of the joined run")
        successor = follow("bbbb", ends)
        assert successor.wait(60) == 0, successor.errors
        assert outdated.wait(30) == 5, outdated.errors
        reasons = ("life-aaaa-1 was stopped by somebody else", "life-bbbb-1 has taken the place")
        assert any(reason in outdated.errors for reason in reasons)
        assert "stopping life-aaaa-1" in successor.errors
        assert printed_by_run(successor) == b"the successor\n"

        # Back to the first: it was stopped, not finished, so it starts anew.
        (tmp_path / "go").touch()
        back = follow("aaaa", waits)
        assert back.wait(60) == 0, back.errors
        assert printed_by_run(back) == b"the run has begun\nthe run ends\n"
        assert attempts(jobs, "life") == {
            "life-aaaa-1": "STOPPED",
            "life-aaaa-2": "SUCCEEDED",
            "life-bbbb-1": "SUCCEEDED",
            "life-other-aaaa-1": "RUNNING",
        }
    finally:
        for submitter in submitters:
            submitter.kill()
        jobs.stop("life-other-aaaa-1")


def test_wrong_token(cluster: Cluster, tmp_path: Path) -> None:
    environment = submitter_environment(tmp_path, "x", ["true"], RAY_AUTH_TOKEN="wrong")
    submitter = start_program("submit_run.py", environment, tmp_path / "log")
    assert submitter.wait(30) == 4
    assert "refuses the token (RAY_AUTH_TOKEN) with 403" in submitter.errors


def test_silent_head(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    environment = submitter_environment(
        tmp_path, "x", ["true"], RAY_JOBS_URL=url, HEAD_TIMEOUT_SECONDS="1"
    )
    submitter = start_program("submit_run.py", environment, tmp_path / "log")
    assert submitter.wait(30) == 6
    assert "waiting for the head: http" in submitter.errors
    assert "the head was silent for 1 s" in submitter.errors


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ('"argv": []', "argv must be a list of texts"),
        ('"argv": "python3"', "argv must be a list of texts"),
        ('"argv": [1]', "argv must be a list of texts"),
        ('"fingerprint": "a-1"', "fingerprint must be letters and digits"),
        ('"name": ""', "must be texts"),
        ('"maxRestarts": -1', "maxRestarts must be a whole number"),
        ('"maxRestarts": "3"', "maxRestarts must be a whole number"),
        ('"gpus": 1.5', "gpus must be a whole number"),
        ("", "RUN_SPEC: Expecting"),
    ],
)
def test_unusable_spec(tmp_path: Path, changes: str, complaint: str) -> None:
    environment = submitter_environment(tmp_path, "x", ["true"])
    spec = Path(environment["RUN_SPEC"])
    spec.write_text(spec.read_text().removesuffix("}") + f", {changes}}}" if changes else "{")
    submitter = start_program("submit_run.py", environment, tmp_path / "log")
    assert submitter.wait(30) == 2
    assert complaint in submitter.errors
    assert len(submitter.errors.splitlines()) == 1


class TestDecisions:
    """What the submitter does with what Ray says."""

    @pytest.fixture(autouse=True)
    def pauses(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        pauses: list[float] = []
        monkeypatch.setattr(time, "sleep", pauses.append)
        return pauses

    def follow(
        self, ray: FakeJobs, *, owner: str = "", max_restarts: int = 3, gpus: int = 0
    ) -> None:
        run = submit_run.Run("run", "f", ("true",), "/", "/log", "/vllm-log", max_restarts, gpus)
        limits = submit_run.Limits(head=60, poll=3, pause=10, loss=0)
        submit_run.Submitter(
            ray, run, launch_program="launch_run.py", owner=owner, limits=limits
        ).follow()

    def test_pauses_double_until_the_restarts_are_used_up(self, pauses: list[float]) -> None:
        ray = FakeJobs(ends_with("FAILED", after=3600, exit_code=9), step=lambda _: 1)
        with pytest.raises(GiveUp) as end:
            self.follow(ray, max_restarts=7)
        assert end.value.code == 3
        said = "run-f-8 has failed with exit code 9 after step 1; all 7 restarts are used up"
        assert said in str(end.value)
        assert str(end.value).endswith("output of run-f-8")
        assert len(ray.attempts) == 8
        assert [pause for pause in pauses if pause >= 10] == [10, 20, 40, 80, 160, 300, 300]

    @pytest.mark.parametrize(("max_restarts", "starts"), [(0, 1), (1, 2), (2, 3), (9, 3)])
    def test_failures_before_the_first_step_have_a_limit_of_their_own(
        self, max_restarts: int, starts: int
    ) -> None:
        ray = FakeJobs(ends_with("FAILED", after=3600))
        with pytest.raises(GiveUp, match=r"first step; (3 failures in|2 failures in|it is never)"):
            self.follow(ray, max_restarts=max_restarts)
        assert len(ray.attempts) == starts

    def test_a_step_in_between_ends_a_row_and_costs_a_restart(self) -> None:
        steps = iter([0, 0, 4, 0, 0, 8, 0, 0, 9])
        done = defaultdict[str, int](lambda: next(steps))
        ray = FakeJobs(ends_with("FAILED", after=1), step=lambda job: done[job.submission_id])
        with pytest.raises(GiveUp, match="after step 9; all 2 restarts are used up"):
            self.follow(ray, max_restarts=2)
        assert len(ray.attempts) == 9

    def test_failures_with_gpus_missing_do_not_count(
        self, pauses: list[float], capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Before a step and after one, as often as the run gets on in between."""
        starts = iter(range(1, 100))
        done = defaultdict[str, int](lambda: next(starts) // 2)
        ends = {f"run-f-{attempt}": "FAILED" for attempt in range(1, 40)}

        def end(job: Job) -> Job:
            return ends_with(ends.get(job.submission_id, "SUCCEEDED"), after=1)(job)

        ray = FakeJobs(end, step=lambda job: done[job.submission_id], gpus=lambda: 3)
        self.follow(ray, max_restarts=1, gpus=8)
        assert len(ray.attempts) == 40
        said = "run-f-1 has failed with exit code 0 before its first step; Ray has 3 of 8 GPUs, so"
        assert said in capfd.readouterr().err
        assert max(pauses) == 20

    def test_a_run_that_takes_its_nodes_down_ends(self) -> None:
        ray = FakeJobs(ends_with("FAILED", after=1), step=lambda _: 7, gpus=lambda: 0)
        with pytest.raises(GiveUp, match="after step 7; Ray has lost GPUs 10 times in a row"):
            self.follow(ray, max_restarts=1, gpus=8)
        # The first of them was new.
        assert len(ray.attempts) == 10

    def test_without_restarts_a_lost_node_ends_it_too(self) -> None:
        ray = FakeJobs(ends_with("FAILED", after=1), step=lambda _: 7, gpus=lambda: 0)
        with pytest.raises(GiveUp, match="trainer.max_restarts is 0"):
            self.follow(ray, max_restarts=0, gpus=8)

    def test_a_new_pod_of_the_same_job_counts_on(self) -> None:
        class Ended(Exception):
            pass

        def end(job: Job) -> Job:
            if job.submission_id == "run-f-3" and next(drained):
                raise Ended
            return ends_with("FAILED", after=1)(job)

        drained = iter([True, False])
        ray = FakeJobs(end, step=lambda _: 7)
        with pytest.raises(Ended):
            self.follow(ray, owner="job")
        with pytest.raises(GiveUp, match="run-f-4 has failed .* all 3 restarts are used up"):
            self.follow(ray, owner="job")

    def test_failures_of_an_earlier_job_do_not_count(self) -> None:
        ray = FakeJobs(ends_with("FAILED", after=1))
        for owner in ("first", "second"):
            with pytest.raises(GiveUp):
                self.follow(ray, owner=owner)
        assert len(ray.attempts) == 6

    def test_who_waits_for_the_run_is_told_of_its_end(self) -> None:
        lines: list[str] = []

        def end(job: Job) -> Job:
            # Not while the run may be started again, nor by what an earlier Job has left.
            lines.append(run_end.state_of(ray, "run-f").words)
            return ends_with("FAILED", after=1)(job)

        ray = FakeJobs(end)
        for owner in ("first", "second"):
            with pytest.raises(GiveUp):
                self.follow(ray, owner=owner)
            found = run_end.state_of(ray, "run-f").end
            assert found is not None and not found.succeeded
            assert f"run-f-{len(ray.attempts)} has failed" in found.why
            assert found.why.endswith(f"\noutput of run-f-{len(ray.attempts)}")
        assert lines == [f"run-f-{attempt} runs" for attempt in range(1, 7)]

    def test_who_waits_for_the_run_is_told_that_somebody_has_stopped_it(self) -> None:
        ray = FakeJobs(lambda job: ends_with("STOPPED", after=1)(job))
        with pytest.raises(GiveUp) as gave_up:
            self.follow(ray)
        assert gave_up.value.code == 5
        found = run_end.state_of(ray, "run-f").end
        assert found is not None
        assert found.why == "the run is given up: run-f-1 was stopped by somebody else"

    def test_a_forgotten_submission_is_submitted_again(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def end(job: Job) -> Job:
            if job.submission_id == "run-f-1":
                ray.known.clear()
                raise ray_jobs.NoSuchJob(job.submission_id)
            return ends_with("SUCCEEDED", after=1)(job)

        ray = FakeJobs(end)
        self.follow(ray)
        assert ray.attempts == ["run-f-2"]
        assert "Ray has forgotten run-f-1: its head was restarted" in capfd.readouterr().err

    def test_two_submissions_of_one_run_become_one(self) -> None:
        ray = FakeJobs(ends_with("SUCCEEDED", after=1))
        for attempt in (1, 2):
            ray.submit(f"run-f-{attempt}", "")
        self.follow(ray)
        assert ray.stopped == ["run-f-1"]
        assert ray.known["run-f-2"].status == "SUCCEEDED"

    def test_a_submission_whose_answer_was_lost_is_joined(self) -> None:
        class LosesAnswers(FakeJobs):
            def submit(
                self, submission_id: str, entrypoint: str, metadata: Mapping[str, str] | None = None
            ) -> None:
                super().submit(submission_id, entrypoint, metadata)
                raise ray_jobs.Unreachable("timed out")

        ray = LosesAnswers(ends_with("SUCCEEDED", after=1))
        self.follow(ray)
        assert list(ray.known) == ["run-f-1"]

    def test_output_comes_from_the_head_if_the_agent_is_out_of_reach(
        self, capfdbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        class NoAgent(FakeJobs):
            def read_output(self, job: Job, start: int, length: int) -> bytes:
                raise ray_jobs.Unreachable("agent")

        looks = iter([False, True])

        def end(job: Job) -> Job:
            return ends_with("SUCCEEDED", after=1)(job) if next(looks) else job

        self.follow(NoAgent(end))
        captured = capfdbinary.readouterr()
        assert captured.out == b"output of run-f-1\n"
        assert b"its output cannot be read: agent" in captured.err

    def test_a_joined_run_shows_only_the_end_of_its_earlier_output(
        self, capfdbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        class Talkative(FakeJobs):
            def logs(self, submission_id: str) -> str:
                return "".join(f"line {i}\n" for i in range(100_000))

        ray = Talkative(ends_with("SUCCEEDED", after=1))
        ray.submit("run-f-1", "")
        self.follow(ray)
        lines = capfdbinary.readouterr().out.splitlines()
        first = int(lines[0].split()[1])
        assert lines == [b"line %d" % i for i in range(first, 100_000)]
        assert 2000 < len(lines) < 10_000

    def test_a_run_that_begins_later_is_not_stopped(self) -> None:
        """Its submitter has replaced this one."""

        def end(job: Job) -> Job:
            ray.submit("run-g-1", "")
            return ends_with("FAILED", after=3600)(job)

        ray = FakeJobs(end)
        with pytest.raises(GiveUp, match="run-g-1 has taken the place") as gave_up:
            self.follow(ray)
        assert gave_up.value.code == 5
        assert ray.stopped == []
        assert ray.attempts == ["run-f-1", "run-g-1"]

    def test_another_run_that_does_not_end_is_not_waited_for_for_ever(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Immortal(FakeJobs):
            def stop(self, submission_id: str) -> None:
                self.stopped.append(submission_id)

        clock = iter(range(0, 10_000, 20))
        monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
        ray = Immortal(lambda job: replace(job, status="RUNNING"))
        ray.submit("run-g-1", "")
        with pytest.raises(GiveUp, match="Ray does not end run-g-1") as end:
            self.follow(ray)
        assert end.value.code == 6
        assert ray.stopped == ["run-g-1"]


class TestLastStep:
    class Written(FakeJobs):
        def __init__(self, output: str) -> None:
            super().__init__(ends_with("FAILED", after=1))
            self._output_of_all = output

        def logs(self, submission_id: str) -> str:
            return self._output_of_all

    @pytest.mark.parametrize(
        ("output", "step"),
        [
            ("", None),
            ("no step:1 - here\n", None),
            ("step:1 - actor/loss:0.5", 1),
            ("\x1b[36m(TaskRunner pid=3104)\x1b[0m step:12 - training/global_step:12\n", 12),
            ("(FullyAsyncTrainer pid=3104) step:3 - a:1\nTraceback\n", 3),
            ("step:1 - a:1\nstep:2 - a:1\n", 2),
            # A validation before the first step, of a new run and of one that was resumed.
            ("step:0 - val-core/swe/reward/mean@1:0.5\n", None),
            ("step:40 - val-core/swe/reward/mean@1:0.5\n", None),
        ],
    )
    def test_is_verls_line_of_a_trained_step(self, output: str, step: int | None) -> None:
        assert submit_run.last_step(self.Written(output), Job("run-f-1", "FAILED")) == step

    def test_is_found_wherever_the_pieces_of_a_long_output_begin(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(submit_run, "PIECE", 64)
        before = "step:6 - a:1\n" + "x" * 50 + "\n"
        for length in range(0, 200):
            output = f"{before}{'y' * length}\nstep:7 - a:{'1' * 80}\n{'z' * 10}\n" + "w\n" * 60
            assert submit_run.last_step(self.Written(output), Job("run-f-1", "FAILED")) == 7
        assert submit_run.last_step(self.Written("w\n" * 999), Job("run-f-1", "FAILED")) is None


def test_entry_point_quotes_for_the_shell() -> None:
    argv = ("python3", "a='b c'", "++k=$HOME", "x;y", "ä")
    run = submit_run.Run("n", "f", argv, "/d d", "/log", "/v", 0, 8)
    assert run.entrypoint("/p/launch_run.py") == (
        "exec python3 /p/launch_run.py --directory '/d d' --log /log --vllm-log /v --gpus 8 -- "
        "python3 'a='\"'\"'b c'\"'\"'' '++k=$HOME' 'x;y' 'ä'"
    )


@pytest.mark.parametrize(
    ("submission_id", "parts"),
    [
        ("n-x-aaaa-1", ("aaaa", 1)),
        ("n-x-bbbb-12", ("bbbb", 12)),
        ("n-x-y-aaaa-1", ("", 0)),
        ("n-aaaa-1", ("", 0)),
        ("other-n-x-aaaa-1", ("", 0)),
        ("n-x-aaaa-1-2", ("", 0)),
        ("discover-n-x-aaaa-1", ("", 0)),
    ],
)
def test_submissions_of_a_stack(submission_id: str, parts: tuple[str, int]) -> None:
    run = submit_run.Run("n-x", "aaaa", ("true",), "/", "/log", "/v", 0)
    assert run.split(submission_id) == parts
