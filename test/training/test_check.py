"""The check that comes before a run: right inputs pass, and each fault is one line that names it."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from importlib import metadata
from pathlib import Path
from unittest import mock

import pyarrow.parquet as pq
import pytest
from swe_rl_training.rehearsal.model import write_model
from scripts import TASKS
from support.our_code import shipped_plan
from swe_rl_training import check, check_inputs, index
from swe_rl_training.registry import Found, Reference, Registries
from test_settings import VARIABLES

SOURCE = Path(check_inputs.__file__).parents[1]


class Run:
    """Folders as the run's volumes, and the Plan's command for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder / "model"
        write_model(self.model)
        (self.model / "model.safetensors").write_bytes(b"weights")
        shutil.copytree(TASKS, folder / "tasks")
        self.make_index("train")
        self.make_index("val", "sum-of-digits")
        self.options = {"--ray": metadata.version("ray"), "--verl": metadata.version("verl")}
        self.changes: dict[str, str] = {}
        self.environment = {**VARIABLES, "HARBOR_TRIALS_DIR": str(folder / "trials")}

    def make_index(self, split: str, *only: str) -> None:
        tasks = self.folder / "tasks"
        if only:
            tasks = self.folder / f"tasks-{split}"
            for name in only:
                shutil.copytree(TASKS / name, tasks / f"{name}-{split}")
        file = self.folder / f"{split}.parquet"
        arguments = [str(tasks), "-o", str(file), "--split", split, "--skip-images"]
        assert index.main(arguments) == 0

    def command(self) -> list[str]:
        """The Plan's, with the folders of this test."""
        changes = {
            "actor_rollout_ref.model.path": str(self.model),
            "actor_rollout_ref.rollout.tensor_model_parallel_size": "2",
            "actor_rollout_ref.rollout.agent.agent_loop_config_path": str(
                SOURCE / "swe_rl_training/agent_loop.yaml"
            ),
            "++actor_rollout_ref.rollout.engine_kwargs.vllm.tool-call-parser": "hermes",
            "data.train_files": str(self.folder / "train.parquet"),
            "data.val_files": str(self.folder / "val.parquet"),
            "data.train_batch_size": "4",
            "trainer.default_local_dir": str(self.folder / "checkpoints"),
            **self.changes,
        }
        argv = [str(word) for word in shipped_plan("single-node-stock")["argv"]]
        command = argv[argv.index("--") + 1 :]
        keys = {word.partition("=")[0] for word in command}
        assert set(changes) - keys <= set(self.changes), set(changes) - keys
        kept = [word for word in command if word.partition("=")[0] not in changes]
        return [*kept, *(f"{key}={value}" for key, value in changes.items())]

    def check(self, *more: str) -> tuple[int, list[str]]:
        """In this process, since an import of verl takes ten seconds."""
        options = [word for pair in self.options.items() for word in pair]
        arguments = ["--only", "--rehearsal", *options, *more, "--", *self.command()]
        said = io.StringIO()
        with mock.patch.dict(os.environ, self.environment, clear=True), redirect_stderr(said):
            code = check.main(arguments)
        return code, [line for line in said.getvalue().splitlines() if line.startswith("check: ")]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_a_right_run_passes(run: Run) -> None:
    assert run.check() == (0, ["check: image and inputs are as the run needs them"])
    # It leaves nothing behind.
    assert list((run.folder / "checkpoints").iterdir()) == []


def test_the_command_follows(run: Run, tmp_path: Path) -> None:
    """What is checked is what then starts, in the same process."""
    argv = [str(word) for word in shipped_plan("single-node-stock")["argv"]]
    assert argv[:3] == ["python3", "-m", "swe_rl_training.check"]
    assert argv[argv.index("--") + 1 :][:3] == ["python3", "-m", "verl.trainer.main_ppo"]
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin/python3"
    fake.write_text('#!/bin/sh\necho "started with $# words"\nexit 7\n')
    fake.chmod(0o755)
    command = run.command()
    before = _processor_seconds()
    done = subprocess.run(
        [sys.executable, "-m", "swe_rl_training.check", "--rehearsal", "--", *command],
        env={
            **run.environment,
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(SOURCE),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    # Other suites run beside this one, so what it takes is told by the processor.
    assert _processor_seconds() - before < 30
    assert (done.returncode, done.stdout) == (7, f"started with {len(command) - 1} words\n")


def _processor_seconds() -> float:
    """Of the processes that this one has started and seen end."""
    used = os.times()
    return used.children_user + used.children_system


def remove(name: str) -> Callable[[Run], object]:
    return lambda run: (run.model / name).unlink()


def _window(run: Run) -> None:
    file = run.model / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "max_position_embeddings": 4096}))


