"""What Harbor's compose configurations become, and which are refused. The docker command is a stand-in that prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.programs import RUNTIME


from sandbox_docker import NOWHERE, PIDS, Refused, bound, split  # noqa: E402

RULES = {
    "network": "run-sandbox",
    "stack": "run",
    "deadlineSeconds": 6000,
    "memoryLimitBytes": 2**33,
    "runtime": {"volume": "run-agent-runtime-1", "path": "/opt/agent"},
}

LOGS = {"type": "bind", "source": "/trials/1/verifier", "target": "/logs/verifier"}


def config(main: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    """As `docker compose config --format json` prints it for Harbor's files."""
    service = {"image": "task:1", "networks": {"default": None}, "volumes": [LOGS]}
    return {
        "name": "trial-1",
        "networks": {"default": {"name": "trial-1_default", "ipam": {}}},
        "services": {"main": {**service, **(main or {})}},
        **rest,
    }


def test_sandbox_lands_in_the_network_and_is_bounded() -> None:
    allowed = bound(config(), RULES)
    assert allowed["networks"] == {"default": {"name": "run-sandbox", "external": True}}
    main = allowed["services"]["main"]
    assert main["labels"] == {
        "swe-rl.dev/stack": "run",
        "swe-rl.dev/role": "sandbox",
        "swe-rl.dev/deadline-seconds": "6000",
    }
    limits = main["deploy"]["resources"]["limits"]
    assert limits["memory"] == main["memswap_limit"] == str(2**33)
    assert main["dns"] == [NOWHERE]
    assert "NET_RAW" in main["cap_drop"]
    assert main["volumes"][-1]["read_only"] is True


def test_lower_limits_of_the_task_stay() -> None:
    main = bound(config({"mem_limit": str(2**30), "pids_limit": 64}), RULES)["services"]["main"]
    assert main["deploy"]["resources"]["limits"] == {"memory": str(2**30), "pids": 64}
    assert "mem_limit" not in main and "pids_limit" not in main


def test_limits_of_the_task_stay_bounded_where_harbor_writes_them() -> None:
    limits = {"cpus": 2, "memory": str(2**40)}
    reservations = {"memory": str(2**40)}
    resources = {"limits": limits, "reservations": reservations}
    main = bound(config({"deploy": {"resources": resources}}), RULES)["services"]["main"]
    expected = {"cpus": 2, "memory": str(2**33), "pids": PIDS}
    assert main["deploy"]["resources"] == {"limits": expected}


def test_cpus_that_harbor_writes_in_both_places_stay_in_one() -> None:
    """As 0.25 does; compose refuses what differs, and 1 and 1.0 differ."""
    service = {"cpus": 1, "deploy": {"resources": {"limits": {"cpus": 1.0}}}}
    main = bound(config(service), RULES)["services"]["main"]
    assert main["deploy"]["resources"]["limits"]["cpus"] == 1.0
    assert "cpus" not in main
    alone = bound(config({"cpus": 2}), RULES)["services"]["main"]
    assert alone["deploy"]["resources"]["limits"]["cpus"] == 2
    assert "cpus" not in alone


@pytest.mark.parametrize(
    "main",
    [
        {"network_mode": "host"},
        {"networks": {"other": None}},
        {"networks": {"default": {"ipv4_address": "172.30.244.2"}}},
        {"privileged": True},
        {"cap_add": ["NET_ADMIN"]},
        {"devices": [{"source": "/dev/nvidia0"}]},
        {"deploy": {"resources": {"reservations": {"devices": [{"driver": "nvidia"}]}}}},
        {"ports": [{"target": 80}]},
        {"pid": "host"},
        {"security_opt": ["seccomp:unconfined"]},
        {"extra_hosts": ["host.docker.internal=host-gateway"]},
        {"dns": ["1.1.1.1"]},
        {"volumes": [{"type": "bind", "source": "/var/run/docker.sock", "target": "/x"}]},
        {"volumes": [{"type": "bind", "source": "/", "target": "/logs/../host"}]},
    ],
)
def test_what_would_open_a_sandbox_is_refused(main: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="service main asks for"):
        bound(config(main), RULES)


@pytest.mark.parametrize(
    "rest",
    [
        {"networks": {"default": {}, "other": {}}},
        {"volumes": {"host": {"driver_opts": {"o": "bind", "device": "/"}}}},
        {"secrets": {"key": {"file": "/root/.ssh/id"}}},
    ],
)
def test_what_is_beside_the_services_is_looked_at_too(rest: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        bound({**config(), **rest}, RULES)


def test_commands_are_told_apart() -> None:
    harbor = ["compose", "--project-name", "t", "--project-directory", "/d", "-f", "a", "-f", "b"]
    assert split([*harbor, "up", "--wait"]) == (harbor[1:], "up", ["--wait"])
    assert split(["compose", "-p=t", "up"]) == (["-p=t"], "up", [])
    assert split(["ps"]) is None


def run(tmp_path: Path, *arguments: str, answer: dict[str, Any]) -> tuple[int, list[str]]:
    """Runs the wrapper with a docker command that answers `config`, and prints any other command."""
    (tmp_path / "rules.json").write_text(json.dumps(RULES))
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    docker = tmp_path / "docker"
    docker.write_text(
        f'#!/bin/sh\ncase " $* " in *" config "*) cat {tmp_path}/answer.json;; '
        f"*) for a; do echo \"$a\" >> {tmp_path}/seen; done;; esac\n"
    )
    docker.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SANDBOX_RULES": str(tmp_path / "rules.json"),
    }
    program = [sys.executable, str(RUNTIME / "sandbox_docker.py"), *arguments]
    code = subprocess.run(program, env=environment, check=False, timeout=30).returncode
    seen = tmp_path / "seen"
    return code, seen.read_text().splitlines() if seen.exists() else []


def test_compose_runs_on_the_bounded_file_alone(tmp_path: Path) -> None:
    code, seen = run(
        tmp_path, "compose", "-p", "trial-1", "-f", "task.yaml", "up", "-d", answer=config()
    )
    assert code == 0
    assert seen[:4] == ["compose", "--project-name", "trial-1", "-f"]
    assert seen[4].endswith(".json") and seen[5:] == ["up", "-d"]


def test_a_refused_sandbox_is_not_started(tmp_path: Path) -> None:
    answer = config({"privileged": True})
    assert run(tmp_path, "compose", "-f", "task.yaml", "up", answer=answer) == (3, [])


def test_other_commands_go_to_docker_as_they_are(tmp_path: Path) -> None:
    assert run(tmp_path, "compose", "-f", "a", "exec", "main", "ls", answer={}) == (
        0,
        ["compose", "-f", "a", "exec", "main", "ls"],
    )
