"""Sandboxes of Harbor's environment on Kubernetes in the fake cluster, as its tests make them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fake_cluster import NAMESPACE, FakeCluster
from harbor.models.task.config import EnvironmentConfig
from harbor.models.trial.paths import TrialPaths
from swe_rl_training.kubernetes_sandbox import KubernetesEnvironment
from swe_rl_training.kubernetes_sandbox.settings import KubernetesSettings

VARIABLES = {
    "K8S_KUBECONFIG": "",
    "K8S_NAMESPACE": NAMESPACE,
    "K8S_POD_STARTUP_TIMEOUT": "600",
    "K8S_POD_ACTIVE_DEADLINE_SECONDS": "3600",
    "HARBOR_POD_NAME_PREFIX": "run-7",
    "HARBOR_ENVIRONMENT_MEMORY_LIMIT_FACTOR": "1.5",
    "HARBOR_AGENT_RUNTIME_IMAGE": "registry.example/agents@sha256:0",
    "HARBOR_AGENT_RUNTIME_MOUNT_PATH": "/opt/agent",
    "HARBOR_AGENT_RUNTIME_IMAGE_SUBPATH": "claude-code",
}
IMAGE = "registry.example/task:1"

Make = Callable[..., KubernetesEnvironment]


def maker(cluster: FakeCluster, settings: KubernetesSettings, folder: Path) -> Make:
    def make(task: dict[str, Any] | None = None, **changes: Any) -> KubernetesEnvironment:
        task_folder = folder / "environment"
        task_folder.mkdir(exist_ok=True)
        fields: dict[str, Any] = {"docker_image": IMAGE, "cpus": 1.5, "memory_mb": 2048}
        arguments: dict[str, Any] = {
            "environment_dir": task_folder,
            "environment_name": "task",
            "session_id": "Some_Task__aBcD__env",
            "trial_paths": TrialPaths(folder / "trial"),
            "task_env_config": EnvironmentConfig(**{**fields, **(task or {})}),
            "logger": logging.getLogger("test"),
            "auto_mounts": [
                {"type": "bind", "source": "/x", "target": f"{cluster.root}/logs/agent"},
                {"type": "bind", "source": "/y", "target": f"{cluster.root}/in", "read_only": True},
            ],
            "settings": settings,
        }
        return KubernetesEnvironment(**{**arguments, **changes})

    return make


def do(work: Any) -> Any:
    async def limited() -> Any:
        async with asyncio.timeout(60):
            return await work

    return asyncio.run(limited())


async def started(make: Make, **changes: Any) -> KubernetesEnvironment:
    environment = make(**changes)
    await environment.start(force_build=False)
    return environment


async def one(make: Make, command: str, settings: Any = None, **options: Any) -> Any:
    environment = await started(make, **({"settings": settings} if settings else {}))
    return await environment.exec(command, **options)


def only(folder: Path, **programs: str) -> str:
    """A PATH with nothing but these programs and what Harbor's own commands need."""
    folder.mkdir()
    needed = {name: name for name in ("mkdir", "chmod", "cat", "head", "rm", "find")}
    for name, target in {**needed, **programs}.items():
        found = subprocess.run(
            ["sh", "-c", 'command -v "$1"', "sh", target],
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        (folder / name).symlink_to(found if found.startswith("/") else f"/usr/bin/{target}")
    return str(folder)


def tree(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_dir():
            found[name] = "directory"
        else:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[name] = (oct(path.stat().st_mode & 0o777), digest)
    return found
