"""Waits until workloads have started as their specifications say; ends early where one cannot.

The provider of `pulumi up` waits for each object in its own way: for some until its time is over,
whatever has happened, for some not at all once they have been ready. This program waits for all of
them in the same way, and says what a pod lacks in the words of Kubernetes and of the pod's log.

Environment:
    WORKLOADS              JSON: [{"kind": "Deployment", "namespace": …, "name": …}, …]; kinds:
                           Deployment, Job, RayCluster
    TIMEOUT_SECONDS        how long they may take
    NODE_SECONDS           optional, 900: how long a pod may be without a node; IMAGE_SECONDS and so on
                           likewise, for each kind of pod_trouble.py
    RIGHTS_SECONDS         optional, 60: how long the account may lack its rights
    API_SERVER             optional: another than the pod's own
    ACCOUNT_DIRECTORY      optional: likewise

Exit codes: 0 all have started; 2 unusable environment; 3 time is over; 4 one cannot start; 5 the
account may not read them; 128+N ended by signal N.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from enum import IntEnum

import kubernetes_api
import pod
import pod_trouble
import workloads
from kubernetes_api import ApiError, KubernetesApi, Refused
from last_lines import fitting
from pod import GiveUp, Progress, say
from pod_trouble import Kind, Trouble
from workloads import State, Workload


class Exit(IntEnum):
    STARTED = 0
    TIME_OVER = 3
    CANNOT_START = 4
    REFUSED = 5


POLL_SECONDS = 3.0

LONGEST_REASON = 600
"""Characters: with the last lines it fits into what Kubernetes keeps of a container that has failed."""


class StartCheck:
    """Of workloads that may take `timeout` seconds; `patience`: seconds with each kind of trouble."""

    def __init__(
        self,
        api: KubernetesApi,
        wanted: list[Workload],
        *,
        timeout: float,
        patience: Mapping[Kind, float],
    ) -> None:
        self._api = api
        self._wanted = wanted
        self._patience = patience
        self._timeout = timeout
        self._begun = time.monotonic()
        self._deadline = self._begun + timeout
        self._progress = Progress()
        self._since: dict[tuple[str, Kind], float] = {}
        """When each trouble was first seen, of those that have lasted since."""

    def wait(self) -> None:
        while words := self._lacking():
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise GiveUp(Exit.TIME_OVER, f"given up after {self._timeout:g} s: {words}")
            self._progress.say(words, left)
            time.sleep(min(POLL_SECONDS, left))

    def _lacking(self) -> str:
        """What the workloads lack; empty: nothing."""
        try:
            states = {str(each): workloads.look(self._api, each) for each in self._wanted}
        except Refused as error:
            # A role that is new takes the API server a moment.
            if time.monotonic() - self._begun > pod.number("RIGHTS_SECONDS", 60):
                raise GiveUp(Exit.REFUSED, str(error)) from None
            return str(error)
        except ApiError as error:
            return f"the API server does not answer: {error}"
        self._judge(states)
        return ". ".join(f"{who}: {state.words}" for who, state in states.items() if state.words)

    def _judge(self, states: dict[str, State]) -> None:
        """Raises GiveUp where a trouble has outlasted its patience."""
        now = time.monotonic()
        troubles = [
            (who, trouble) for who, state in states.items() for trouble in state.troubles
        ]
        self._since = {
            key: self._since.get(key, now) for key in ((who, each.kind) for who, each in troubles)
        }
        for who, trouble in troubles:
            lasted = now - self._since[who, trouble.kind]
            if lasted >= self._patience[trouble.kind]:
                raise GiveUp(Exit.CANNOT_START, _describe(who, trouble, lasted))


def _describe(who: str, trouble: Trouble, lasted: float) -> str:
    where = "" if trouble.what == who else f"{trouble.what}: "
    waited = f" (for {lasted:.0f} s)" if lasted >= 1 else ""
    log = "".join(f"\n{line}" for line in fitting(trouble.lines))
    end = f". Its last lines:{log}" if log else ""
    return f"{who} will not be ready: {where}{trouble.why[:LONGEST_REASON]}{waited}{end}"


def check() -> int:
    wanted = workloads.from_json(pod.required("WORKLOADS"))
    patience = {
        kind: pod.number(f"{kind.name}_SECONDS", seconds)
        for kind, seconds in pod_trouble.PATIENCE.items()
    }
    StartCheck(
        kubernetes_api.from_environment(),
        wanted,
        timeout=pod.number("TIMEOUT_SECONDS"),
        patience=patience,
    ).wait()
    say(f"started: {', '.join(map(str, wanted))}")
    return Exit.STARTED


if __name__ == "__main__":
    sys.exit(pod.run("check_start", check))
