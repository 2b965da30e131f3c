"""Whether the model and the task indexes are what the run takes them for, before a GPU loads anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from .findings import Finding
from .registry import Registries

MOST_NAMED = 10
"""Members of a long list that a finding names."""

CALL_MARKS = {"hermes": '"arguments"', "qwen3_coder": "<function="}
"""What a chat template that goes with a parser of vLLM's writes for a tool call (vllm/tool_parsers)."""


def model(configuration: DictConfig, *, needs_weights: bool) -> Iterator[Finding]:
    folder = Path(configuration.actor_rollout_ref.model.path)
    rollout = configuration.actor_rollout_ref.rollout
    try:
        shapes = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        yield _model(f"{folder}/config.json cannot be read ({error})", "verl cannot load the model")
        return
    text = {**shapes, **(shapes.get("text_config") or {})}
    yield from _shapes(text, rollout)
    if needs_weights:
        yield from weights(folder)
    yield from _tokenizer(folder, rollout)


def _shapes(text: dict[str, Any], rollout: DictConfig) -> Iterator[Finding]:
    heads, parallel = text.get("num_key_value_heads"), rollout.tensor_model_parallel_size
    if isinstance(heads, int) and heads % parallel and parallel % heads:
        yield _model(
            f"has {heads} KV heads, and the rollout servers' tensor parallelism is {parallel}",
            "vLLM refuses to start",
            "Correct vllm.gen_tp",
        )
    window, wanted = text.get("max_position_embeddings"), rollout.max_model_len
    if isinstance(window, int) and wanted and wanted > window:
        yield _model(
            f"has a window of {window} tokens, and the run wants {wanted}",
            "verl asserts it when the servers start",
            "Lower vllm.max_model_length",
        )


def weights(folder: Path) -> Iterator[Finding]:
    """Whether all files of the index are there, and as large together as it says."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
            yield _model(f"{folder} has no weights", "verl cannot load the model")
        return
    try:
        content = json.loads(index.read_text())
        names = sorted(set(content["weight_map"].values()))
        wanted = int((content.get("metadata") or {}).get("total_size") or 0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield _model(f"{index} cannot be read ({error})", "verl cannot load the model")
        return
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        yield _model(
            f"{len(missing)} of {len(names)} files of weights are missing: {_some(missing)}",
            "the trainer fails after minutes of loading",
        )
        return
    size = sum((folder / name).stat().st_size for name in names)
    if size < wanted:
        yield _model(
            f"its weights have {size} bytes, and their index says {wanted}",
            "the trainer fails after minutes of loading, or trains on a part",
        )


def _tokenizer(folder: Path, rollout: DictConfig) -> Iterator[Finding]:
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        yield _model(f"{folder} has no tokenizer", "neither verl nor vLLM can load the model")
        return
    template = _template(folder)
    if template is None:
        yield _model(f"{folder} has no chat template", "vLLM refuses every call of an agent")
        return
    parser = OmegaConf.select(rollout, "engine_kwargs.vllm.tool-call-parser")
    mark = CALL_MARKS.get(str(parser))
    if mark is not None and mark not in template:
        yield Finding(
            "model",
            "warn",
            f"its chat template has no {mark}, and the tool-call parser is {parser}",
            "calls of tools arrive as text, and every trial ends at its first turn",
            "Correct verl.tool_call_parser",
        )


def _template(folder: Path) -> str | None:
    try:
        return (folder / "chat_template.jinja").read_text()
    except OSError:
        pass
    try:
        template = json.loads((folder / "tokenizer_config.json").read_text()).get("chat_template")
    except (OSError, ValueError, AttributeError):
        return None
    return None if template is None else str(template)


def _model(found: str, consequence: str, remedy: str = "Copy the model anew") -> Finding:
    return Finding("model", "fatal", found, consequence, remedy)


@dataclass(frozen=True)
class Index:
    file: Path
    split: str
    tasks: dict[str, str | None]
    """Image of each task, by its folder."""
    rows: int


def indexes(configuration: DictConfig) -> tuple[list[Index], list[Finding]]:
    data = configuration.data
    read: list[Index] = []
    findings: list[Finding] = []
    for setting, split in (("train_files", "train"), ("val_files", "val")):
        given = data[setting]
        for file in [given] if isinstance(given, str) else given:
            index, faults = _index(Path(file), split)
            findings += faults
            if index is not None:
                read.append(index)
    train = [index for index in read if index.split == "train"]
    rows, batch = sum(index.rows for index in train), data.train_batch_size or 1
    if train and rows < batch:
        findings.append(
            _data(
                f"{train[0].file} has {rows} tasks, and a batch takes {batch}",
                "verl has no batch to train on",
                "Add tasks, or lower training.train_batch_size",
            )
        )
    validated = {task for index in read if index.split == "val" for task in index.tasks}
    both = sorted({task for index in train for task in index.tasks} & validated)
    if both:
        findings.append(
            Finding(
                "index",
                "warn",
                f"{len(both)} tasks are in both indexes: {_some(both)}",
                "validation measures what was trained on",
                "Leave them out of one",
            )
        )
    return read, findings


def _index(file: Path, split: str) -> tuple[Index | None, list[Finding]]:
    anew = "Make it anew: python3 -m swe_rl_training.index"
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        return None, [_data(f"{file} cannot be read ({error})", "verl reads no task", anew)]
    lacking = [name for name in ("prompt", "extra_info") if name not in table.column_names]
    if lacking:
        found = f"{file} has no column {', '.join(lacking)}"
        return None, [_data(found, "the agent loop finds no task", anew)]
    about = [row or {} for row in table.column("extra_info").to_pylist()]
    unnamed = sum(not row.get("task") for row in about)
    findings = []
    if unnamed:
        found = f"{unnamed} of {len(about)} rows of {file} have no extra_info.task"
        findings.append(_data(found, "the agent loop finds no task", anew))
    tasks = {
        str((file.parent / row["task"]).resolve()): row.get("image") or None
        for row in about
        if row.get("task")
    }
    gone = sorted(task for task in tasks if not (Path(task) / "task.toml").is_file())
    if gone:
        found = f"{len(gone)} of {len(tasks)} tasks of {file} have no folder: {_some(gone)}"
        findings.append(_data(found, "their trials fail, and count as reward 0", anew))
    if split == "val" and any(row.get("split") != "val" for row in about):
        findings.append(
            Finding(
                "index",
                "warn",
                f"{file} is not marked as split val",
                "validation runs with the time limits of training",
                f"{anew} --split val",
            )
        )
    return Index(file, split, tasks, len(about)), findings


def images(read: list[Index]) -> Iterator[Finding]:
    """Whether every task's image is in its registry, as this machine sees it."""
    wanted = {image for index in read for image in index.tasks.values() if image}
    found = Registries.of_user().look_up(wanted)
    for is_missing in (True, False):
        lost = {
            image: one
            for image, one in found.items()
            if one.digest is None and one.is_missing == is_missing
        }
        if not lost:
            continue
        tasks = sum(image in lost for index in read for image in index.tasks.values())
        reasons = [f"{image} ({one.why})" for image, one in sorted(lost.items())]
        state = "are not in their registry" if is_missing else "could not be looked up"
        yield Finding(
            "task-images",
            "fatal" if is_missing else "unknown",
            f"{len(lost)} of {len(wanted)} images, of {tasks} tasks, {state}: {_some(reasons)}",
            "their sandboxes do not start, and their trials are dropped",
            "Push them, or leave their tasks out",
        )


def _data(found: str, consequence: str, remedy: str) -> Finding:
    return Finding("index", "fatal", found, consequence, remedy)


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
