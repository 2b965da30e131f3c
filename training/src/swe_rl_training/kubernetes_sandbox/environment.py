"""What Harbor calls: a sandbox's life, its commands, and its files."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path, PurePosixPath
from typing import IO, Any, override

from harbor.environments.base import BaseEnvironment, ExecResult, SandboxBuildFailedError
from harbor.environments.capabilities import (
    EnvironmentCapabilities,
    EnvironmentResourceCapabilities,
)
from harbor.environments.definition import COMPOSE_FILE_NAME
from harbor.environments.tar_transfer import extract_dir
from harbor.models.trial.config import ResourceMode
from kubernetes.config import ConfigException

from ..settings import BadSetting
from .access import PodAccess
from .archive import chunks, in_thread, pack
from .cluster import ApiFailure, is_worth_waiting, pauses, shared_cluster
from .command import Run
from .errors import ExecConnectionLost, SandboxGone, SandboxStartTimeout
from .output import Output
from .pod import Pod, Resources, awaited, ended, hopeless, pod_manifest, pod_name, runs
from .scripts import (
    DOWNLOAD_DIR,
    DOWNLOAD_FILE,
    ENTER,
    KILL,
    UPLOAD_DIR,
    UPLOAD_FILE,
    shell_script,
)
from .settings import MIB, KubernetesSettings

STOP_SECONDS = 120.0
"""How long a deletion is retried. After it, the pod's deadline and the reaper remain."""

KILL_SECONDS = 20.0
"""How long the next command waits for the end of one that was given up."""


