"""The trainer's pod, against a real Ray; and its decisions, against a scripted one."""

from __future__ import annotations

import re
import signal
import sys
import time
import zlib
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
if attempt < 3: sys.exit(f'attempt {attempt} fails')
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

        hopeless = {"max_restarts": "10", "EARLY_FAILURE_SECONDS": "60"}
        environments = {
            "good": environment("good", PRINTS),
            "flaky": environment("flaky", FAILS_TWICE, EARLY_FAILURE_SECONDS="0"),
            "hopeless": environment("hopeless", "raise SystemExit('no such model')", **hopeless),
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
            *("attempt 1 begins", "attempt 1 fails", "attempt 2 begins", "attempt 2 fails"),
            *("attempt 3 begins", "attempt 3 succeeds"),
        ]
        assert (
            "flaky-aaaa-1 has failed with exit code 1; restart 1 of 3 in 0.2 s" in submitter.errors
        )
        assert (
            "flaky-aaaa-2 has failed with exit code 1; restart 2 of 3 in 0.4 s" in submitter.errors
        )

    def test_early_failures_end_it(self, ended: dict[str, Tree], jobs: ray_jobs.RayJobs) -> None:
        submitter = ended["hopeless"]
        assert submitter.wait(0) == 3, submitter.errors
        assert set(attempts(jobs, "hopeless").values()) == {"FAILED"}
        assert len(attempts(jobs, "hopeless")) == 3
        assert "3 failures within 60 s of the start" in submitter.errors
        end = run_end.end_of(jobs, "hopeless-aaaa")
        assert end is not None and not end.succeeded
        assert "3 failures within 60 s of the start" in end.why
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

    def follow(self, ray: FakeJobs, *, owner: str = "", max_restarts: int = 3) -> None:
        run = submit_run.Run("run", "f", ("true",), "/", "/log", "/vllm-log", max_restarts)
        limits = submit_run.Limits(head=60, poll=3, pause=10, early_failure=120)
        submit_run.Submitter(
            ray, run, launch_program="launch_run.py", owner=owner, limits=limits
        ).follow()

    def test_pauses_double_until_the_restarts_are_used_up(self, pauses: list[float]) -> None:
        ray = FakeJobs(ends_with("FAILED", after=3600, exit_code=9))
        with pytest.raises(GiveUp) as end:
            self.follow(ray, max_restarts=7)
        assert end.value.code == 3
        assert "run-f-8 has failed with exit code 9; all 7 restarts are used up" in str(end.value)
        assert str(end.value).endswith("output of run-f-8")
        assert len(ray.known) == 8
        assert [pause for pause in pauses if pause >= 10] == [10, 20, 40, 80, 160, 300, 300]

    @pytest.mark.parametrize("max_restarts", [0, 1])
    def test_few_restarts_count_before_early_failures(self, max_restarts: int) -> None:
        ray = FakeJobs(ends_with("FAILED", after=1))
        with pytest.raises(GiveUp, match="restarts are used up"):
            self.follow(ray, max_restarts=max_restarts)
        assert len(ray.known) == max_restarts + 1

    def test_only_early_failures_in_a_row_end_it(self) -> None:
        lives = iter([1.0, 1.0, 4000.0, 1.0, 1.0, 4000.0, 1.0, 1.0, 1.0])
        ray = FakeJobs(lambda job: ends_with("FAILED", after=next(lives))(job))
        with pytest.raises(GiveUp, match="3 failures within 120 s"):
            self.follow(ray, max_restarts=100)
        assert len(ray.known) == 9

    def test_failures_of_an_earlier_job_do_not_count(self) -> None:
        ray = FakeJobs(ends_with("FAILED", after=1))
        for owner in ("first", "second"):
            with pytest.raises(GiveUp):
                self.follow(ray, owner=owner)
        assert len(ray.known) == 6

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
        assert list(ray.known) == ["run-f-2"]
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
        assert list(ray.known) == ["run-f-1", "run-g-1"]

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


def test_entry_point_quotes_for_the_shell() -> None:
    argv = ("python3", "a='b c'", "++k=$HOME", "x;y", "ä")
    run = submit_run.Run("n", "f", argv, "/d d", "/log", "/v", 0)
    assert run.entrypoint("/p/launch_run.py") == (
        "exec python3 /p/launch_run.py --directory '/d d' --log /log --vllm-log /v -- "
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