def _heads(run: Run) -> None:
    file = run.model / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "num_key_value_heads": 3}))


def _part_of_the_weights(run: Run) -> None:
    names = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    (run.model / names[0]).write_bytes(b"x")
    weights = {"metadata": {"total_size": 3}, "weight_map": {name: name for name in names}}
    (run.model / "model.safetensors.index.json").write_text(json.dumps(weights))


def _short_weights(run: Run) -> None:
    weights = {"metadata": {"total_size": 10**9}, "weight_map": {"a": "model.safetensors"}}
    (run.model / "model.safetensors.index.json").write_text(json.dumps(weights))


def _columns(run: Run) -> None:
    file = run.folder / "train.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["extra_info"]), file)


def _read_only(run: Run) -> None:
    (run.folder / "trials").write_text("a file, where a folder is wanted")


FAULTS: dict[str, tuple[Callable[[Run], object], str]] = {
    "ray": (lambda run: run.options.update({"--ray": "2.1.0"}), "ray: is .*, and the Plan says 2.1.0"),
    "verl": (lambda run: run.options.update({"--verl": "0.7.0"}), "verl: is 0.9.1, and the Plan says 0.7.0"),
    "program": (lambda run: run.options.update({"--program": "no-such"}), "there is no no-such"),
    "key": (lambda run: run.changes.update({"data.train_batchsize": "4"}), "verl-keys: Could not override"),
    "loop file": (
        lambda run: run.changes.update(
            {"actor_rollout_ref.rollout.agent.agent_loop_config_path": "/no/loop.yaml"}
        ),
        "agent-loop: /no/loop.yaml cannot be read",
    ),
    "loop name": (
        lambda run: run.changes.update({"actor_rollout_ref.rollout.agent.default_agent_loop": "mine"}),
        "has no agent loop mine",
    ),
    "variable": (lambda run: run.environment.pop("SWE_RL_SCAFFOLD"), "SWE_RL_SCAFFOLD is not set"),
    "read-only": (_read_only, "trials cannot be written as user"),
    "no configuration": (remove("config.json"), "config.json cannot be read"),
    "no weights": (remove("model.safetensors"), "has no weights"),
    "part of the weights": (_part_of_the_weights, "2 of 3 files of weights are missing"),
    "short weights": (_short_weights, "have 7 bytes, and their index says 1000000000"),
    "no tokenizer": (remove("tokenizer.json"), "has no tokenizer"),
    "no template": (remove("chat_template.jinja"), "has no chat template"),
    "window": (_window, "has a window of 4096 tokens, and the run wants 128000"),
    "KV heads": (_heads, "has 3 KV heads, and the rollout servers' tensor parallelism is 2"),
    "no index": (lambda run: (run.folder / "val.parquet").unlink(), "val.parquet cannot be read"),
    "no Parquet": (
        lambda run: (run.folder / "val.parquet").write_text("instance,image\n"),
        "val.parquet cannot be read",
    ),
    "columns": (_columns, "has no column extra_info"),
    "task gone": (
        lambda run: shutil.rmtree(run.folder / "tasks/roman-numerals"),
        "1 of 4 tasks of .* have no folder: .*roman-numerals",
    ),
    "batch": (
        lambda run: run.changes.update({"data.train_batch_size": "64"}),
        "has 4 tasks, and a batch takes 64",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_clear_line(run: Run, fault: str) -> None:
    spoil, said = FAULTS[fault]
    spoil(run)
    code, lines = run.check()
    assert code == 3
    [line] = [line for line in lines if line.startswith("check: fatal: ")]
    assert re.search(said, line), line
    assert line.endswith(".")


WARNINGS: dict[str, tuple[Callable[[Run], object], str]] = {
    "parser": (
        lambda run: run.changes.update(
            {"++actor_rollout_ref.rollout.engine_kwargs.vllm.tool-call-parser": "qwen3_coder"}
        ),
        "its chat template has no <function=",
    ),
    "overlap": (
        lambda run: index.main(
            [str(run.folder / "tasks"), "-o", str(run.folder / "val.parquet"), "--split", "val", "--skip-images"]
        ),
        "4 tasks are in both indexes",
    ),
    "split": (
        lambda run: index.main(
            [str(run.folder / "tasks-val"), "-o", str(run.folder / "val.parquet"), "--skip-images"]
        ),
        "is not marked as split val",
    ),
}


@pytest.mark.parametrize("about", WARNINGS)
def test_what_may_be_meant_is_a_warning(run: Run, about: str) -> None:
    spoil, said = WARNINGS[about]
    spoil(run)
    code, lines = run.check()
    assert code == 0
    assert any(said in line and line.startswith("check: warn: ") for line in lines), lines


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("python:3.12", Reference("docker.io", "library/python", "3.12")),
        ("python", Reference("docker.io", "library/python", "latest")),
        ("me/it:1", Reference("docker.io", "me/it", "1")),
        ("r.example:5000/a/b/c:x-1", Reference("r.example:5000", "a/b/c", "x-1")),
        ("localhost/a@sha256:ab", Reference("localhost", "a", "sha256:ab")),
        ("r.example/a:1@sha256:ab", Reference("r.example", "a", "sha256:ab")),
    ],
)
def test_names_of_images_are_taken_apart_as_docker_does(image: str, expected: Reference) -> None:
    assert Reference.of(image) == expected


