"""Makes a task index for verl from a folder of Harbor tasks.

    python3 -m swe_rl_training.index TASKS_DIRECTORY -o train.parquet [--split train|val]
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from harbor.models.task.task import Task

from .registry import Found, Registries


@dataclass(frozen=True)
class Entry:
    folder: Path
    name: str
    instruction: str
    image: str | None


def entries(directory: Path) -> tuple[list[Entry], list[str]]:
    """The tasks of a folder in order of their names, and a sentence for each folder that holds none."""
    tasks, faults = [], []
    for folder in sorted(path for path in directory.iterdir() if path.is_dir()):
        if not (folder / "task.toml").is_file():
            faults.append(f"{folder.name}: has no task.toml")
            continue
        try:
            task = Task(folder)
        except Exception as error:
            # Harbor raises whatever its parsers raise.
            faults.append(f"{folder.name}: {_brief(error)}")
            continue
        if task.has_steps:
            faults.append(f"{folder.name}: has several steps, and a sample is one conversation")
            continue
        image = task.config.environment.docker_image
        tasks.append(Entry(folder, task.name, task.instruction, image))
    return tasks, faults


def rows(tasks: list[Entry], *, split: str, source: str, index: Path) -> list[dict[str, Any]]:
    """Rows as verl 0.9.1 reads them (verl/utils/dataset/rl_dataset.py), with the task for the loop."""
    return [
        {
            "data_source": source,
            "prompt": [{"role": "user", "content": task.instruction}],
            "ability": "swe",
            "reward_model": {"style": "rule", "ground_truth": ""},
            "extra_info": {
                "index": number,
                "split": split,
                "name": task.name,
                # So that data and index can be mounted anywhere, together.
                "task": os.path.relpath(task.folder.resolve(), index.resolve().parent),
                "image": task.image or "",
            },
        }
        for number, task in enumerate(tasks)
    ]


def missing(tasks: list[Entry], found: dict[str, Found]) -> list[str]:
    """A sentence for each task whose image could not be seen in its registry."""
    faults = []
    for task in tasks:
        about = found.get(task.image or "")
        if about is not None and about.digest is None:
            state = "is not in its registry" if about.is_missing else "could not be looked up"
            faults.append(f"{task.folder.name}: {task.image} {state} ({about.why})")
    return faults


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m swe_rl_training.index",
        description="Makes a task index for verl from a folder of Harbor tasks.",
        epilog="Exit codes: 0 written; 1 a task or an image is at fault and nothing is written; "
        "2 wrong usage.",
    )
    parser.add_argument("directory", type=Path, help="folder with one folder a task")
    parser.add_argument("-o", "--output", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--source", default="harbor", help="name of the data in verl's metrics")
    parser.add_argument(
        "--skip-images", action="store_true", help="do not ask the registries for the tasks' images"
    )
    parser.add_argument(
        "--skip-faulty", action="store_true", help="leave tasks at fault out instead of refusing"
    )
    given = parser.parse_args(arguments)
    if not given.directory.is_dir():
        parser.error(f"{given.directory} is no folder")
    tasks, faults = entries(given.directory)
    if not given.skip_images:
        images = {task.image for task in tasks if task.image}
        print(f"looking up {len(images)} images of {len(tasks)} tasks …", file=sys.stderr)
        without = missing(tasks, Registries.of_user().look_up(images))
        gone = {fault.partition(":")[0] for fault in without}
        tasks = [task for task in tasks if task.folder.name not in gone]
        faults += without
    for fault in faults:
        print(fault, file=sys.stderr)
    unbuilt = [task.folder.name for task in tasks if task.image is None]
    if unbuilt:
        print(
            f"{len(unbuilt)} tasks name no docker_image, so only a Docker site can run them: "
            f"{', '.join(unbuilt[:5])}",
            file=sys.stderr,
        )
    if not tasks or (faults and not given.skip_faulty):
        print(f"nothing written: {len(faults)} of {len(tasks) + len(faults)} at fault", file=sys.stderr)
        return 1
    table = rows(tasks, split=given.split, source=given.source, index=given.output)
    pq.write_table(pa.Table.from_pylist(table), given.output)
    print(f"{given.output}: {len(table)} tasks", file=sys.stderr)
    return 0


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
