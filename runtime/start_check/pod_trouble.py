"""What keeps a pod from being ready and will not pass by itself, in the words of Kubernetes.

The reasons are the kubelet's (pkg/kubelet/images, pkg/kubelet/container, Kubernetes
1.34) and the scheduler's. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import quote, urlencode

from kubernetes_api import ApiError, KubernetesApi, Pod


class Kind(Enum):
    """What a trouble is about. One of the same kind goes on, in whatever words and whichever pod."""

    HOPELESS = "hopeless"
    IMAGE = "image"
    CONTAINER = "container"
    VOLUME = "volume"
    """Or a network: whatever a pod needs on its node before its containers."""
    NODE = "node"
    REFUSED = "refused"
    """The API server takes no pod of a workload."""
    UNSEEN = "unseen"
    """A controller has not looked at a workload."""


PATIENCE = {
    Kind.HOPELESS: 0.0,
    # Registries have bad minutes.
    Kind.IMAGE: 180.0,
    # The Secret that it names may come.
    Kind.CONTAINER: 120.0,
    # A volume first has to leave another node.
    Kind.VOLUME: 300.0,
    # Cluster autoscaler's own patience with a node (--max-node-provision-time, 1.34).
    Kind.NODE: 900.0,
    # Quotas are freed, webhooks come back.
    Kind.REFUSED: 120.0,
    Kind.UNSEEN: 180.0,
}
"""Seconds for which a trouble may last."""

MOST_STARTS = 3
"""A container that has ended so often without its pod being ready will not do better."""

LOG_LINES = 20

WAITING = {
    "InvalidImageName": Kind.HOPELESS,
    "ErrImageNeverPull": Kind.HOPELESS,
    "ErrImagePull": Kind.IMAGE,
    "ImagePullBackOff": Kind.IMAGE,
    "ImageInspectError": Kind.IMAGE,
    "RegistryUnavailable": Kind.IMAGE,
    "SignatureValidationFailed": Kind.IMAGE,
    "CreateContainerConfigError": Kind.CONTAINER,
    "CreateContainerError": Kind.CONTAINER,
    "RunContainerError": Kind.CONTAINER,
}
"""By the reason for which a container waits."""

NEEDS_NODE = frozenset({"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"})
"""Reasons of events about a pod whose containers are not made yet."""


@dataclass(frozen=True)
class Trouble:
    kind: Kind
    what: str
    """The pod, container or workload that has it."""
    why: str
    lines: Sequence[str] = ()
    """The last lines of the container's log."""


def is_ready(pod: Pod) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in _conditions(pod)
    )


def is_over(pod: Pod) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def phase_of(pod: Pod) -> str:
    """Where it stands, in a word or two."""
    for _, status in _containers(pod):
        state = status.get("state") or {}
        reason = (state.get("waiting") or state.get("terminated") or {}).get("reason")
        if reason and reason not in ("PodInitializing", "Completed"):
            return str(reason)
    if _unschedulable(pod) is not None:
        return "Unschedulable"
    return str((pod.get("status") or {}).get("phase", "Pending"))


def trouble_of(api: KubernetesApi, pod: Pod) -> Trouble | None:
    """Raises ApiError."""
    name = pod["metadata"]["name"]
    status = pod.get("status") or {}
    unschedulable = _unschedulable(pod)
    if unschedulable is not None:
        return Trouble(Kind.NODE, f"pod {name}", f"no node takes it: {unschedulable}")
    for container, of_container in _containers(pod):
        found = _of_container(api, pod, container, of_container)
        if found:
            return found
    if status.get("phase") == "Failed":
        why = status.get("message") or status.get("reason") or "no reason is given"
        return Trouble(Kind.CONTAINER, f"pod {name}", f"it has failed: {why}")
    if _has_begun(pod):
        return None
    event = _last_event(api, pod)
    if event is None:
        return None
    return Trouble(Kind.VOLUME, f"pod {name}", f"{event['reason']}: {event.get('message', '')}")


def last_lines(api: KubernetesApi, pod: Pod) -> Sequence[str]:
    """Of the first of its containers that has ended badly; none where no log can be read."""
    for container, status in _containers(pod):
        ended = (status.get("state") or {}).get("terminated")
        if ended and ended.get("exitCode"):
            return _log(api, pod, container, previous=False)
    return ()


def _of_container(
    api: KubernetesApi, pod: Pod, container: str, status: Mapping[str, Any]
) -> Trouble | None:
    state = status.get("state") or {}
    what = f"container {container} of pod {pod['metadata']['name']}"
    waiting = state.get("waiting") or {}
    kind = WAITING.get(waiting.get("reason", ""))
    if kind is not None:
        image = "" if kind is Kind.CONTAINER else f" ({status.get('image')})"
        return Trouble(kind, what, f"{waiting['reason']}: {waiting.get('message', '')}{image}")
    if status.get("ready") or status.get("restartCount", 0) < MOST_STARTS:
        return None
    last = (status.get("lastState") or {}).get("terminated") or {}
    again = f"it has ended {status['restartCount']} times, the last time with"
    reason = "" if last.get("reason") in (None, "Error") else f" ({last['reason']})"
    why = f"{again} exit code {last.get('exitCode', 'unknown')}{reason}"
    # The kubelet keeps the end of a log there, and for longer than the log.
    lines = str(last.get("message") or "").splitlines()
    lines = lines or _log(api, pod, container, previous=True)
    return Trouble(Kind.HOPELESS, what, why, lines)


def _log(api: KubernetesApi, pod: Pod, container: str, *, previous: bool) -> list[str]:
    metadata = pod["metadata"]
    with suppress(ApiError):
        text = api.log(
            metadata["namespace"], metadata["name"], container, lines=LOG_LINES, previous=previous
        )
        return text.splitlines()
    return []


def _containers(pod: Pod) -> Iterator[tuple[str, Mapping[str, Any]]]:
    status = pod.get("status") or {}
    for key in ("initContainerStatuses", "containerStatuses"):
        for each in status.get(key) or []:
            yield each["name"], each


def _conditions(pod: Pod) -> Sequence[Mapping[str, Any]]:
    return (pod.get("status") or {}).get("conditions") or []


def _unschedulable(pod: Pod) -> str | None:
    for condition in _conditions(pod):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return str(condition.get("message") or "no reason is given")
    return None


def _has_begun(pod: Pod) -> bool:
    """Whether one of its containers was made, so that it has its volumes and its network."""
    return any(
        {"running", "terminated"} & set(status.get("state") or {})
        for _, status in _containers(pod)
    )


def _last_event(api: KubernetesApi, pod: Pod) -> Mapping[str, Any] | None:
    """The last warning about what it lacks on its node."""
    metadata = pod["metadata"]
    query = urlencode({"fieldSelector": f"involvedObject.uid={metadata['uid']},type=Warning"})
    found = api.get(f"/api/v1/namespaces/{quote(metadata['namespace'], safe='')}/events?{query}")
    events = [each for each in found.get("items") or [] if each.get("reason") in NEEDS_NODE]
    return max(events, key=_time_of, default=None)


def _time_of(event: Mapping[str, Any]) -> str:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return max(str(time) for time in (*times, "") if time is not None)
