"""Stands before the docker command in the training container: brings sandboxes into their network.

Harbor starts a sandbox by `docker compose --project-name P -f FILE... up`. For whatever compose
would start, this asks compose itself for the whole configuration, refuses what would open the
sandbox, bounds it, and runs the command on that file alone. Any other command goes to docker as it
is. It guards against task files, which come from data sets; the training container itself holds the
daemon's socket and is trusted. Standard library only.

Environment:
    SANDBOX_RULES  JSON file: network, stack, deadlineSeconds, memoryLimitBytes, runtime (volume and
                   path). Compose's own CPUS and MEMORY stay in force where they are lower

Exit codes: docker's; 2 if the rules cannot be read, 3 if a sandbox is refused.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from enum import IntEnum
from pathlib import Path
from typing import Any


class Exit(IntEnum):
    BAD_INPUT = 2
    REFUSED = 3


STARTS = {"up", "run", "create", "start", "restart"}
"""Subcommands of compose that make or start containers."""

VALUED = {"-f", "--file", "-p", "--project-name", "--project-directory", "--env-file", "--profile",
          "--ansi", "--parallel", "--progress"}
"""Options before the subcommand that take a value."""

FORBIDDEN = {
    "network_mode": "a network of its own choice",
    "networks": "a network of its own choice",
    "privileged": "privileges",
    "cap_add": "capabilities",
    "devices": "devices of the host",
    "device_cgroup_rules": "devices of the host",
    "ports": "ports of the host",
    "pid": "a namespace of the host",
    "ipc": "a namespace of the host",
    "uts": "a namespace of the host",
    "userns_mode": "a namespace of the host",
    "cgroup": "a namespace of the host",
    "cgroup_parent": "a control group of the host",
    "security_opt": "other security options",
    "sysctls": "kernel parameters",
    "extra_hosts": "names of other hosts",
    "dns": "a name server",
    "gpus": "GPUs",
    "runtime": "a runtime",
    "volumes_from": "volumes of other containers",
    "use_api_socket": "the daemon's socket",
}
"""What a service may not ask for, and how the refusal calls it."""

NOWHERE = "192.0.2.1"
"""A name server that cannot answer (RFC 5737): some daemons pass names on from internal networks.
Programs then learn after a second, and not ten, that there is no such name."""


class Refused(Exception):
    pass


def real_docker() -> str:
    """The docker command that this stands before."""
    own = Path(__file__).resolve().parent / "bin"
    rest = [part for part in os.environ.get("PATH", os.defpath).split(":") if Path(part) != own]
    found = shutil.which("docker", path=":".join(rest))
    if found is None:
        raise FileNotFoundError("there is no docker command in the training image")
    return found


def split(arguments: list[str]) -> tuple[list[str], str, list[str]] | None:
    """Options, subcommand and rest of a compose command; None for any other command."""
    if not arguments or arguments[0] != "compose":
        return None
    at = 1
    while at < len(arguments) and arguments[at].startswith("-"):
        at += 2 if arguments[at] in VALUED else 1
    if at >= len(arguments):
        return None
    return arguments[1:at], arguments[at], arguments[at + 1 :]


def bound(config: dict[str, Any], rules: dict[str, Any]) -> dict[str, Any]:
    """The configuration that may run. Raises Refused."""
    networks = config.get("networks") or {}
    if set(networks) - {"default"}:
        raise Refused(f"the task makes networks of its own: {', '.join(sorted(networks))}")
    for kind in ("secrets", "configs"):
        for name, entry in (config.get(kind) or {}).items():
            if "file" in entry:
                raise Refused(f"the task's {kind} {name} is a file of the trainer")
    for name, volume in (config.get("volumes") or {}).items():
        if (volume or {}).get("driver_opts") or (volume or {}).get("external"):
            raise Refused(f"volume {name} is not the task's own")
    services = {
        name: bound_service(name, service, rules)
        for name, service in (config.get("services") or {}).items()
    }
    volumes = dict(config.get("volumes") or {})
    volumes[RUNTIME] = {"name": rules["runtime"]["volume"], "external": True}
    return {
        **config,
        "services": services,
        "volumes": volumes,
        "networks": {"default": {"name": rules["network"], "external": True}},
    }


RUNTIME = "swe-rl-agent-runtime"


def bound_service(name: str, service: dict[str, Any], rules: dict[str, Any]) -> dict[str, Any]:
    for key, what in FORBIDDEN.items():
        asked = service.get(key)
        if not asked or (key == "networks" and set(asked) == {"default"} and not asked["default"]):
            continue
        raise Refused(f"service {name} asks for {what} ({key})")
    deploy = dict(service.get("deploy") or {})
    resources = dict(deploy.get("resources") or {})
    if (resources.get("reservations") or {}).get("devices"):
        raise Refused(f"service {name} asks for devices of the host (deploy)")
    # Compose refuses a limit that is written in both places, and differs.
    limits = dict(resources.get("limits") or {})
    most = int(rules["memoryLimitBytes"])
    memory = least(most, service.get("mem_limit"), limits.get("memory"))
    pids = least(PIDS, service.get("pids_limit"), limits.get("pids"))
    limits |= {"memory": str(memory), "pids": pids}
    if service.get("cpus"):
        limits.setdefault("cpus", service["cpus"])
    # A reservation over the limit would be refused as well.
    deploy["resources"] = {"limits": limits}
    path = rules["runtime"]["path"]
    volumes = [volume for volume in service.get("volumes") or [] if volume.get("target") != path]
    for volume in volumes:
        if volume.get("type") == "bind" and not allowed_bind(volume):
            raise Refused(f"service {name} asks for {volume.get('source')} of the host")
    volumes.append({"type": "volume", "source": RUNTIME, "target": path, "read_only": True})
    labels = dict(service.get("labels") or {})
    labels |= {
        "swe-rl.dev/stack": rules["stack"],
        "swe-rl.dev/role": "sandbox",
        "swe-rl.dev/deadline-seconds": str(rules["deadlineSeconds"]),
    }
    own = {key: value for key, value in service.items() if key not in MOVED}
    return {
        **own,
        "deploy": deploy,
        "networks": {"default": None},
        "volumes": volumes,
        "labels": labels,
        "memswap_limit": str(memory),
        # Without NET_RAW a sandbox cannot write to the host's or another sandbox's hardware address.
        "cap_drop": sorted({*(service.get("cap_drop") or []), "NET_RAW", "MKNOD"}),
        "security_opt": ["no-new-privileges:true"],
        "dns": [NOWHERE],
        "dns_opt": ["attempts:1", "timeout:1"],
        "restart": "no",
        "stop_grace_period": service.get("stop_grace_period") or "5s",
    }


PIDS = 4096

MOVED = {"cpus", "mem_limit", "mem_reservation", "pids_limit"}
"""Limits that are written below `deploy` instead."""


def least(most: int, *asked: Any) -> int:
    """The lowest of some limits; 0, -1 and nothing are none."""
    return min([most, *(int(one) for one in asked if one and int(one) > 0)])


def allowed_bind(volume: dict[str, Any]) -> bool:
    """Harbor's own directories of a trial: its logs."""
    target = str(volume.get("target", ""))
    return target.startswith("/logs/") and ".." not in target.split("/")


