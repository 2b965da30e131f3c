"""Composes verl's configuration with verl's own Hydra files, and runs verl's own validation on it.

    verl_check.py DIRECTORY_WITH_VERL < cases.json > results.json

A case is {"asynchronous": bool, "overrides": [...], "use_reference_policy": bool,
"use_critic": bool}; its result is
{"config": resolved configuration or null, "error": why it does not compose, or null,
"refusal": why validate_config refuses it, or null}.

verl's own package imports torch, Ray and much more, none of which a configuration needs. So those
modules are stubs here, and `verl` is a bare package: what lies in it is the real thing.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import json
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HEAVY = (
    *("accelerate", "codetiming", "numpy", "nvtx", "peft", "PIL", "psutil", "ray"),
    *("tensordict", "torch", "torchdata", "transformers", "vllm"),
)
ENTRIES = {
    False: ("verl/trainer/config", "ppo_trainer"),
    True: ("verl/experimental/fully_async_policy/config", "fully_async_ppo_trainer"),
}
"""Folder and name of the configuration, as the entry modules have them."""

EMPTY = ("verl.utils.fs", "verl.utils.model", "verl.utils.device", "verl.utils.import_utils")
"""Modules of verl that only do work, and that its configuration imports for that."""


class Anything(type):
    """A class that has whatever is asked of it, and takes whatever it is given."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _anything()

    def __getitem__(cls, _: object) -> Any:
        return cls

    def __call__(cls, *_: object, **__: object) -> Any:
        return cls

    def __len__(cls) -> int:
        return 1


def _anything() -> Any:
    return Anything("Anything", (), {})


class Stub(types.ModuleType):
    """A module that has whatever is asked of it."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _anything()


class Stubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Serves the stubs."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] in HEAVY or name in EMPTY:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Stub:
        return Stub(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def use_bare_packages(root: Path) -> None:
    """verl without what its packages do on import."""
    sys.meta_path.insert(0, Stubs())
    sys.path.insert(0, str(root))
    for name, needed in {"verl": (), "verl.utils": ("hf_processor", "hf_tokenizer")}.items():
        package = types.ModuleType(name)
        package.__path__ = [str(root / name.replace(".", "/"))]
        # Not one that has everything: Hydra asks it for submodules before it imports them.
        vars(package).update({attribute: _anything() for attribute in needed})
        sys.modules[name] = package


def main(root: Path) -> None:
    use_bare_packages(root)
    with contextlib.redirect_stdout(sys.stderr):
        from hydra import compose, initialize_config_dir
        from omegaconf import OmegaConf
        from verl.utils.config import validate_config

        results = []
        for case in json.load(sys.stdin):
            result: dict[str, Any] = {"config": None, "error": None, "refusal": None}
            results.append(result)
            try:
                folder, name = ENTRIES[case["asynchronous"]]
                with initialize_config_dir(config_dir=str(root / folder), version_base=None):
                    config = compose(name, overrides=case["overrides"])
                result["config"] = OmegaConf.to_container(config, resolve=True)
            except Exception as error:
                result["error"] = f"{type(error).__name__}: {error}"
                continue
            try:
                validate_config(config, case["use_reference_policy"], case["use_critic"])
            except Exception as error:
                result["refusal"] = f"{type(error).__name__}: {error}"
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
