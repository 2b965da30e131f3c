"""Makes a sandbox as an agent-loop worker does, prints what the cluster made of it, and deletes it.

`python make_sandbox.py TASK IMAGE`, with the environment of a training pod. For the engine tests.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harbor.models.task.task import Task
from harbor.models.trial.paths import TrialPaths
from swe_rl_training.kubernetes_sandbox import KubernetesEnvironment
from swe_rl_training.settings import Settings


class Sandbox(KubernetesEnvironment):
    async def made(self) -> Any:
        """The pod once it runs. Simulated nodes run nothing, so no command can be given."""
        by = time.monotonic() + 60
        await self._create(by)
        await self._await_running(by)
        return await self._access.get()


async def main(folder: Path, image: str) -> None:
    settings = Settings.from_environment()
    task = Task(folder)
    task.config.environment.docker_image = image
    with tempfile.TemporaryDirectory() as trial:
        sandbox = Sandbox(
            environment_dir=task.paths.environment_dir,
            environment_name=task.short_name,
            session_id=f"{task.short_name}__0123456789__env",
            trial_paths=TrialPaths(Path(trial)),
            task_env_config=task.config.environment,
            override_cpus=settings.sandbox.cpus,
            override_memory_mb=settings.sandbox.memory_mb,
            active_deadline_sec=int(settings.training.trial_seconds),
        )
        try:
            print(json.dumps(await sandbox.made()))
        finally:
            await sandbox.stop(delete=True)


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
