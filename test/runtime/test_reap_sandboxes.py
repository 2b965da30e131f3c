"""The reaper as its pod starts it, against an API server and a job API of the tests' own."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray_jobs import RayJobs
from support.cluster import JOBS_URL, Cluster
from support.cluster import TOKEN as CLUSTER_TOKEN
from support.fake_kubernetes import TOKEN, FakeKubernetes, account
from support.http_stub import Handler, answering
from support.network import free_port
from support.processes import Tree, wait_until
from support.programs import start_program

RAY_TOKEN = "ray-token-0123456789"

Reap = Callable[..., Tree]


def stamp(age: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age))


def pod(name: str, age: float, phase: str = "Running", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "run-sandbox",
            "uid": f"uid-of-{name}",
            "creationTimestamp": stamp(age),
            "labels": {
                "app": "harbor-sandbox",
                "harbor-run": "swe-lego",
                "harbor-owner-host": "ray-train-worker-1",
                "harbor-owner-pid": "4711",
                **{key.replace("_", "-"): value for key, value in labels.items()},
            },
        },
        "spec": {"activeDeadlineSeconds": 6000},
        "status": {"phase": phase, "startTime": stamp(age)},
    }


def ray_pod(name: str = "ray-train-worker-1", age: float = 90_000) -> dict[str, Any]:
    running = {"state": {"running": {"startedAt": stamp(age)}}}
    return {
        "metadata": {
            "name": name,
            "namespace": "run-train",
            "uid": name,
            "creationTimestamp": stamp(age),
            "labels": {"swe-rl.dev/stack": "run", "swe-rl.dev/role": "ray-worker"},
        },
        "status": {"phase": "Running", "containerStatuses": [running]},
    }


@pytest.fixture
def api() -> Iterator[FakeKubernetes]:
    fake = FakeKubernetes()
    fake.pods["run-train"] = [ray_pod()]
    with fake.running():
        yield fake


@pytest.fixture
def submissions() -> list[dict[str, Any]]:
    """What Ray answers; the test changes it."""
    began = (time.time() - 80_000) * 1000
    return [
        {
            "type": "SUBMISSION",
            "submission_id": "run-aaaa-1",
            "status": "RUNNING",
            "start_time": began,
        }
    ]


@pytest.fixture
def reap(api: FakeKubernetes, submissions: list[dict[str, Any]], tmp_path: Path) -> Iterator[Reap]:
    started: list[Tree] = []

    def jobs(handler: Handler) -> None:
        assert handler.headers["Authorization"] == f"Bearer {RAY_TOKEN}"
        handler.answer(200, json.dumps(submissions).encode())

    with answering(jobs) as ray:

        def reap(*options: str, **changes: str) -> Tree:
            environment = {
                "API_SERVER": api.url,
                "ACCOUNT_DIRECTORY": str(account(tmp_path / "account")),
                "SANDBOX_NAMESPACE": "run-sandbox",
                "RUN_LABEL": "harbor-run=swe-lego",
                "STACK": "run",
                "OWNER_NAMESPACE": "run-train",
                "OWNER_PREFIX": "ray-",
                "RAY_JOBS_URL": ray.url,
                "RAY_AUTH_TOKEN": RAY_TOKEN,
                "DEADLINE_SECONDS": "6000",
                "LONGEST_DEADLINE_SECONDS": "9000",
                "STARTUP_SECONDS": "2400",
                **changes,
            }
            log = tmp_path / f"reaper-{len(started)}.log"
            tree = start_program("reap_sandboxes.py", environment, log, options)
            started.append(tree)
            return tree

        yield reap
    for tree in started:
        tree.kill()


def test_says_which_and_why_before_it_deletes(api: FakeKubernetes, reap: Reap) -> None:
    api.pods["run-sandbox"] = [
        pod("young", 60),
        pod("old", 7000),
        pod("older", 9000),
        pod("done", 9000, "Succeeded"),
        pod("waiting", 3000, "Pending"),
        pod("orphan", 1000, harbor_owner_host="ray-train-worker-9"),
        pod("not-ours", 9000, harbor_run="another"),
        pod("other-stack", 9000),
    ]
    api.pods["run-sandbox"][-1]["metadata"]["labels"]["swe-rl.dev/stack"] = "other"
    reaper = reap("--once")
    assert reaper.wait(20) == 0, reaper.errors
    assert api.deleted == ["older", "done", "old", "waiting", "orphan"]
    lines = reaper.errors.splitlines()
    assert lines[0] == "6 sandboxes, 5 to be reaped"
    assert lines[1].startswith(
        "will delete run-sandbox/older of ray-train-worker-1/4711: past its deadline of 6000 s by 3"
    )
    assert "orphan of ray-train-worker-9/4711: its owner ray-train-worker-9 is gone" in lines[5]
    assert lines[6].startswith("5 deleted, 0 were gone already, 0 could not be deleted, 0 are left")
    assert len(lines) == 7
    assert {body["gracePeriodSeconds"] for body in api.bodies} == {5}
    assert api.bodies[0]["preconditions"] == {"uid": "uid-of-older"}
    assert TOKEN not in reaper.errors and RAY_TOKEN not in reaper.errors

    again = reap("--once")
    assert again.wait(20) == 0
    assert "1 sandboxes, 0 to be reaped" in again.errors
    assert len(api.deleted) == 5


def test_dry_run_deletes_nothing(api: FakeKubernetes, reap: Reap) -> None:
    api.pods["run-sandbox"] = [pod("old", 7000)]
    reaper = reap("--once", "--dry-run")
    assert reaper.wait(20) == 0
    assert "would delete run-sandbox/old" in reaper.errors
    assert api.deleted == []


@pytest.mark.parametrize(
    "label", ["", " ", "harbor-run", "harbor-run=", "=x", "a!=b", "a=b,c", "a in (b)", "*=*"]
)
def test_refuses_a_label_that_could_mean_more(
    label: str, api: FakeKubernetes, reap: Reap
) -> None:
    api.pods["run-sandbox"] = [pod("old", 7000)]
    reaper = reap("--once", RUN_LABEL=label)
    assert reaper.wait(20) == 2
    assert "RUN_LABEL" in reaper.errors
    assert api.requests == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"SANDBOX_NAMESPACE": ""}, "SANDBOX_NAMESPACE is not set"),
        ({"SANDBOX_NAMESPACE": "a/b"}, "SANDBOX_NAMESPACE is no name"),
        ({"SANDBOX_NAMESPACE": "run-train"}, "must differ"),
        ({"STACK": ""}, "STACK is not set"),
        ({"DEADLINE_SECONDS": "soon"}, "DEADLINE_SECONDS must be a number"),
        ({"MOST_PER_ROUND": "0"}, "MOST_PER_ROUND must be at least 1"),
        ({"API_SERVER": "ftp://x"}, "API_SERVER must be an HTTP address"),
        ({"ACCOUNT_DIRECTORY": "/nowhere"}, "service account cannot be read"),
        ({"RAY_AUTH_TOKEN": ""}, "RAY_AUTH_TOKEN is not set"),
    ],
)
def test_refuses_an_environment(changes: dict[str, str], complaint: str, reap: Reap) -> None:
    reaper = reap("--once", **changes)
    assert reaper.wait(20) == 2
    assert complaint in reaper.errors


def test_an_api_server_that_ignores_the_selector(
    api: FakeKubernetes, reap: Reap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("support.fake_kubernetes._selected", lambda *_: True)
    api.pods["run-sandbox"] = [pod("other", 9000, harbor_run="other"), pod("old", 9000)]
    reaper = reap("--once")
    assert reaper.wait(20) == 0
    assert api.deleted == ["old"]


def test_reads_page_by_page_and_takes_the_oldest_first(api: FakeKubernetes, reap: Reap) -> None:
    api.pods["run-sandbox"] = [pod(f"trial-{i:03}", 10_000 + i) for i in range(450)]
    api.expired = 1
    reaper = reap("--once", MOST_PER_ROUND="3")
    assert reaper.wait(30) == 0, reaper.errors
    assert api.deleted == ["trial-449", "trial-448", "trial-447"]
    lists = [line for line in api.requests if line.startswith("GET") and "run-sandbox" in line]
    # One page, a continuation that has expired, and then all three.
    assert len(lists) == 2 + 3
    assert "447 are left for the next round" in reaper.errors


def test_a_pod_that_took_the_name_stays(api: FakeKubernetes, reap: Reap) -> None:
    api.pods["run-sandbox"] = [pod("old", 9000), pod("gone", 8000), pod("taken", 7000)]
    api.refused = {"gone": 404, "taken": 409}
    reaper = reap("--once")
    assert reaper.wait(20) == 0
    assert "1 deleted, 2 were gone already" in reaper.errors


def test_one_pod_that_cannot_be_deleted_stops_nothing(api: FakeKubernetes, reap: Reap) -> None:
    api.pods["run-sandbox"] = [pod("bad", 9000), pod("good", 8000)]
    api.refused = {"bad": 422}
    reaper = reap("--once")
    assert reaper.wait(20) == 6
    assert "bad stays: DELETE" in reaper.errors
    assert "1 deleted, 0 were gone already, 1 could not be deleted" in reaper.errors


@pytest.mark.parametrize("status", [401, 403])
def test_an_account_that_may_not(status: int, api: FakeKubernetes, reap: Reap) -> None:
    api.failures = [status]
    reaper = reap()
    assert reaper.wait(20) == 4
    assert "as the test wants it. Does the reaper's Role exist" in reaper.errors


def test_goes_on_after_errors(api: FakeKubernetes, reap: Reap) -> None:
    """Through 5xx, too many requests and a round that breaks off in its middle."""
    api.pods["run-sandbox"] = [pod("first", 9000), pod("second", 8000)]
    api.failures = [503, 429, 500]
    api.refused = {"second": 429}
    reaper = reap(ROUND_SECONDS="0.05")
    wait_until(lambda: "first" in api.deleted and "second" in api.deleted, 20, "two deletions")
    api.refused = {}
    wait_until(lambda: not api.pods["run-sandbox"], 20, "the second pod's end")
    assert "answers 503" in reaper.errors and "again in" in reaper.errors
    assert "1 deleted, 0 were gone already, 0 could not be deleted, 1 are left" in reaper.errors
    reaper.signal(signal.SIGTERM)
    assert reaper.wait(10) == 0


def test_waits_for_an_api_server_that_is_away(reap: Reap) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    reaper = reap("--once", API_SERVER=address)
    assert reaper.wait(20) == 6
    assert "does not answer" in reaper.errors
    lasting = reap(API_SERVER=address, ROUND_SECONDS="0.1")
    wait_until(lambda: lasting.errors.count("does not answer") > 3, 20, "several rounds")
    assert lasting.running


class TestRun:
    def test_sandboxes_of_an_earlier_attempt_go(
        self, api: FakeKubernetes, reap: Reap, submissions: list[dict[str, Any]]
    ) -> None:
        now = time.time() * 1000
        submissions[0].update(status="FAILED", end_time=now - 600_000)
        submissions.append(
            {**submissions[0], "submission_id": "run-aaaa-2", "status": "RUNNING"}
            | {"start_time": now - 590_000}
        )
        api.pods["run-sandbox"] = [pod("before", 700), pod("since", 500)]
        reaper = reap("--once")
        assert reaper.wait(20) == 0
        assert api.deleted == ["before"]
        assert "before the run's present attempt began" in reaper.errors

    def test_all_go_when_the_run_has_ended(
        self, api: FakeKubernetes, reap: Reap, submissions: list[dict[str, Any]]
    ) -> None:
        submissions[0].update(status="SUCCEEDED", end_time=(time.time() - 400) * 1000)
        api.pods["run-sandbox"] = [pod("one", 700), pod("two", 500)]
        reaper = reap("--once")
        assert reaper.wait(20) == 0
        assert api.deleted == ["one", "two"]

    def test_nothing_follows_from_a_ray_that_does_not_answer(
        self, api: FakeKubernetes, reap: Reap
    ) -> None:
        api.pods["run-sandbox"] = [pod("one", 700), pod("old", 7000)]
        reaper = reap(RAY_JOBS_URL=f"http://127.0.0.1:{free_port()}", ROUND_SECONDS="0.1")
        wait_until(lambda: api.deleted == ["old"], 20, "the overdue pod's end")
        wait_until(lambda: len(api.requests) > 12, 20, "more rounds")
        assert [one["metadata"]["name"] for one in api.pods["run-sandbox"]] == ["one"]
        assert reaper.errors.count("not known whether the run goes on") == 1


def test_with_a_real_ray(api: FakeKubernetes, reap: Reap, cluster: Cluster) -> None:
    """A run that is killed and started again, as the submitter does it."""
    jobs = RayJobs(JOBS_URL, CLUSTER_TOKEN)
    ray = {"RAY_JOBS_URL": JOBS_URL, "RAY_AUTH_TOKEN": CLUSTER_TOKEN, "OWNER_GRACE_SECONDS": "1"}
    for job in jobs.submissions():
        assert job.is_over, "another test's submission"
        jobs.delete(job.submission_id)
    jobs.submit("run-reaped-1", "sleep 600")
    try:
        wait_until(lambda: jobs.get("run-reaped-1").status == "RUNNING", 60, "the run's start")
        # Within a minute of the start, clocks may be to blame.
        api.pods["run-sandbox"] = [pod("earlier", 300), pod("clocks", 30)]
        first = reap("--once", **ray)
        assert first.wait(20) == 0, first.errors
        assert api.deleted == ["earlier"]
        assert "before the run's present attempt began" in first.errors
        jobs.stop("run-reaped-1")
        wait_until(lambda: jobs.get("run-reaped-1").is_over, 60, "the run's end")
        time.sleep(1.5)
        second = reap("--once", **ray)
        assert second.wait(20) == 0, second.errors
        assert api.deleted == ["earlier", "clocks"]
        assert "its run ended" in second.errors
        assert CLUSTER_TOKEN not in first.errors + second.errors
    finally:
        jobs.stop("run-reaped-1")
        wait_until(lambda: jobs.get("run-reaped-1").is_over, 60, "the run's end")
        jobs.delete("run-reaped-1")
