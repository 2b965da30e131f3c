"""What the Plan has decided about sandboxes, from the environment of the training pods."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ..settings import BadSetting

MIB = 2**20


@dataclass(frozen=True)
class AgentRuntime:
    """Image with the agents' programs, mounted read-only beside the task's own files."""

    image: str
    mount_path: str
    subpath: str | None
    """Directory of the image that is mounted; all of it where there is none."""


@dataclass(frozen=True)
class KubernetesSettings:
    """What the Plan has decided about sandboxes (plan/verl/environment/sandbox.ts)."""

    namespace: str
    prefix: str
    """Of the pods' names, and value of their label `harbor-run`."""
    startup_seconds: float
    """Until a pod must run, time in the quota's queue included."""
    deadline_seconds: int
    """After which Kubernetes ends a pod."""
    memory_limit_factor: float
    """Limit over request."""
    kubeconfig: str | None = None
    """File; without one the pod's own account is used."""
    runtime: AgentRuntime | None = None
    storage_mb: int = 10240
    """Scratch space of a task that names none; the namespace admits up to 32 GiB a pod."""
    parallel_calls: int = 32
    """Calls of this process that the API server has to answer at once, without running commands."""
    download_mb: int = 4096
    """Most that one download may bring: what a sandbox holds is up to the code in it."""
    ping_seconds: float = 20
    """Silence after which a connection is tried; load balancers forget silent ones after 60 s."""
    silence_seconds: float = 120
    """Silence after which a connection is given up, its pings unanswered."""
    poll_seconds: float = 1
    """Between two looks at a starting pod, growing to five times as long."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> KubernetesSettings:
        """Raises BadSetting."""

        def text(name: str, default: str | None = None) -> str:
            value = environment.get(name) or default
            if value is None:
                raise BadSetting(f"{name} is not set")
            return value

        def number(name: str, default: float | None = None) -> float:
            value = text(name, None if default is None else str(default))
            try:
                result = float(value)
            except ValueError:
                raise BadSetting(f"{name} is {value!r}, and must be a number") from None
            if not 0 < result < float("inf"):
                raise BadSetting(f"{name} is {value!r}, and must be more than 0")
            return result

        image = environment.get("HARBOR_AGENT_RUNTIME_IMAGE")
        return cls(
            namespace=text("K8S_NAMESPACE"),
            prefix=text("HARBOR_POD_NAME_PREFIX"),
            startup_seconds=number("K8S_POD_STARTUP_TIMEOUT"),
            deadline_seconds=int(number("K8S_POD_ACTIVE_DEADLINE_SECONDS")),
            memory_limit_factor=number("HARBOR_ENVIRONMENT_MEMORY_LIMIT_FACTOR"),
            kubeconfig=environment.get("K8S_KUBECONFIG") or None,
            runtime=AgentRuntime(
                image=image,
                mount_path=text("HARBOR_AGENT_RUNTIME_MOUNT_PATH"),
                subpath=environment.get("HARBOR_AGENT_RUNTIME_IMAGE_SUBPATH", "").strip("/")
                or None,
            )
            if image
            else None,
            storage_mb=int(number("SWE_RL_SANDBOX_STORAGE_MB", cls.storage_mb)),
            parallel_calls=int(number("SWE_RL_KUBERNETES_CALLS", cls.parallel_calls)),
            download_mb=int(number("SWE_RL_SANDBOX_DOWNLOAD_MB", cls.download_mb)),
        )
