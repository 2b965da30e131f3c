"""A Docker daemon with what a trial needs: the tasks' image, the agents' programs, the sandbox network."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from debian_image import write_root_file_system
from support.docker_host import DockerHost
from support.programs import RUNTIME

IMAGE = "docker.io/library/python:3.12.12-slim-bookworm"
"""Which our tasks name. Here it is made of Debian's packages, since no registry can be reached."""

NETWORK = "run-sandbox"
GATEWAY = "172.30.244.1"
VOLUME = "run-agent-runtime"
MOUNT = "/opt/agent"
DEADLINE_SECONDS = 600

RULES = {
    "network": NETWORK,
    "stack": "run",
    "deadlineSeconds": DEADLINE_SECONDS,
    "memoryLimitBytes": 2**31,
    "runtime": {"volume": VOLUME, "path": MOUNT},
}


@dataclass(frozen=True)
class Sandboxes:
    host: DockerHost
    variables: Mapping[str, str]
    """With which Harbor finds the daemon, and our program in place of the docker command."""

    def with_deadline(self, seconds: int) -> dict[str, str]:
        """The variables for sandboxes that the reaper ends so soon."""
        folder = self.host.folder / "programs"
        rules = folder / f"rules-{seconds}.json"
        rules.write_text(json.dumps({**RULES, "deadlineSeconds": seconds}))
        return {**self.variables, "SANDBOX_RULES": str(rules)}

    def left(self) -> list[str]:
        """Names of the sandboxes that are still there."""
        label = "label=swe-rl.dev/role=sandbox"
        names = self.host.docker("ps", "--all", "--filter", label, "--format", "{{.Names}}")
        return names.split()


@contextmanager
def sandboxes(agents: Mapping[str, Path]) -> Iterator[Sandboxes]:
    """`agents`: the runtime's files by their paths below its mount."""
    host = DockerHost(own_network=False)
    try:
        host.start()
        image = host.folder / "task.tar"
        write_root_file_system(image)
        host.docker("import", "--change", "WORKDIR /srv", str(image), IMAGE)
        host.docker("network", "create", "--subnet", f"{GATEWAY}/22", NETWORK)
        _fill_volume(host, agents)
        yield Sandboxes(host, _variables(host))
    finally:
        host.close()


def _fill_volume(host: DockerHost, agents: Mapping[str, Path]) -> None:
    """As the stack's agent-runtime container: Docker fills a new volume from the image."""
    archive = host.folder / "runtime.tar"
    with tarfile.open(archive, "w", dereference=False) as content:
        for path, source in agents.items():
            content.add(source, arcname=f"{MOUNT[1:]}/{path}")
    host.docker("import", str(archive), "agent-runtime:1")
    mount = f"type=volume,source={VOLUME},target={MOUNT}"
    host.docker("create", "--name", "agent-runtime", "--mount", mount, "agent-runtime:1", "none")
    archive.unlink()


def _variables(host: DockerHost) -> dict[str, str]:
    programs = host.folder / "programs"
    (programs / "bin").mkdir(parents=True)
    shutil.copy(RUNTIME / "sandbox_docker.py", programs)
    wrapper = programs / "bin/docker"
    wrapper.write_text(f'#!/bin/sh\nexec python3 {programs}/sandbox_docker.py "$@"\n')
    wrapper.chmod(0o755)
    (programs / "rules.json").write_text(json.dumps(RULES))
    plugins = host.folder / "config/cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-compose").symlink_to(os.environ["SWE_RL_COMPOSE"])
    return {
        "PATH": f"{programs}/bin:{os.environ['PATH']}",
        "DOCKER_HOST": f"unix://{host.socket}",
        "DOCKER_CONFIG": str(host.folder / "config"),
        "SANDBOX_RULES": str(programs / "rules.json"),
    }