class KubernetesEnvironment(BaseEnvironment):
    """One pod a trial.

    `startup_timeout_sec` and `active_deadline_sec` may be given by the trial's environment kwargs
    where validation has others than training.
    """

    def __init__(
        self,
        *args: Any,
        settings: KubernetesSettings | None = None,
        startup_timeout_sec: float | None = None,
        active_deadline_sec: int | None = None,
        **kwargs: Any,
    ) -> None:
        self._settings = settings or KubernetesSettings.from_environment()
        self._startup_seconds = startup_timeout_sec or self._settings.startup_seconds
        self._deadline_seconds = active_deadline_sec or self._settings.deadline_seconds
        super().__init__(*args, **kwargs)
        self.pod_name = pod_name(self._settings.prefix, self.session_id)
        self._access = PodAccess(self._settings, self.pod_name, self.logger)
        self._creation: Future[None] | None = None
        """Latest call that makes the pod: it may arrive after the one that wanted it is gone."""
        self._kills: set[asyncio.Task[None]] = set()

    @staticmethod
    @override
    def type() -> str:
        # Harbor's enumeration has no such member; an environment of others may name itself.
        return "kubernetes"

    @property
    @override
    def capabilities(self) -> EnvironmentCapabilities:
        # No sandbox reaches more than the model's proxy, whatever its task asks for: that is the
        # namespace's NetworkPolicy, which the stack proves before it trains.
        return EnvironmentCapabilities(disable_internet=True)

    @classmethod
    @override
    def resource_capabilities(cls) -> EnvironmentResourceCapabilities:
        return EnvironmentResourceCapabilities(
            cpu_limit=True,
            cpu_request=True,
            memory_limit=True,
            memory_request=True,
            fractional_cpus=True,
        )

    @classmethod
    @override
    def preflight(cls) -> None:
        try:
            settings = KubernetesSettings.from_environment()
            shared_cluster(settings.kubeconfig, settings.parallel_calls)
        except (BadSetting, ConfigException, OSError) as error:
            raise SystemExit(f"no sandbox can be made on this cluster: {error}") from error

    @override
    def _validate_definition(self) -> None:
        if not self.task_env_config.docker_image:
            raise SandboxBuildFailedError(
                f"task {self.environment_name} names no image: on a cluster nothing is built, so "
                "[environment].docker_image in its task.toml must name one that is"
            )
        if (self.environment_dir / COMPOSE_FILE_NAME).exists():
            raise SandboxBuildFailedError(
                f"task {self.environment_name} has a {COMPOSE_FILE_NAME}: on a cluster a sandbox "
                "is one container"
            )
        if self._host_mounts:
            raise ValueError("a sandbox on a cluster cannot mount files of the trainer's host")

    # Life

    @override
    async def start(self, force_build: bool) -> None:
        """Makes the pod, and returns when it runs and has Harbor's directories.

        Raises SandboxBuildFailedError where another attempt would meet the same, SandboxGone and
        SandboxStartTimeout where it may not. `force_build` is of no effect.
        """
        by = time.monotonic() + self._startup_seconds
        await self._create(by)
        await self._await_running(by)
        made = await self.ensure_dirs(self._mount_targets(writable_only=True))
        if made is not None and made.return_code != 0:
            raise SandboxBuildFailedError(
                f"Harbor's directories could not be made in {self.pod_name}: "
                f"{made.stderr or made.stdout}"
            )
        await self._upload_environment_dir_after_start()

    def _manifest(self) -> dict[str, Any]:
        manifest = pod_manifest(
            self.pod_name,
            str(self.task_env_config.docker_image),
            self._resources(),
            self._settings,
            self.session_id,
        )
        manifest["spec"]["activeDeadlineSeconds"] = self._deadline_seconds
        return manifest

    def _resources(self) -> Resources:
        """What the task asks for. For what it leaves out the namespace has defaults."""
        storage = f"{self._effective_storage_mb or self._settings.storage_mb}Mi"
        requests, limits = {"ephemeral-storage": storage}, {"ephemeral-storage": storage}
        cpus = self._resource_request_value("cpu", auto_mode=ResourceMode.REQUEST)
        if cpus is not None:
            requests["cpu"] = f"{round(cpus * 1000)}m"
        cpu_limit = self._resource_limit_value("cpu", auto_mode=ResourceMode.REQUEST)
        if cpu_limit is not None:
            limits["cpu"] = f"{round(cpu_limit * 1000)}m"
        memory = self._effective_memory_mb
        if memory is not None:
            mode = self._memory_resource_mode
            is_exact = mode in (ResourceMode.LIMIT, ResourceMode.GUARANTEE)
            factor = 1 if is_exact else self._settings.memory_limit_factor
            limits["memory"] = str(int(memory * MIB * factor))
            if mode != ResourceMode.LIMIT:
                requests["memory"] = f"{memory}Mi"
        return Resources(requests, limits)

    async def _create(self, by: float) -> None:
        manifest = self._manifest()
        for pause in pauses(0.5, 10):
            self._creation = self._access.create(manifest)
            try:
                await asyncio.wrap_future(self._creation)
                return
            except ApiFailure as failure:
                if failure.reason == "AlreadyExists":
                    # The name is this object's own, so an earlier call arrived after all.
                    return
                if not is_worth_waiting(failure):
                    raise SandboxBuildFailedError(
                        f"the cluster refuses pod {self.pod_name} with HTTP {failure.status}: "
                        f"{failure}"
                    ) from failure
                pause = max(pause, failure.wait)
                if time.monotonic() + pause > by:
                    raise SandboxStartTimeout(
                        f"pod {self.pod_name} could not be made within "
                        f"{self._startup_seconds:.0f} s: {failure}"
                    ) from failure
                self.logger.debug(f"{self.pod_name} is tried again in {pause:.1f} s: {failure}")
            await asyncio.sleep(pause)

    async def _await_running(self, by: float) -> None:
        pod: Pod | None = None
        trouble: ApiFailure | None = None
        first = self._settings.poll_seconds
        for pause in pauses(first, first * 5):
            try:
                pod, trouble = await self._access.get(), None
            except ApiFailure as failure:
                if not failure.is_transient:
                    raise
                trouble, pause = failure, max(pause, failure.wait)
            if pod is not None and trouble is None:
                if why := ended(pod):
                    raise SandboxGone(f"pod {self.pod_name} ended before it ran: {why}")
                if why := hopeless(pod):
                    raise SandboxBuildFailedError(f"pod {self.pod_name} cannot run: {why}")
                if runs(pod):
                    return
            if time.monotonic() + pause > by:
                raise SandboxStartTimeout(
                    f"pod {self.pod_name} does not run after {self._startup_seconds:.0f} s: "
                    f"{trouble or awaited(pod)}"
                )
            await asyncio.sleep(pause)

    @override
    async def stop(self, delete: bool) -> None:
        """Deletes the pod, whether or not it ever ran. A cancellation waits until that is done."""
        for kill in self._kills:
            kill.cancel()
        if self._creation is None:
            return
        if not delete:
            self.logger.info(f"pod {self.pod_name} is left until its deadline")
            return
        deletion = asyncio.ensure_future(self._delete())
        try:
            await asyncio.shield(deletion)
        except asyncio.CancelledError:
            await asyncio.wait([deletion])
            raise

    async def _delete(self) -> None:
        if self._creation is not None and not self._creation.done():
            # Else it would be deleted first, and made then.
            await asyncio.gather(asyncio.wrap_future(self._creation), return_exceptions=True)
        by = time.monotonic() + STOP_SECONDS
        for pause in pauses(0.5, 10):
            try:
                await self._access.delete()
                return
            except ApiFailure as failure:
                if failure.status == 404:
                    return
                pause = max(pause, failure.wait)
                if not failure.is_transient or time.monotonic() + pause > by:
                    raise RuntimeError(
                        f"pod {self.pod_name} could not be deleted, and lives until its deadline: "
                        f"{failure}"
                    ) from failure
            await asyncio.sleep(pause)

    # Commands

    @override
    async def exec(
        self,
        command: str,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        timeout_sec: int | None = None,
        user: str | int | None = None,
    ) -> ExecResult:
        """Runs a command; one that is out of time or cancelled is killed with its children.

        The time counts from the command's start, not while the API server is busy.
        Raises RuntimeError at the timeout, as Harbor's Docker environment does; SandboxGone.
        """
        script = shell_script(
            command,
            cwd=cwd or self.task_env_config.workdir,
            env=self._merge_env(env),
            user=self._resolve_user(user),
        )
        await self._settle_kills()
        listener = self._output_callback()
        run = Run(script, Output("stdout", listener), Output("stderr", listener))
        is_late = False
        try:
            async with self._access.entered(["sh", "-c", ENTER]) as connection:
                try:
                    async with asyncio.timeout(timeout_sec or None) as limit:
                        code = await run.finish(connection)
                finally:
                    is_late = limit.expired()
        except BaseException as error:
            if run.pid is not None:
                self._kill_later(run.pid)
            if is_late and isinstance(error, TimeoutError):
                await self._settle_kills()
                message = f"Command timed out after {timeout_sec} seconds"
                raise RuntimeError(message) from None
            if isinstance(error, ExecConnectionLost):
                await self._access.explain(error)
            raise
        return ExecResult(stdout=run.stdout.text, stderr=run.stderr.text, return_code=code)

    def _kill_later(self, pid: int) -> None:
        task = asyncio.ensure_future(self._kill(pid))
        self._kills.add(task)
        task.add_done_callback(self._kills.discard)

    async def _kill(self, pid: int) -> None:
        try:
            await self._access.run_script("kill", KILL, [str(pid)], attempts=1)
        except (RuntimeError, OSError) as error:
            self.logger.debug(f"process {pid} of {self.pod_name} is not killed: {error}")

    async def _settle_kills(self) -> None:
        """Waits for the end of what was given up, so that it does not run beside what follows."""
        if self._kills:
            await asyncio.wait(set(self._kills), timeout=KILL_SECONDS)

    # Files

    @override
    async def upload_file(self, source_path: Path | str, target_path: str) -> None:
        """Into a directory where the target is one or ends with a slash. The image needs no tar."""
        source = Path(source_path)
        with source.open("rb") as content:
            found = os.fstat(content.fileno())
            code, errors = await self._access.run_script(
                "upload",
                UPLOAD_FILE,
                [target_path, source.name, str(found.st_size), f"{found.st_mode & 0o777:o}"],
                source=lambda: chunks(content, found.st_size),
            )
        if code != 0:
            raise self._transfer_error(f"{source} could not be written to {target_path}", errors)

    @override
    async def upload_dir(self, source_dir: Path | str, target_dir: str) -> None:
        """What is in the directory, links and modes included. The image needs tar."""
        with tempfile.TemporaryFile() as archive:
            await in_thread(pack, Path(source_dir), archive)
            size = archive.seek(0, os.SEEK_END)
            code, errors = await self._access.run_script(
                "upload",
                UPLOAD_DIR,
                [target_dir, str(size)],
                source=lambda: chunks(archive, size),
            )
        if code != 0:
            raise self._transfer_error(f"{source_dir} could not be written to {target_dir}", errors)

    @override
    async def download_file(self, source_path: str, target_path: Path | str) -> None:
        """Nothing but the content: no mode, no owner. The image needs no tar."""
        target = Path(target_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            target = target / PurePosixPath(source_path).name
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            with partial.open("wb") as content:
                code, errors = await self._download(DOWNLOAD_FILE, source_path, content)
            if code != 0:
                raise self._transfer_error(f"{source_path} could not be read", errors)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    @override
    async def download_dir(self, source_dir: str, target_dir: Path | str) -> None:
        """All but what would lie outside of the target: code in the sandbox made the archive."""
        with tempfile.TemporaryFile() as archive:
            code, errors = await self._download(DOWNLOAD_DIR, source_dir, archive)
            if code == 1 and "as we read it" in errors:
                # What an agent has left running writes on; its files are there as they were.
                code = 0
            if code != 0:
                raise self._transfer_error(f"{source_dir} could not be read", errors)
            archive.seek(0)
            refused = await in_thread(extract_dir, archive, Path(target_dir))
        for why in refused:
            self.logger.warning(f"left out of {source_dir}: {why}")

    async def _download(self, script: str, source: str, content: IO[bytes]) -> tuple[int, str]:
        most = self._settings.download_mb * MIB
        size = 0

        def reset() -> None:
            nonlocal size
            size = 0
            content.seek(0)
            content.truncate()

        def take(data: bytes) -> None:
            nonlocal size
            size += len(data)
            if size > most:
                raise RuntimeError(
                    f"{source} of pod {self.pod_name} is larger than "
                    f"{self._settings.download_mb} MiB (SWE_RL_SANDBOX_DOWNLOAD_MB)"
                )
            content.write(data)

        result = await self._access.run_script("download", script, [source], sink=take, reset=reset)
        content.flush()
        return result

    def _transfer_error(self, what: str, errors: str) -> RuntimeError:
        image = self.task_env_config.docker_image
        return RuntimeError(f"pod {self.pod_name} ({image}): {what}: {errors or 'no message'}")
