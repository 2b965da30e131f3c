"""Whether this image can run what the Plan starts in it."""

from __future__ import annotations

import importlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from packaging.requirements import Requirement

from .findings import Finding
from .settings import BadSetting, Settings

REBUILD = "Build it again with: npm run image -- build training"

REHEARSAL = "swe_rl_training.rehearsal"
"""Stands before an entry point of verl's (rehearsal/__main__.py)."""

CONFIGURATIONS = {
    "verl.trainer.main_ppo": ("trainer/config", "ppo_trainer"),
    "verl.experimental.fully_async_policy.fully_async_main": (
        "experimental/fully_async_policy/config",
        "fully_async_ppo_trainer",
    ),
}
"""Of verl's entry points: folder of their configurations below the package, and the default one."""


@dataclass(frozen=True)
class Command:
    """verl's command line, taken apart."""

    folder: str
    name: str
    overrides: Sequence[str]
    rehearses: bool = False
    """Whether servers and trainer are those of a rehearsal, which need neither vLLM nor weights."""

    @classmethod
    def of(cls, argv: Sequence[str]) -> Command:
        """Raises ValueError for a command that neither starts nor rehearses a trainer of verl's."""
        at = argv.index("-m") + 1 if "-m" in argv[:-1] else len(argv)
        modules = [one for one in argv[at : at + 2] if one != REHEARSAL]
        entry = modules[0] if modules else ""
        if entry not in CONFIGURATIONS:
            raise ValueError(f"{' '.join(argv[:4])} starts no trainer of verl's")
        folder, name = CONFIGURATIONS[entry]
        rest = argv[argv.index(entry) + 1 :]
        for option in rest:
            if found := re.fullmatch(r"--config-name=(.+)", option):
                name = found[1]
        overrides = [one for one in rest if not one.startswith("--")]
        return cls(folder, name, overrides, rehearses=REHEARSAL in argv)

    def configuration(self) -> DictConfig:
        """As verl itself composes it. Raises HydraException, OmegaConfBaseException."""
        spec = util.find_spec("verl")
        if spec is None or spec.origin is None:
            raise HydraException("there is no verl")
        root = Path(spec.origin).parent
        # Its own search path names a package, and so would import all of verl.
        shared = f"hydra.searchpath=[file://{root}/trainer/config]"
        GlobalHydra.instance().clear()
        with initialize_config_dir(config_dir=str(root / self.folder), version_base=None):
            return compose(self.name, overrides=[shared, *self.overrides])


def releases(expected: dict[str, str], *, needs_vllm: bool) -> Iterator[Finding]:
    """`expected`: releases that the Plan names, by package."""
    for package, release in expected.items():
        found = _release(package)
        if found != release:
            yield Finding(
                package,
                "fatal",
                f"is {found or 'not installed'}, and the Plan says {release}",
                "what one pod starts another cannot join or read",
                f"{REBUILD}; or set the release in the experiment",
            )
    own = _release("verl")
    extras = ("", "vllm") if needs_vllm else ("",)
    for requirement in map(Requirement, metadata.requires("verl") or [] if own else []):
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in extras):
            continue
        found = _release(requirement.name)
        if found is not None and requirement.specifier.contains(found, prereleases=True):
            continue
        yield Finding(
            requirement.name,
            "fatal" if found is None else "warn",
            f"is {found or 'not installed'}, and verl {own} asks for {requirement}",
            "verl may not start, or may sample otherwise than it trains",
            REBUILD,
        )


def _release(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def keys(command: Command) -> tuple[DictConfig | None, list[Finding]]:
    """The configuration that verl will read, if it takes every key."""
    try:
        configuration = command.configuration()
        OmegaConf.to_container(configuration, resolve=True)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        found = " ".join(str(error).split())[:400]
        return None, [
            Finding("verl-keys", "fatal", found, "verl refuses to start", "Correct verl.overrides")
        ]
    return configuration, []


def agent_loop(configuration: DictConfig) -> Iterator[Finding]:
    agent = configuration.actor_rollout_ref.rollout.agent
    file, name = agent.agent_loop_config_path, agent.default_agent_loop
    try:
        entries: Any = OmegaConf.load(file)
        entry = next((one for one in entries if one.name == name), None)
    except (OSError, OmegaConfBaseException, AttributeError, TypeError) as error:
        yield _no_loop(f"{file} cannot be read: {error}")
        return
    if entry is None:
        yield _no_loop(f"{file} has no agent loop {name}")
        return
    module, _, target = str(entry._target_).rpartition(".")
    try:
        getattr(importlib.import_module(module), target)
    except Exception as error:
        # Whatever an import runs into is what a worker would run into.
        yield _no_loop(f"{module} cannot be imported: {type(error).__name__}: {error}")


def _no_loop(found: str) -> Finding:
    return Finding("agent-loop", "fatal", found, "no trial could be run", REBUILD)


def environment() -> Iterator[Finding]:
    try:
        Settings.from_environment()
    except BadSetting as error:
        yield Finding(
            "environment", "fatal", str(error), "the agent loop cannot run",
            "Start the run from its stack, which sets it",
        )  # fmt: skip


def folders(directories: Iterable[str]) -> Iterator[Finding]:
    """Whether a file can be written, renamed and removed in each of them."""
    for directory in directories:
        probe = Path(directory) / f".swe-rl-check-{secrets.token_hex(4)}"
        renamed = probe.with_suffix(".renamed")
        try:
            probe.parent.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"x")
            probe.rename(renamed)
        except OSError as error:
            yield Finding(
                "folders",
                "fatal",
                f"{directory} cannot be written as user {os.getuid()} ({error.strerror})",
                "what the run makes would be lost",
                "Write the group that owns the volume into storage.group of the site, or give the "
                "volume to that user, or run the image as another",
            )
        finally:
            for file in (probe, renamed):
                try:
                    file.unlink(missing_ok=True)
                except OSError:
                    # Read-only: then it was not made either.
                    pass


def programs(names: Iterable[str]) -> Iterator[Finding]:
    for name in names:
        if shutil.which(name) is None:
            yield Finding("programs", "fatal", f"there is no {name}", "the stack needs it", REBUILD)
