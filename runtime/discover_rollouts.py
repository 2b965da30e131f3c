"""Waits until the policy is served and writes LiteLLM's configuration: init container of the proxy.

verl's rollout servers listen on ports that nobody knows before they do. Only a Ray driver can ask
for them, a driver needs a Ray node under it, and this image has no Ray: so this asks Ray's job API
to run `list_rollouts.py` on the head. It waits until exactly the promised number of servers
answers, checks that each accepts a connection from this pod, and writes the configuration, with
`sandbox_auth.py` beside it. Never a smaller configuration: GPUs without traffic look like a slow
run, and nothing would tell. Standard library only.

Environment:
    RAY_JOBS_URL, RAY_AUTH_TOKEN  Ray's job API and its token
    RAY_NAMESPACE                 Ray namespace of the run
    ROLLOUT_SERVERS               promised number of rollout servers
    LIST_PROGRAM                  path of list_rollouts.py on the head
    PROXY_TEMPLATE                JSON file: modelNames, backendModel, settings
    PROXY_CONFIG                  where LiteLLM's configuration is written (JSON, which is YAML)
    DISCOVERY_TIMEOUT_SECONDS     how long all of it may take
    REACH_SECONDS                 optional, 60: how long a server that gave its address may refuse
                                  connections; network policies reach a new pod with a delay

Exit codes:
    0    the configuration is written
    2    environment or template cannot be used
    3    fewer servers than promised within the time; says which, and why
    4    Ray refuses the token
    5    more servers than promised, or one number in two namespaces
    6    the servers are ready, but this pod cannot connect to them
    143  SIGTERM
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pod
from pod import BadInput, GiveUp, Progress, say
from ray_jobs import NoSuchJob, RayJobs, RayJobsError, TokenRefused

READY, _, BAD_INPUT, MISSING, TOKEN_REFUSED, AMBIGUOUS, OUT_OF_REACH = range(7)

RESULT_PREFIX = "swe-rl-rollouts: "
"""How list_rollouts.py begins a line with results."""

LONGEST_LISTING_SECONDS = 600.0
"""One listing waits no longer than this; then another begins, with a fresh connection."""

POLL_SECONDS = 2.0
FAILED_LISTING_SECONDS = 15.0
CONNECT_SECONDS = 3.0


@dataclass(frozen=True)
class Server:
    """A rollout server that gave its address."""

    index: int
    host: str
    port: int

    @property
    def name(self) -> str:
        return f"vllm_server_{self.index}_0"

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Template:
    """The proxy's configuration without its servers."""

    model_names: tuple[str, ...]
    backend_model: str
    settings: Mapping[str, Any]

    def configuration(self, servers: list[Server]) -> dict[str, Any]:
        """LiteLLM's configuration: one entry for each server and name, with ids that stay."""
        models = [
            {
                "model_name": name,
                "litellm_params": {
                    "model": self.backend_model,
                    "api_base": f"http://{server.authority}/v1",
                    "api_key": "os.environ/VLLM_API_KEY",
                },
                "model_info": {"id": f"{prefix}vllm-server-{server.index}"},
            }
            for name, prefix in zip(self.model_names, self._prefixes(), strict=True)
            for server in servers
        ]
        return {"model_list": models, **self.settings}

    def _prefixes(self) -> list[str]:
        """What an id begins with. The first name is the policy's own, and has `vllm-server-0`."""
        others = [re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") for name in self.model_names[1:]]
        return ["", *(f"{other}-" for other in others)]


def read_template(path: str) -> Template:
    try:
        content = json.loads(Path(path).read_text())
        names, backend = content["modelNames"], content["backendModel"]
        settings = content["settings"]
    except (OSError, ValueError) as error:
        raise BadInput(f"PROXY_TEMPLATE: {error}") from None
    except (KeyError, TypeError) as error:
        raise BadInput(f"PROXY_TEMPLATE {path} lacks {error}") from None
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        raise BadInput(f"PROXY_TEMPLATE {path}: modelNames must be a list of names")
    if not isinstance(backend, str) or not isinstance(settings, dict):
        raise BadInput(f"PROXY_TEMPLATE {path}: backendModel must be a name, settings a mapping")
    return Template(tuple(names), backend, settings)


def write_configuration(configuration: Mapping[str, Any], path: Path) -> None:
    """Writes the file as a whole or not at all, and the key check beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).parent / "sandbox_auth.py", path.parent / "sandbox_auth.py")
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(configuration, indent=2) + "\n")
    partial.replace(path)


class Discovery:
    """Finds the servers of one run."""

    def __init__(
        self, jobs: RayJobs, *, namespace: str, expected: int, list_program: str, timeout: float
    ) -> None:
        self._jobs = jobs
        self._namespace = namespace
        self._expected = expected
        self._list_program = list_program
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout
        self._progress = Progress()
        self._state = "Ray's head was not asked yet"
        self._listed = False

    def servers(self) -> list[Server]:
        """All promised servers, as soon as they have given their addresses."""
        while True:
            try:
                servers = self._listing()
            except TokenRefused as error:
                raise GiveUp(TOKEN_REFUSED, str(error)) from None
            except NoSuchJob:
                self._tell("Ray has lost the listing: its head was restarted")
            except RayJobsError as error:
                self._tell(f"Ray's head does not answer: {error}")
            else:
                if servers is not None:
                    return servers
            self._wait()

    def await_reach(self, servers: list[Server], patience: float) -> None:
        """Waits until every server accepts a connection from this pod."""
        patience_ends = time.monotonic() + patience
        while True:
            failures = {
                server.name: reason for server in servers if (reason := _connection_failure(server))
            }
            if not failures:
                return
            what = "; ".join(f"{name} at {reason}" for name, reason in failures.items())
            if time.monotonic() >= min(patience_ends, self._deadline):
                raise GiveUp(
                    OUT_OF_REACH,
                    f"{len(failures)} of {len(servers)} rollout servers are ready, but cannot be "
                    f"reached from this pod: {what}. Check the network policies of the flow "
                    "proxy-to-rollout-servers: they must let this pod reach Ray's workers on the "
                    "site's network.rollout_ports, and the servers' ports must lie in that range.",
                )
            self._tell(f"not reachable from this pod: {what}")
            self._wait()

    def _listing(self) -> list[Server] | None:
        """Runs list_rollouts.py on the head. None: not all are there yet."""
        seconds = min(self._left(), LONGEST_LISTING_SECONDS)
        submission_id = f"discover-{self._namespace}-{uuid.uuid4().hex[:12]}"
        command = [
            *("python3", self._list_program),
            *("--namespace", self._namespace),
            *("--expected", str(self._expected)),
            *("--wait", f"{seconds:.0f}"),
        ]
        self._jobs.submit(submission_id, "exec " + shlex.join(command))
        try:
            return self._follow(submission_id)
        finally:
            self._end(submission_id)

    def _follow(self, submission_id: str) -> list[Server] | None:
        if not self._listed:
            self._tell("Ray's head answers; the listing of rollout servers starts there")
        while True:
            job = self._jobs.get(submission_id)
            result = _last_result(self._jobs.logs(submission_id))
            if result is not None:
                self._listed = True
                if result.get("problem"):
                    raise GiveUp(AMBIGUOUS, str(result["problem"]))
                servers = [Server(**server) for server in result["servers"]]
                if not result["missing"]:
                    return servers
                self._tell(self._describe(len(servers), result["missing"]))
            if job.is_over:
                if result is None:
                    self._listed = True
                    reason = job.message.strip().splitlines() or [job.status]
                    self._tell(f"the listing failed on the head: {reason[-1]}")
                    self._wait(FAILED_LISTING_SECONDS)
                return None
            self._wait()

    def _end(self, submission_id: str) -> None:
        """Leaves no listing running. It is not deleted: Ray would bring it back as failed."""
        with suppress(RayJobsError):
            if not self._jobs.get(submission_id).is_over:
                self._jobs.stop(submission_id)

    def _describe(self, ready: int, missing: Mapping[str, str]) -> str:
        each = "; ".join(
            f"vllm_server_{index}_0: {reason}"
            for index, reason in sorted(missing.items(), key=lambda item: int(item[0]))
        )
        return f"{ready} of {self._expected} rollout servers are ready; missing {each}"

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def _tell(self, state: str) -> None:
        self._state = state
        self._progress.say(state, self._left())

    def _wait(self, seconds: float = POLL_SECONDS) -> None:
        if not self._left():
            raise GiveUp(MISSING, f"given up after {self._timeout:g} s: {self._state}")
        time.sleep(min(seconds, self._left()))


def _last_result(output: str) -> dict[str, Any] | None:
    for line in reversed(output.splitlines()):
        if line.startswith(RESULT_PREFIX):
            with suppress(ValueError):
                result: dict[str, Any] = json.loads(line.removeprefix(RESULT_PREFIX))
                return result
    return None


def _connection_failure(server: Server) -> str | None:
    try:
        socket.create_connection((server.host, server.port), CONNECT_SECONDS).close()
    except TimeoutError:
        return f"{server.authority} (no answer within {CONNECT_SECONDS:g} s)"
    except OSError as error:
        return f"{server.authority} ({error.strerror or error})"
    return None


def discover() -> int:
    expected = pod.number("ROLLOUT_SERVERS")
    if expected < 1 or expected != int(expected):
        raise BadInput(f"ROLLOUT_SERVERS must be a whole number of at least 1, not {expected:g}")
    template = read_template(pod.required("PROXY_TEMPLATE"))
    target = Path(pod.required("PROXY_CONFIG"))
    discovery = Discovery(
        RayJobs(pod.required("RAY_JOBS_URL"), pod.required("RAY_AUTH_TOKEN")),
        namespace=pod.required("RAY_NAMESPACE"),
        expected=int(expected),
        list_program=pod.required("LIST_PROGRAM"),
        timeout=pod.number("DISCOVERY_TIMEOUT_SECONDS"),
    )
    servers = discovery.servers()
    discovery.await_reach(servers, pod.number("REACH_SECONDS", 60))
    write_configuration(template.configuration(servers), target)
    for server in servers:
        say(f"{server.name} at {server.authority}")
    say(f"wrote {target} for {len(servers)} rollout servers")
    return READY


def main() -> int:
    def terminate(number: int, _: object) -> NoReturn:
        raise GiveUp(128 + number, "ended by a signal")

    signal.signal(signal.SIGTERM, terminate)
    try:
        return discover()
    except GiveUp as end:
        say(f"discover_rollouts: {end}")
        return end.code
    except (BadInput, ValueError) as error:
        say(f"discover_rollouts: {error}")
        return BAD_INPUT
    except OSError as error:
        say(f"discover_rollouts: cannot write the configuration: {error}")
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