def main(arguments: list[str]) -> int:
    try:
        docker = real_docker()
        parts = split(arguments)
        if parts is None or parts[1] not in STARTS:
            os.execv(docker, [docker, *arguments])
        options, subcommand, rest = parts
        rules = json.loads(Path(os.environ["SANDBOX_RULES"]).read_text())
        asked = subprocess.run(
            [docker, "compose", *options, "config", "--format", "json"],
            stdout=subprocess.PIPE,
            check=False,
        )
        if asked.returncode != 0:
            return asked.returncode
        allowed = bound(json.loads(asked.stdout), rules)
        keep = [*_project(options, allowed)]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(allowed, file)
            file.flush()
            command = [docker, "compose", *keep, "-f", file.name, subcommand, *rest]
            return subprocess.run(command, check=False).returncode
    except Refused as error:
        print(f"sandbox_docker: refused: {error}", file=sys.stderr)
        return Exit.REFUSED
    except (OSError, KeyError, TypeError, ValueError) as error:
        print(f"sandbox_docker: {error!r}", file=sys.stderr)
        return Exit.BAD_INPUT


def _project(options: list[str], config: dict[str, Any]) -> list[str]:
    """The options that still mean something for the one file."""
    kept: list[str] = []
    at = 0
    while at < len(options):
        option = options[at]
        width = 2 if option in VALUED else 1
        if option.split("=")[0] not in ("-f", "--file", "-p", "--project-name"):
            kept += options[at : at + width]
        at += width
    return ["--project-name", str(config["name"]), *kept]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
