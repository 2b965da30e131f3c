"""Start and end of a sandbox on an API server of our own."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from cluster_sandboxes import Make, do, started
from fake_cluster import PENDING, RUNNING, FakeCluster, Refusal, waiting
from harbor.environments.base import SandboxBuildFailedError
from swe_rl_training.kubernetes_sandbox import SandboxGone, SandboxStartTimeout

pytest_plugins = ("cluster_fixtures",)
pytestmark = pytest.mark.usefixtures("private_network")

QUOTA = Refusal(403, 'pods "x" is forbidden: exceeded quota: run-bounds, used: pods=9', "Forbidden")


class TestStart:
    def test_makes_harbors_directories(self, make: Make, cluster: FakeCluster) -> None:
        do(started(make))
        assert (cluster.root / "logs/agent").is_dir()
        assert not (cluster.root / "in").exists()

    def test_brings_the_tasks_files(self, make: Make, cluster: FakeCluster, tmp_path: Path) -> None:
        (tmp_path / "environment").mkdir()
        (tmp_path / "environment/data.txt").write_text("of the task")
        do(started(make, task={"workdir": str(cluster.root)}))
        assert (cluster.root / "data.txt").read_text() == "of the task"

    def test_waits_for_the_pod(self, make: Make, cluster: FakeCluster) -> None:
        creating = waiting("ContainerCreating")
        busy = waiting("ErrImagePull", "pull QPS exceeded")
        gate = waiting("PodInitializing", kind="initContainerStatuses")
        cluster.statuses = [{}, PENDING, gate, creating, busy, RUNNING]
        do(started(make))
        verbs = {request.split()[0] for request in cluster.requests}
        assert verbs == {"create", "get", "exec"}
        assert not any("watch" in request for request in cluster.requests)

    @pytest.mark.parametrize(
        "refusal",
        [
            QUOTA,
            Refusal(409, "Operation cannot be fulfilled on resourcequotas", "Conflict"),
            Refusal(429, "too many requests", "TooManyRequests", {"Retry-After": "1"}),
            Refusal(500, "failed calling webhook", "InternalError"),
            Refusal(503, "starting"),
        ],
    )
    def test_tries_again(self, make: Make, cluster: FakeCluster, refusal: Refusal) -> None:
        cluster.refusals["create"] = [refusal]
        cluster.refusals["get"] = [Refusal(500, "etcd has no leader"), None]
        cluster.refusals["exec"] = [Refusal(502, "error dialing backend")]
        begun = time.monotonic()
        do(started(make))
        assert len(cluster.created) == 1
        assert time.monotonic() - begun > float(refusal.headers.get("Retry-After", 0))

    def test_takes_a_pod_that_was_made_after_all(self, make: Make, cluster: FakeCluster) -> None:
        cluster.lost_answers = {"create", "get"}
        do(started(make))
        assert len(cluster.created) == 1

    def test_waits_for_the_quota_no_longer_than_the_startup_time(
        self, make: Make, cluster: FakeCluster
    ) -> None:
        cluster.refusals["create"] = [QUOTA] * 100
        with pytest.raises(SandboxStartTimeout, match="exceeded quota: run-bounds"):
            do(started(make, startup_timeout_sec=2))
        assert len(cluster.requests) > 1

    @pytest.mark.parametrize(
        "refusal",
        [
            Refusal(422, "Pod is invalid: memory-limit: container main: a memory limit", "Invalid"),
            Refusal(403, "ValidatingAdmissionPolicy denied: deadline: at most 60", "Forbidden"),
        ],
    )
    def test_shows_a_refusal_at_once(
        self, make: Make, cluster: FakeCluster, refusal: Refusal
    ) -> None:
        cluster.refusals["create"] = [refusal]
        with pytest.raises(SandboxBuildFailedError) as raised:
            do(started(make))
        assert refusal.message in str(raised.value)

    @pytest.mark.parametrize(
        "reason",
        ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"],
    )
    @pytest.mark.parametrize("kind", ["containerStatuses", "initContainerStatuses"])
    def test_does_not_wait_for_what_is_hopeless(
        self, make: Make, cluster: FakeCluster, reason: str, kind: str
    ) -> None:
        cluster.statuses = [PENDING, waiting(reason, "the kubelet's words", kind=kind)]
        with pytest.raises(SandboxBuildFailedError, match=f"{reason}: the kubelet's words"):
            do(started(make))

    def test_says_why_a_pod_has_ended(self, make: Make, cluster: FakeCluster) -> None:
        evicted = {"phase": "Failed", "reason": "Evicted", "message": "low on ephemeral-storage"}
        cluster.statuses = [PENDING, evicted]
        with pytest.raises(SandboxGone, match="Evicted; low on ephemeral-storage"):
            do(started(make))

    def test_says_what_it_waited_for(self, make: Make, cluster: FakeCluster) -> None:
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/9 nodes are available",
        }
        cluster.statuses = [{"phase": "Pending", "conditions": [condition]}]
        with pytest.raises(SandboxStartTimeout, match="Unschedulable: 0/9 nodes are available"):
            do(started(make, startup_timeout_sec=0.5))

    def test_that_is_cancelled_leaves_no_pod(self, make: Make, cluster: FakeCluster) -> None:
        async def work() -> None:
            environment = make()
            cluster.answer_seconds = 0.5
            starting = asyncio.ensure_future(environment.start(False))
            await asyncio.sleep(0.1)
            starting.cancel()
            await asyncio.wait([starting])
            await environment.stop(delete=True)

        do(work())
        assert len(cluster.created) == 1 and cluster.pods == {}


class TestStop:
    def test_deletes_the_pod(self, make: Make, cluster: FakeCluster) -> None:
        async def work() -> None:
            environment = await started(make)
            cluster.refusals["delete"] = [Refusal(500, "no leader"), Refusal(429, "later")]
            await environment.stop(delete=True)
            assert cluster.pods == {}
            await environment.stop(delete=True)

        do(work())
        assert all(options["gracePeriodSeconds"] <= 5 for options in cluster.deletions)

    def test_leaves_the_pod_where_it_is_told_to(self, make: Make, cluster: FakeCluster) -> None:
        async def work() -> None:
            await (await started(make)).stop(delete=False)

        do(work())
        assert len(cluster.pods) == 1 and cluster.deletions == []

    def test_of_what_never_started_asks_nothing(self, make: Make, cluster: FakeCluster) -> None:
        do(make().stop(delete=True))
        assert cluster.requests == []

    def test_says_that_a_pod_is_left(self, make: Make, cluster: FakeCluster) -> None:
        async def work() -> None:
            environment = await started(make)
            cluster.refusals["delete"] = [Refusal(403, "you may not", "Forbidden")]
            await environment.stop(delete=True)

        with pytest.raises(RuntimeError, match="could not be deleted.*you may not"):
            do(work())

    def test_is_not_cancelled(self, make: Make, cluster: FakeCluster) -> None:
        async def work() -> None:
            environment = await started(make)
            cluster.answer_seconds = 0.3
            cluster.refusals["delete"] = [Refusal(503, "starting")]
            stopping = asyncio.ensure_future(environment.stop(delete=True))
            await asyncio.sleep(0.1)
            stopping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await stopping
            assert cluster.pods == {}

        do(work())
