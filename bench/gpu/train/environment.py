"""Harbor's environment without containers: a trial's commands are local processes that see the trial's own folders.

The folders that a task names (/srv, /tests, /logs …) are bound over those of the machine in a mount namespace, a fresh
one for every command, so that several trials run at once. This takes root and `unshare --mount`. Where the kernel
refuses it, the paths are rewritten in commands and in uploaded scripts; what else names them is not found then.

No isolation: for tasks of one's own only.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any, override

from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.environments.capabilities import EnvironmentResourceCapabilities

ROOTS = ("srv", "app", "tests", "logs", "solution", "installed-agent", "tmp")
"""Folders of a trial. /tmp is the last to be bound, since the trial's folder may be below it."""

MOST_OUTPUT_BYTES = 2**20


@functools.cache
def has_namespaces() -> bool:
    """Whether this process may bind folders in a mount namespace of its own."""
    if os.geteuid() != 0:
        return False
    try:
        for root in ROOTS:
            Path("/", root).mkdir(exist_ok=True)
        command = ["unshare", "--mount", "mount", "--bind", "/srv", "/app"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


class LocalEnvironment(BaseEnvironment):
    """One folder a trial, in the machine's folder for temporary files."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._folder = Path(tempfile.gettempdir(), "swe-rl-sandboxes", kwargs["session_id"])
        super().__init__(*args, **kwargs)

    @staticmethod
    @override
    def type() -> str:
        return "local"

    @classmethod
    @override
    def resource_capabilities(cls) -> EnvironmentResourceCapabilities:
        # What a task asks for is taken, and nothing keeps it to that.
        return EnvironmentResourceCapabilities(
            cpu_request=True, memory_request=True, fractional_cpus=True
        )

    @override
    def _validate_definition(self) -> None:
        """Every definition will do: no image is used."""

    @override
    async def start(self, force_build: bool) -> None:
        for root in ROOTS:
            (self._folder / root).mkdir(parents=True, exist_ok=True)
        await self.ensure_dirs(self._mount_targets(writable_only=True))
        await self._upload_environment_dir_after_start()

    @override
    async def stop(self, delete: bool) -> None:
        if delete:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def _place(self, path: str) -> Path:
        """Where the trial's path is on the machine."""
        whole = PurePosixPath(self.task_env_config.workdir or "/srv", path)
        return self._folder / whole.relative_to("/") if whole.parts[1] in ROOTS else Path(whole)

    @override
    async def upload_file(self, source_path: Path | str, target_path: str) -> None:
        target = self._place(target_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(shutil.copy2, source_path, target)
        self._adapt(target)

    @override
    async def upload_dir(self, source_dir: Path | str, target_dir: str) -> None:
        target = self._place(target_dir)
        await asyncio.to_thread(shutil.copytree, source_dir, target, dirs_exist_ok=True)
        for script in target.rglob("*.sh"):
            self._adapt(script)

    @override
    async def download_file(self, source_path: str, target_path: Path | str) -> None:
        Path(target_path).parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(shutil.copy2, self._place(source_path), target_path)

    @override
    async def download_dir(self, source_dir: str, target_dir: Path | str) -> None:
        source = self._place(source_dir)
        await asyncio.to_thread(shutil.copytree, source, target_dir, dirs_exist_ok=True)

    @override
    async def exec(
        self,
        command: str,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        timeout_sec: int | None = None,
        user: str | int | None = None,
    ) -> ExecResult:
        """Runs a command as the user of this process. Raises RuntimeError at the timeout."""
        folder = cwd or self.task_env_config.workdir or "/srv"
        process = await asyncio.create_subprocess_exec(
            *self._command(f"cd {shlex.quote(folder)} && {{ {command}\n}}"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_inherited() | (self._merge_env(env) or {}),
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(timeout_sec or None):
                output, errors = await process.communicate()
        except TimeoutError:
            raise RuntimeError(f"Command timed out after {timeout_sec} seconds") from None
        finally:
            # What a command leaves behind ends with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return ExecResult(
            stdout=_text(output), stderr=_text(errors), return_code=process.returncode or 0
        )

    def _command(self, script: str) -> list[str]:
        if not has_namespaces():
            return ["bash", "-c", self._rewritten(script)]
        binds = " && ".join(
            f"mount --bind {shlex.quote(str(self._folder / root))} /{root}" for root in ROOTS
        )
        inner = f'{binds} && exec bash -c "$1"'
        return ["unshare", "--mount", "sh", "-c", inner, "sh", script]

    def _adapt(self, file: Path) -> None:
        if not has_namespaces() and file.suffix == ".sh":
            file.write_text(self._rewritten(file.read_text()))

    def _rewritten(self, text: str) -> str:
        """The text with the machine's names of the trial's folders."""
        roots = "|".join(re.escape(root) for root in ROOTS)
        return re.sub(rf"(?<![\w./-])/({roots})(?![\w-])", rf"{self._folder}/\1", text)


def _inherited() -> dict[str, str]:
    """Nothing of the trainer's own environment but where programs are."""
    return {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}


def _text(output: bytes) -> str:
    return output[:MOST_OUTPUT_BYTES].decode(errors="replace")
