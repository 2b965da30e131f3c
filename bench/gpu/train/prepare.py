"""Has the Plan say what to run on the machine, for each tier, proxy mode and kind of model, and writes it where it travels.

    python3 prepare.py [--folder .gpu]

Makes FOLDER/run/<tier>-<mode>-<kind>.json: the trainer's command line and environment, and LiteLLM's configuration. Needs the
Node.js of the project in PATH. The settings are settings.yaml on the site lab; no cluster is asked.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROJECT = HERE.parents[2]
MODES = ("in_process", "litellm")
TIERS = ("single-node", "two-node")
"""Synchronous on one GPU; fully asynchronous on two, one that trains and one that serves."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="prepare.py", description="Writes what the machine is to run.")
    parser.add_argument("--folder", type=Path, default=Path(".gpu"), help="where git ignores it; default .gpu")
    options = parser.parse_args()
    folder = options.folder / "run"
    folder.mkdir(parents=True, exist_ok=True)
    for kind, shape in json.loads((HERE / "shapes.json").read_text()).items():
        for tier, mode in itertools.product(TIERS, MODES):
            file = folder / f"{tier}-{mode}-{kind}.json"
            file.write_text(json.dumps(decided(tier, mode, shape), indent=1))
            print(file)


def decided(tier: str, mode: str, shape: dict[str, Any]) -> dict[str, Any]:
    """The part of the Plan that the machine needs. Raises CalledProcessError where the Plan refuses."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "stacks").mkdir()
        shutil.copytree(PROJECT / "config", root / "config")
        settings = (HERE / "settings.yaml").read_text()
        (root / "config/gpu-settings.yaml").write_text(f"extends: {tier}-stock.yaml\n{settings}")
        (root / "config/gpu-train.yaml").write_text(
            f"extends: gpu-settings.yaml\nproxy: {{ mode: {mode} }}\n"
        )
        (root / "tiny.json").write_text(json.dumps(shape))
        command = ["node", "cli/plan.ts", "gpu-train", "--site", "lab", "--root", name, "--json"]
        done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True)
    plan = json.loads(done.stdout)
    trainer, proxy = plan["trainer"], plan["proxy"]
    return {
        "argv": trainer["argv"],
        "environment": trainer["env"],
        "ray_namespace": trainer["rayNamespace"],
        "litellm": proxy.get("litellm"),
        "recorder": proxy.get("recorder"),
    }


if __name__ == "__main__":
    main()
