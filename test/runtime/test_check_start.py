"""The wait for workloads, against an API server that says what real ones have said."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fake_kubernetes import FakeKubernetes, account
from support.processes import Tree, wait_until
from support.programs import start_program

Start = Callable[..., Tree]
Object = dict[str, Any]

RAY = "/apis/ray.io/v1/namespaces/run-train/rayclusters/ray"
RECORDER = "/apis/apps/v1/namespaces/run-train/deployments/recorder"
INPUTS = "/apis/batch/v1/namespaces/run-train/jobs/inputs-check"


@pytest.fixture
def api() -> Iterator[FakeKubernetes]:
    api = FakeKubernetes()
    with api.running():
        yield api


@pytest.fixture
def start(api: FakeKubernetes, tmp_path: Path) -> Iterator[Start]:
    trees: list[Tree] = []

    def begin(*workloads: tuple[str, str], **environment: str) -> Tree:
        listed = [
            {"kind": kind, "namespace": "run-train", "name": name, "ends": kind == "Job"}
            for kind, name in workloads
        ]
        variables = {
            "WORKLOADS": json.dumps(listed),
            "TIMEOUT_SECONDS": "60",
            "API_SERVER": api.url,
            "ACCOUNT_DIRECTORY": str(account(tmp_path / "account")),
            **environment,
        }
        tree = start_program("check_start.py", variables, tmp_path / f"log-{len(trees)}")
        trees.append(tree)
        return tree

    yield begin
    for tree in trees:
        tree.kill()


def pod(name: str, labels: dict[str, str], *containers: Object, **status: Any) -> Object:
    ready = bool(containers) and all(each.get("ready") for each in containers)
    return {
        "metadata": {
            "name": name,
            "namespace": "run-train",
            "uid": f"uid-{name}",
            "labels": labels,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "status": {
            "phase": "Running" if ready else "Pending",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": list(containers),
            **status,
        },
    }


def container(name: str = "main", **status: Any) -> Object:
    return {"name": name, "image": "example/training:1", "restartCount": 0, **status}


def waiting(reason: str, message: str = "") -> Object:
    return container(state={"waiting": {"reason": reason, "message": message}})


RUNS = container(ready=True, state={"running": {}})
ray_labels = {"ray.io/cluster": "ray"}


def ray_cluster(api: FakeKubernetes, *pods: Object, observed: int = 1, **status: Any) -> None:
    api.objects[RAY] = {
        "metadata": {"generation": 1},
        "spec": {"workerGroupSpecs": [{"replicas": 1}]},
        "status": {"observedGeneration": observed, **status},
    }
    api.pods["run-train"] = list(pods)


def deployment(api: FakeKubernetes, *pods: Object, **status: Any) -> None:
    api.objects[RECORDER] = {
        "metadata": {"generation": 2},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "recorder"}}},
        "status": {"observedGeneration": 2, **status},
    }
    api.pods["run-train"] = list(pods)


def test_a_ray_cluster_whose_pods_are_ready_has_started(api: FakeKubernetes, start: Start) -> None:
    ray_cluster(api, pod("head", ray_labels, RUNS), pod("worker", ray_labels, waiting("PodInitializing")))
    tree = start(("RayCluster", "ray"))
    wait_until(lambda: "1 of 2 pods are ready; worker Pending" in tree.errors, 20, "where it stands")
    api.pods["run-train"][1] = pod("worker", ray_labels, RUNS)
    assert tree.wait(20) == 0, tree.errors
    assert "started: RayCluster ray" in tree.errors


def test_pods_of_an_earlier_specification_do_not_count(api: FakeKubernetes, start: Start) -> None:
    pods = [pod("head", ray_labels, RUNS), pod("worker", ray_labels, RUNS)]
    ray_cluster(api, *pods, observed=0)
    tree = start(("RayCluster", "ray"))
    wait_until(lambda: "has not looked at it" in tree.errors, 20, "where it stands")
    going = {**pods[0], "metadata": {**pods[0]["metadata"], "deletionTimestamp": "now"}}
    ray_cluster(api, going, pods[1])
    wait_until(lambda: "1 of 1" in tree.errors or "1 of 2" in tree.errors, 20, "its new state")
    assert tree.running
    ray_cluster(api, *pods)
    assert tree.wait(20) == 0, tree.errors


def test_an_operator_that_does_not_look_is_named(api: FakeKubernetes, start: Start) -> None:
    ray_cluster(api, observed=0)
    tree = start(("RayCluster", "ray"), UNSEEN_SECONDS="4")
    assert tree.wait(30) == 4, tree.errors
    assert (
        "RayCluster ray will not be ready: the KubeRay operator, which may watch other namespaces only, "
        "has not looked at it (for " in tree.errors
    )


CRASHED = container(
    "ray-worker",
    restartCount=3,
    state={"waiting": {"reason": "CrashLoopBackOff"}},
    lastState={"terminated": {"exitCode": 1, "reason": "Error"}},
)
TOLD = container(
    "recorder",
    restartCount=3,
    state={"waiting": {"reason": "CrashLoopBackOff"}},
    lastState={"terminated": {"exitCode": 9, "message": "the run is given up\n"}},
)
KILLED = container(
    "ray-worker",
    restartCount=4,
    state={"running": {}},
    lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
)
NO_NODE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
}
QUOTA = 'pods "ray-worker" is forbidden: exceeded quota: gpus'


@pytest.mark.parametrize(
    ("worker", "says"),
    [
        (
            pod("w", ray_labels, waiting("ErrImagePull", "manifest unknown")),
            "container main of pod w: ErrImagePull: manifest unknown (example/training:1)",
        ),
        (
            pod("w", ray_labels, waiting("CreateContainerConfigError", 'secret "ray" not found')),
            'container main of pod w: CreateContainerConfigError: secret "ray" not found',
        ),
        (
            pod("w", ray_labels, CRASHED),
            "container ray-worker of pod w: it has ended 3 times, the last time with exit code 1. "
            "Its last lines:\nxxx … xxx\nValueError: object store",
        ),
        (
            pod("w", ray_labels, TOLD),
            "the last time with exit code 9. Its last lines:\nthe run is given up",
        ),
        (
            pod("w", ray_labels, KILLED),
            "it has ended 4 times, the last time with exit code 137 (OOMKilled)",
        ),
        (
            pod("w", ray_labels, conditions=[NO_NODE]),
            "pod w: no node takes it: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        ),
        (
            pod("w", ray_labels, waiting("ContainerCreating")),
            "pod w: FailedMount: MountVolume.SetUp failed for volume models",
        ),
        (
            pod("w", ray_labels, phase="Failed", message="The node was low on resource"),
            "pod w: it has failed: The node was low on resource",
        ),
    ],
)
def test_what_cannot_start_ends_the_wait_in_the_words_of_kubernetes(
    api: FakeKubernetes, start: Start, worker: Object, says: str
) -> None:
    ray_cluster(api, pod("head", ray_labels, RUNS), worker)
    api.logs["w ray-worker previous"] = "x" * 5000 + "\nValueError: object store"
    api.events = [
        {"reason": "BackOff", "message": "another", "lastTimestamp": "2026-01-02"},
        {
            "reason": "FailedMount",
            "message": "MountVolume.SetUp failed for volume models",
            "lastTimestamp": "2026-01-01",
        },
    ]
    kinds = ("IMAGE", "CONTAINER", "VOLUME", "NODE")
    patience = {f"{kind}_SECONDS": "2" for kind in kinds}
    tree = start(("RayCluster", "ray"), **patience)
    assert tree.wait(30) == 4, tree.errors
    for part in ("RayCluster ray will not be ready: ", *says.split(" … ")):
        assert part in tree.errors, tree.errors
    assert len(tree.errors[tree.errors.index("check_start: ") :]) < 2048


def test_trouble_that_passes_ends_nothing(api: FakeKubernetes, start: Start) -> None:
    head, bad = pod("head", ray_labels, RUNS), pod("w", ray_labels, waiting("ImagePullBackOff"))
    ray_cluster(api, head, bad)
    tree = start(("RayCluster", "ray"), IMAGE_SECONDS="5")
    # The image is there, and then another pod's is not: together they last longer than one may.
    for state in (waiting("PodInitializing"), waiting("ErrImagePull")):
        time.sleep(4)
        api.pods["run-train"][1] = pod("w", ray_labels, state)
    assert tree.running, tree.errors
    api.pods["run-train"][1] = pod("w", ray_labels, RUNS)
    assert tree.wait(20) == 0, tree.errors


def test_pods_that_are_refused_are_named(api: FakeKubernetes, start: Start) -> None:
    refused = [{"type": "ReplicaFailure", "status": "True", "message": QUOTA}]
    ray_cluster(api, conditions=refused)
    deployment(api, conditions=refused)
    for workload in (("RayCluster", "ray"), ("Deployment", "recorder")):
        tree = start(workload, REFUSED_SECONDS="2")
        assert tree.wait(30) == 4, tree.errors
        assert f"{' '.join(workload)} will not be ready: its pods are refused: {QUOTA}" in tree.errors


def test_a_deployment_waits_for_its_newest_pods_only(api: FakeKubernetes, start: Start) -> None:
    old = pod("old", {"app": "recorder", "pod-template-hash": "a"}, CRASHED)
    new = pod("new", {"app": "recorder", "pod-template-hash": "b"}, waiting("PodInitializing"))
    new["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    deployment(api, old, new, updatedReplicas=1, replicas=2)
    tree = start(("Deployment", "recorder"))
    wait_until(lambda: "0 of 1 pods are ready; new Pending" in tree.errors, 20, "where it stands")
    deployment(api, new, updatedReplicas=1, replicas=1, availableReplicas=1)
    assert tree.wait(20) == 0, tree.errors


def job(api: FakeKubernetes, *pods: Object, **condition: str) -> None:
    conditions = [{"status": "True", **condition}] if condition else []
    api.objects[INPUTS] = {"metadata": {"uid": "j"}, "status": {"conditions": conditions}}
    api.pods["run-train"] = list(pods)


def test_a_job_is_awaited_to_its_end(api: FakeKubernetes, start: Start) -> None:
    labels = {"batch.kubernetes.io/controller-uid": "j"}
    job(api, pod("check", labels, RUNS))
    tree = start(("Job", "inputs-check"))
    wait_until(lambda: "Job inputs-check: it runs" in tree.errors, 20, "where it stands")
    job(api, pod("check", labels), type="Complete")
    assert tree.wait(20) == 0, tree.errors


def test_a_job_that_has_failed_is_told_with_its_last_lines(
    api: FakeKubernetes, start: Start
) -> None:
    labels = {"batch.kubernetes.io/controller-uid": "j"}
    ended = container("check", state={"terminated": {"exitCode": 1, "reason": "Error"}})
    message = "Job has reached the specified backoff limit"
    job(api, pod("check", labels, ended, phase="Failed"), type="Failed", message=message)
    api.logs["check check"] = "the model lies\n"
    tree = start(("Job", "inputs-check"))
    assert tree.wait(20) == 4, tree.errors
    assert f"it has failed: {message}. Its last lines:\nthe model lies" in tree.errors


def test_a_dead_api_server_is_waited_for(api: FakeKubernetes, start: Start) -> None:
    ray_cluster(api, pod("head", ray_labels, RUNS), pod("w", ray_labels, RUNS))
    api.failures = [503, 500]
    tree = start(("RayCluster", "ray"))
    assert tree.wait(30) == 0, tree.errors
    assert "the API server does not answer" in tree.errors


def test_an_account_without_rights_ends_the_wait(api: FakeKubernetes, start: Start) -> None:
    api.failures = [403] * 100
    tree = start(("RayCluster", "ray"), RIGHTS_SECONDS="3")
    assert tree.wait(30) == 5, tree.errors
    assert "answers 403" in tree.errors


def test_the_wait_has_an_end(api: FakeKubernetes, start: Start) -> None:
    ray_cluster(api, pod("head", ray_labels, RUNS))
    tree = start(("RayCluster", "ray"), TIMEOUT_SECONDS="3")
    assert tree.wait(20) == 3, tree.errors
    assert "given up after 3 s: RayCluster ray: 1 of 2 pods are ready" in tree.errors


@pytest.mark.parametrize(
    ("workloads", "says"),
    [("{", "WORKLOADS: "), ('[{"kind": "Pod", "namespace": "a", "name": "b"}]', "Pod is none of")],
)
def test_unusable_workloads(start: Start, workloads: str, says: str) -> None:
    tree = start(WORKLOADS=workloads)
    assert tree.wait(20) == 2
    assert says in tree.errors