@pytest.mark.parametrize("image", ["", "A/b", "r.example/", "a b", "r.example/a/:1"])
def test_what_names_no_image_is_no_image(image: str) -> None:
    with pytest.raises(ValueError, match="is no name of an image"):
        Reference.of(image)


def test_registries_are_asked_once_for_each_image() -> None:
    from support.http_stub import Handler, serving

    asked: list[str] = []

    class Registry(Handler):
        """With tokens, as the public ones have them."""

        def do_HEAD(self) -> None:
            if self.headers.get("Authorization") != "Bearer good":
                realm = f"http://127.0.0.1:{self.server.server_address[1]}/token"
                self.send_response(401)
                self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="here"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            asked.append(self.path)
            there = "/there/" in self.path
            self.send_response(200 if there else 404)
            if there:
                self.send_header("Docker-Content-Digest", "sha256:abc")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            assert "scope=repository" in self.path
            if self.headers.get("Authorization") != "Basic bWU6c2VjcmV0":
                self.answer(401, b"{}")
                return
            self.answer(200, b'{"token": "good"}')

    with serving(Registry) as server:
        host = f"127.0.0.1:{server.port}"
        images = {f"{host}/there/a:1", f"{host}/there/a:2", f"{host}/gone/b:1"}
        credentials = {"auths": {host: {"username": "me", "password": "secret"}}}
        found = Registries(credentials).look_up(images)
        assert found[f"{host}/there/a:1"] == Found("sha256:abc")
        assert found[f"{host}/gone/b:1"] == Found(None, f"{host} answers 404", is_missing=True)
        assert len(asked) == 3
        refused = Registries().look_up({f"{host}/there/a:1"})
    assert refused[f"{host}/there/a:1"] == Found(None, f"{host} answers 401")
    nobody = Registries(timeout=2).look_up({"127.0.0.1:9/a:1"})["127.0.0.1:9/a:1"]
    assert (nobody.digest, nobody.is_missing) == (None, False)


def test_a_rehearsal_needs_no_weights(run: Run) -> None:
    (run.model / "model.safetensors").unlink()
    command = run.command()
    at = command.index("-m") + 1
    rehearsal = [*command[:at], "swe_rl_training.rehearsal", *command[at:]]
    with mock.patch.object(run, "command", lambda: rehearsal):
        assert run.check()[0] == 0
