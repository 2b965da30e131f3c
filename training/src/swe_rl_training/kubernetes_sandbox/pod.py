"""The pod of a trial: how it is asked for, and what its status means."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .scripts import SLEEP
from .settings import KubernetesSettings

CONTAINER = "main"

STOP_GRACE_SECONDS = 2
"""What the pod's processes get between the deletion and their end."""

Pod = Mapping[str, Any]


def pod_name(prefix: str, session_id: str) -> str:
    """Of at most 63 characters, and no other pod's: a trial that is repeated keeps its session."""
    tail = secrets.token_hex(4)
    room = 63 - len(prefix) - len(tail) - 2
    middle = re.sub(r"[^a-z0-9]+", "-", session_id.lower()).strip("-")[: max(0, room)].strip("-")
    return "-".join(filter(None, (prefix, middle, tail)))


@dataclass(frozen=True)
class Resources:
    """As Kubernetes writes them."""

    requests: dict[str, str] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)


def pod_manifest(
    name: str, image: str, resources: Resources, settings: KubernetesSettings, session_id: str
) -> dict[str, Any]:
    """A pod as the namespace admits it. The stack's mutation adds where it runs, and the gate."""
    runtime = settings.runtime
    mounts: list[dict[str, Any]] = []
    volumes: list[dict[str, Any]] = []
    if runtime:
        volumes.append({"name": "agent-runtime", "image": {"reference": runtime.image}})
        mounts.append(
            {
                "name": "agent-runtime",
                "mountPath": runtime.mount_path,
                "readOnly": True,
                **({"subPath": runtime.subpath} if runtime.subpath else {}),
            }
        )
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            "labels": {"harbor-run": settings.prefix},
            "annotations": {"swe-rl.dev/session": session_id},
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": settings.deadline_seconds,
            "terminationGracePeriodSeconds": STOP_GRACE_SECONDS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            # Left out, it would be none at all on most nodes.
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": CONTAINER,
                    "image": image,
                    "command": ["sh", "-c", SLEEP],
                    "resources": {"requests": resources.requests, "limits": resources.limits},
                    # Harbor makes directories and installs as root, whoever the image is made for.
                    "securityContext": {"runAsUser": 0, "runAsGroup": 0},
                    "volumeMounts": mounts,
                }
            ],
            "volumes": volumes,
        },
    }


HOPELESS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
    }
)
"""Reasons for which a container waits, and will wait on."""


def _waiting(pod: Pod) -> Iterator[tuple[str, str, str]]:
    """Name, reason and message of each container that is held up, init containers first."""
    status = pod.get("status") or {}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or []:
            waiting = (container.get("state") or {}).get("waiting")
            if waiting:
                reason, message = waiting.get("reason") or "", waiting.get("message") or ""
                yield container["name"], reason, message


def hopeless(pod: Pod) -> str | None:
    """Why the pod will never run, if that is certain."""
    for name, reason, message in _waiting(pod):
        # A kubelet limits how often it pulls, and many sandboxes start at once.
        if reason in HOPELESS and "QPS exceeded" not in message:
            return f"container {name}: {reason}: {message or 'no message'}"
    return None


def ended(pod: Pod) -> str | None:
    """Why the pod runs no more, if it does not."""
    status = pod.get("status") or {}
    parts = [status.get("reason"), status.get("message")]
    is_over = status.get("phase") in ("Failed", "Succeeded")
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or []:
            over = (container.get("state") or {}).get("terminated")
            if not over or (kind.startswith("init") and over.get("exitCode") == 0):
                continue
            is_over = is_over or container["name"] == CONTAINER
            why = ": ".join(filter(None, (over.get("reason"), over.get("message"))))
            parts.append(f"container {container['name']} exited {over.get('exitCode')} ({why})")
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        is_over = True
        parts.append("it is being deleted")
    if not is_over:
        return None
    return "; ".join(filter(None, parts)) or f"its phase is {status.get('phase')}"


def awaited(pod: Pod | None) -> str:
    """What a pod that does not run yet waits for."""
    if pod is None:
        return "it was never seen"
    status = pod.get("status") or {}
    parts = [
        f"{condition.get('reason') or condition['type']}: {condition['message']}"
        for condition in status.get("conditions") or []
        if condition.get("status") == "False" and condition.get("message")
    ]
    parts += [
        f"container {name}: {reason}{': ' if message else ''}{message}"
        for name, reason, message in _waiting(pod)
    ]
    return "; ".join([f"phase {status.get('phase', 'unknown')}", *parts])


def runs(pod: Pod) -> bool:
    status = pod.get("status") or {}
    return status.get("phase") == "Running" and any(
        container["name"] == CONTAINER and (container.get("state") or {}).get("running") is not None
        for container in status.get("containerStatuses") or []
    )
