"""What a workload of Kubernetes still lacks to be as its specification says.

A Deployment: its newest pods are ready. A RayCluster: its head and workers are. A Job: its pod runs,
or it is complete.
Each has its controller's own words for pods that it could not even make. Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pod_trouble
from kubernetes_api import KubernetesApi, Missing, Pod
from pod import BadInput
from pod_trouble import Kind, Trouble

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Workload:
    kind: str
    namespace: str
    name: str
    ends: bool = False
    """Whether a Job is awaited until it is complete."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class State:
    """Where a workload stands."""

    words: str
    """What it lacks; empty: it is as its specification says."""
    troubles: Sequence[Trouble] = ()
    """What keeps it from getting there by itself."""


def from_json(text: str) -> list[Workload]:
    try:
        return [_known(Workload(**item)) for item in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise BadInput(f"WORKLOADS: {error}") from None


def _known(workload: Workload) -> Workload:
    if workload.kind not in PATHS:
        raise ValueError(f"{workload.kind} is none of {', '.join(PATHS)}")
    return workload


PATHS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments/{}",
    "Job": "/apis/batch/v1/namespaces/{}/jobs/{}",
    "RayCluster": "/apis/ray.io/v1/namespaces/{}/rayclusters/{}",
}


def look(api: KubernetesApi, workload: Workload) -> State:
    """Raises ApiError."""
    namespace, name = (quote(part, safe="") for part in (workload.namespace, workload.name))
    try:
        found = api.get(PATHS[workload.kind].format(namespace, name))
    except Missing:
        return State("it is not there")
    pods = [
        pod
        for pod in api.pods(workload.namespace, _selector(workload, found), lambda pod: pod)
        if "deletionTimestamp" not in pod["metadata"]
    ]
    match workload.kind:
        case "Job":
            return _job(api, workload, found, pods)
        case "RayCluster":
            return _ray_cluster(api, workload, found, pods)
        case _:
            return _deployment(api, workload, found, pods)


def _selector(workload: Workload, found: Object) -> str:
    match workload.kind:
        case "Job":
            labels = {"batch.kubernetes.io/controller-uid": found["metadata"]["uid"]}
        case "RayCluster":
            labels = {"ray.io/cluster": workload.name}
        case _:
            labels = found["spec"]["selector"]["matchLabels"]
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _job(api: KubernetesApi, workload: Workload, job: Object, pods: list[Pod]) -> State:
    for name, condition in _true_conditions(job).items():
        if name in ("Complete", "SuccessCriteriaMet"):
            return State("")
        if name in ("Failed", "FailureTarget"):
            why = condition.get("message") or condition.get("reason") or "no reason is given"
            newest = max(pods, key=_created, default=None)
            lines = () if newest is None else pod_trouble.last_lines(api, newest)
            failure = Trouble(Kind.HOPELESS, str(workload), f"it has failed: {why}", lines)
            return State("it has failed", [failure])
    # One that has failed stays beside the one in its place.
    state = _of_pods(api, workload, [pod for pod in pods if not pod_trouble.is_over(pod)], 1)
    return State("it runs") if workload.ends and not state.words else state


def _deployment(
    api: KubernetesApi, workload: Workload, deployment: Object, pods: list[Pod]
) -> State:
    wanted: int = deployment["spec"].get("replicas", 1)
    status = deployment.get("status") or {}
    if not _is_observed(deployment):
        return _unseen(workload, "the controller of Deployments")
    refusal = _refusal(workload, deployment, "ReplicaFailure")
    if refusal:
        return State(f"{len(pods)} of {wanted} pods are there", [refusal])
    ready = status.get("availableReplicas", 0)
    counts = (status.get("updatedReplicas", 0), ready, status.get("replicas", 0))
    if counts == (wanted, wanted, wanted):
        return State("")
    # Those of an earlier template are about to go, whatever they lack.
    newest = max(pods, key=_created, default=None)
    revision = _revision(newest) if newest else None
    return _of_pods(api, workload, [pod for pod in pods if _revision(pod) == revision], wanted)


def _ray_cluster(
    api: KubernetesApi, workload: Workload, cluster: Object, pods: list[Pod]
) -> State:
    if not _is_observed(cluster):
        return _unseen(workload, "the KubeRay operator, which may watch other namespaces only,")
    groups = cluster["spec"].get("workerGroupSpecs") or []
    wanted = 1 + sum(group.get("replicas", 1) for group in groups)
    refusal = _refusal(workload, cluster, "ReplicaFailure")
    if refusal:
        return State(f"{len(pods)} of {wanted} pods are there", [refusal])
    return _of_pods(api, workload, pods, wanted)


def _of_pods(api: KubernetesApi, workload: Workload, pods: list[Pod], wanted: int) -> State:
    ready = sum(map(pod_trouble.is_ready, pods))
    if ready == len(pods) == wanted:
        return State("")
    late = [pod for pod in pods if not pod_trouble.is_ready(pod)]
    troubles = [found for pod in late if (found := pod_trouble.trouble_of(api, pod))]
    each = [f"{pod['metadata']['name']} {pod_trouble.phase_of(pod)}" for pod in late]
    return State("; ".join([f"{ready} of {wanted} pods are ready", *each]), troubles)


def _is_observed(found: Object) -> bool:
    seen = (found.get("status") or {}).get("observedGeneration", 0)
    return bool(seen >= found["metadata"].get("generation", 0))


def _unseen(workload: Workload, who: str) -> State:
    words = f"{who} has not looked at it"
    return State(words, [Trouble(Kind.UNSEEN, str(workload), words)])


def _refusal(workload: Workload, found: Object, condition: str) -> Trouble | None:
    refused = _true_conditions(found).get(condition)
    if refused is None:
        return None
    why = refused.get("message") or refused.get("reason")
    return Trouble(Kind.REFUSED, str(workload), f"its pods are refused: {why}")


def _true_conditions(found: Object) -> dict[str, Object]:
    conditions = (found.get("status") or {}).get("conditions") or []
    return {each["type"]: each for each in conditions if each.get("status") == "True"}


def _revision(pod: Pod) -> str | None:
    revision: str | None = pod["metadata"].get("labels", {}).get("pod-template-hash")
    return revision


def _created(pod: Pod) -> str:
    created: str = pod["metadata"].get("creationTimestamp", "")
    return created
