"""Harbor's way of making a sandbox, with the real compose plugin and a real daemon: what its files become."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.docker_host import IMAGE, DockerHost, running, usable
from support.programs import RUNTIME

if reason := usable():
    pytest.skip(reason, allow_module_level=True)


BASE = """
services:
  main:
    volumes:
      - ${LOGS}:/logs/verifier
    deploy:
      resources:
        limits: { cpus: "${CPUS}", memory: "${MEMORY}" }
"""
"""As Harbor's own base file: limits below `deploy`, logs of the trial from the host."""

TASK = f"""
services:
  main:
    image: {IMAGE}
    command: ["python3", "-c", "import time; time.sleep(600)"]
    environment: [TASK=1]
"""

RULES = {
    "network": "run-sandbox",
    "stack": "run",
    "deadlineSeconds": 6000,
    "memoryLimitBytes": 2**28,
    "runtime": {"volume": "run-agent-runtime", "path": "/opt/agent"},
}


class Trial:
    """The directory of a task, and compose in it by way of our program."""

    def __init__(self, host: DockerHost, folder: Path) -> None:
        self.host, self.folder = host, folder
        (folder / "logs").mkdir()
        (folder / "base.yaml").write_text(BASE)
        (folder / "task.yaml").write_text(TASK)
        (folder / "rules.json").write_text(json.dumps(RULES))
        plugins = folder / "docker/cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-compose").symlink_to(os.environ["SWE_RL_COMPOSE"])

    def compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "DOCKER_HOST": f"unix://{self.host.socket}",
            "DOCKER_CONFIG": str(self.folder / "docker"),
            "SANDBOX_RULES": str(self.folder / "rules.json"),
            "LOGS": str(self.folder / "logs"),
            "CPUS": "1",
            "MEMORY": "4096M",
        }
        project = ["--project-name", "trial", "--project-directory", str(self.folder)]
        files = ["-f", str(self.folder / "base.yaml"), "-f", str(self.folder / "task.yaml")]
        program = [sys.executable, str(RUNTIME / "sandbox_docker.py"), "compose"]
        return subprocess.run(
            [*program, *project, *files, *arguments],
            env=environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def done(self, *arguments: str) -> str:
        result = self.compose(*arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def containers(self) -> list[Any]:
        found: list[Any] = self.host.api("GET", "/containers/json?all=1")
        return found


@pytest.fixture(scope="module")
def host() -> Iterator[DockerHost]:
    with running() as host:
        host.docker("network", "create", "--internal", "run-sandbox")
        host.docker("volume", "create", "run-agent-runtime")
        yield host


@pytest.fixture
def trial(host: DockerHost, tmp_path: Path) -> Iterator[Trial]:
    trial = Trial(host, tmp_path)
    yield trial
    trial.compose("down", "--volumes")


def test_a_sandbox_is_where_it_belongs_and_bounded(trial: Trial) -> None:
    trial.done("up", "--detach", "--wait")
    [found] = trial.containers()
    made = trial.host.api("GET", f"/containers/{found['Id']}/json")
    assert list(made["NetworkSettings"]["Networks"]) == ["run-sandbox"]
    assert made["Config"]["Labels"].items() >= {
        "swe-rl.dev/stack": "run",
        "swe-rl.dev/role": "sandbox",
        "swe-rl.dev/deadline-seconds": "6000",
    }.items()
    bounds = made["HostConfig"]
    assert (bounds["Memory"], bounds["MemorySwap"]) == (2**28, 2**28)
    assert (bounds["NanoCpus"], bounds["PidsLimit"]) == (10**9, 4096)
    assert sorted(bounds["CapDrop"]) in (["CAP_MKNOD", "CAP_NET_RAW"], ["MKNOD", "NET_RAW"])
    assert bounds["SecurityOpt"] == ["no-new-privileges:true"]
    assert bounds["Dns"] == ["192.0.2.1"]
    mounts = {mount["Destination"]: mount for mount in made["Mounts"]}
    assert set(mounts) == {"/logs/verifier", "/opt/agent"}
    assert mounts["/opt/agent"]["RW"] is False
    networks = {network["Name"] for network in trial.host.api("GET", "/networks")}
    assert networks == {"bridge", "host", "none", "run-sandbox"}


def test_harbor_s_other_commands_reach_it(trial: Trial) -> None:
    trial.done("up", "--detach", "--wait")
    show = "import os; print(os.environ['TASK'])"
    assert trial.done("exec", "-T", "main", "python3", "-c", show).strip() == "1"
    (trial.folder / "solution").write_text("answer")
    trial.done("cp", str(trial.folder / "solution"), "main:/tmp/solution")
    read = "print(open('/tmp/solution').read())"
    assert trial.done("exec", "-T", "main", "python3", "-c", read).strip() == "answer"
    trial.done("down", "--volumes", "--remove-orphans")
    assert trial.containers() == []


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("privileged: true", "privileges"),
        ("network_mode: host", "a network of its own choice"),
        ("volumes: ['/:/host']", "/ of the host"),
        ("cap_add: [NET_ADMIN]", "capabilities"),
        ("ports: ['8080:80']", "ports of the host"),
        ("extra_hosts: ['host.docker.internal:host-gateway']", "names of other hosts"),
        ("deploy: { resources: { reservations: { devices: [{ capabilities: [gpu] }] } } }",
         "devices of the host"),
    ],
)  # fmt: skip
def test_what_would_open_it_is_refused_before_anything_is_made(
    trial: Trial, asked: str, why: str
) -> None:
    (trial.folder / "task.yaml").write_text(f"{TASK}    {asked}\n")
    refused = trial.compose("up", "--detach", "--wait")
    assert refused.returncode == 3, refused.stderr
    assert f"sandbox_docker: refused: service main asks for {why}" in refused.stderr
    assert trial.containers() == []
