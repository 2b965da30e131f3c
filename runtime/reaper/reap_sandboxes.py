"""Deletes sandboxes that have outlived their purpose.

Kubernetes ends a pod at its deadline, but not one that waits for a node, whose node is lost, or
that names no deadline; and nobody deletes what a killed trainer leaves behind, or what has ended.
Says which pods go, and why, before it deletes the first; begins with the oldest and does not do
more than MOST_PER_ROUND at once. Nothing is remembered from round to round, so it may start anew
at any time. Standard library only.

Only pods of SANDBOX_NAMESPACE with RUN_LABEL are ever looked at. An empty label would mean all
pods, and is refused.

Options:
    --once     one round, and the end
    --dry-run  says what would go, and deletes nothing

Environment:
    SANDBOX_NAMESPACE          where the sandboxes are
    RUN_LABEL                  label of the run's sandboxes, key=value
    STACK                      pods with the label of another stack stay
    OWNER_NAMESPACE            where Ray's pods are, which own the sandboxes
    OWNER_PREFIX               what the names of Ray's pods begin with
    RAY_JOBS_URL               Ray's job API
    RAY_AUTH_TOKEN             its token
    DEADLINE_SECONDS           deadline of a pod that names none
    LONGEST_DEADLINE_SECONDS   no pod's own deadline counts beyond it
    STARTUP_SECONDS            longest time that Harbor waits for a pod to start
    GRACE_SECONDS              optional, 300: for Kubernetes and Harbor to do it themselves
    FINISHED_SECONDS           optional, 1800: how long a finished pod stays
    OWNER_GRACE_SECONDS        optional, 180: how long an owner must be gone
    ROUND_SECONDS              optional, 60: between two rounds
    MOST_PER_ROUND             optional, 100: pods deleted in one round
    API_SERVER                 optional: address of the API server; default: the pod's own
    ACCOUNT_DIRECTORY          optional: token and ca.crt; default: the pod's own

Exit codes:
    0  --once is done, or SIGTERM
    1  an error in this program
    2  the environment cannot be used
    4  the API server refuses the account
    6  --once, and the API server did not answer, or not everything could be deleted
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import kubernetes_api
import pod
import ray_jobs
from kubernetes_api import ApiError, KubernetesApi, Refused, Unavailable
from pod import BadInput, GiveUp, say
from ray_jobs import RayJobs, RayJobsError
from sandbox_life import STACK, Limits, Owners, Sandbox, host_of, run_times, sandbox_of, why_reap


class Exit(IntEnum):
    REFUSED = 4
    INCOMPLETE = 6


DELETE_GRACE = 5
"""Seconds that a sandbox has to end: as many as Harbor gives it."""

STUCK_SECONDS = 900.0
"""A deletion that takes longer is worth a word."""

STATUS_SECONDS = 900.0
"""Longest time between two lines while there is nothing to do."""

LONGEST_PAUSE_SECONDS = 300.0

NAME = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
LABEL = r"([a-z0-9.-]+/)?[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?=[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?"


@dataclass(frozen=True)
class Scope:
    """What may be reaped, and who owns it."""

    namespace: str
    label: str
    stack: str
    owner_namespace: str
    owner_prefix: str

    def holds(self, box: Sandbox) -> bool:
        """Whether a pod is of this run, whatever the API server answers."""
        key, _, value = self.label.partition("=")
        return box.labels.get(key) == value and box.labels.get(STACK, self.stack) == self.stack


@dataclass(frozen=True)
class Pace:
    seconds: float
    most: int


class Reaper:
    def __init__(
        self, api: KubernetesApi, jobs: RayJobs, scope: Scope, limits: Limits, *, dry_run: bool
    ) -> None:
        self._api = api
        self._jobs = jobs
        self._scope = scope
        self._limits = limits
        self._dry_run = dry_run
        self._said = ""
        self._status_at = float("-inf")

    def round(self, most: int) -> bool:
        """One look, and what follows from it. False if something could not be deleted.

        Raises ApiError where the API server lets it see or do nothing.
        """
        boxes = [
            box
            for box in self._api.pods(self._scope.namespace, self._scope.label, sandbox_of)
            if self._scope.holds(box)
        ]
        now = time.time()
        owners = self._owners()
        due = [(box, why_reap(box, now, self._limits, owners)) for box in boxes]
        expired = sorted(
            ((box, why) for box, why in due if why is not None), key=lambda pair: pair[0].created
        )
        self._tell(boxes, now, len(expired))
        chosen = expired[:most]
        for box, why in chosen:
            verb = "would delete" if self._dry_run else "will delete"
            say(f"{verb} {self._scope.namespace}/{box.name} of {box.owner}: {why}")
        if self._dry_run or not chosen:
            return True
        return self._delete([box for box, _ in chosen], len(expired) - len(chosen))

    def _owners(self) -> Owners:
        """What can be known of the owners now. What cannot is a reason for nothing."""
        scope = self._scope
        selector = f"{STACK}={scope.stack},swe-rl.dev/role in (ray-head,ray-worker)"
        began = ended = None
        hosts = dict(
            pair for pair in self._api.pods(scope.owner_namespace, selector, host_of) if pair
        )
        try:
            began, ended = run_times(self._jobs.submissions())
            self._say_once("")
        except RayJobsError as error:
            self._say_once(f"not known whether the run goes on: {error}")
        return Owners(scope.owner_prefix, hosts, began, ended)

    def _delete(self, boxes: Sequence[Sandbox], left: int) -> bool:
        deleted = gone = failed = 0
        try:
            for box in boxes:
                try:
                    if self._api.delete_pod(self._scope.namespace, box.name, box.uid, DELETE_GRACE):
                        deleted += 1
                    else:
                        gone += 1
                except (Refused, Unavailable):
                    raise
                except ApiError as error:
                    failed += 1
                    say(f"{box.name} stays: {error}")
        finally:
            rest = len(boxes) - deleted - gone - failed + left
            say(
                f"{deleted} deleted, {gone} were gone already, {failed} could not be deleted, "
                f"{rest} are left for the next round"
            )
        return failed == 0

    def _tell(self, boxes: Sequence[Sandbox], now: float, expired: int) -> None:
        if expired == 0 and time.monotonic() - self._status_at < STATUS_SECONDS:
            return
        self._status_at = time.monotonic()
        stuck = [box.name for box in boxes if box.leaving and now - box.leaving > STUCK_SECONDS]
        say(f"{len(boxes)} sandboxes, {expired} to be reaped")
        if stuck:
            say(f"deletion takes long (is the node gone?): {', '.join(stuck[:5])}")

    def _say_once(self, text: str) -> None:
        if text and text != self._said:
            say(text)
        self._said = text


def from_environment(dry_run: bool) -> tuple[Reaper, Pace]:
    scope = Scope(
        namespace=_name("SANDBOX_NAMESPACE"),
        label=pod.required("RUN_LABEL"),
        stack=_name("STACK"),
        owner_namespace=_name("OWNER_NAMESPACE"),
        owner_prefix=pod.required("OWNER_PREFIX"),
    )
    if not re.fullmatch(LABEL, scope.label):
        raise BadInput(
            f"RUN_LABEL must be key=value, both not empty, not {scope.label!r}: "
            "without it all pods of the namespace would go"
        )
    if scope.namespace == scope.owner_namespace:
        raise BadInput("SANDBOX_NAMESPACE and OWNER_NAMESPACE must differ")
    limits = Limits(
        deadline=pod.number("DEADLINE_SECONDS"),
        longest_deadline=pod.number("LONGEST_DEADLINE_SECONDS"),
        startup=pod.number("STARTUP_SECONDS"),
        grace=pod.number("GRACE_SECONDS", 300),
        finished=pod.number("FINISHED_SECONDS", 1800),
        owner=pod.number("OWNER_GRACE_SECONDS", 180),
    )
    most = int(pod.number("MOST_PER_ROUND", 100))
    if most < 1:
        raise BadInput("MOST_PER_ROUND must be at least 1")
    api, jobs = kubernetes_api.from_environment(), ray_jobs.from_environment()
    reaper = Reaper(api, jobs, scope, limits, dry_run=dry_run)
    return reaper, Pace(pod.number("ROUND_SECONDS", 60), most)


def _name(variable: str) -> str:
    value = pod.required(variable)
    if not re.fullmatch(NAME, value):
        raise BadInput(f"{variable} is no name of Kubernetes: {value!r}")
    return value


def once(reaper: Reaper, pace: Pace) -> None:
    try:
        if not reaper.round(pace.most):
            raise GiveUp(Exit.INCOMPLETE, "not everything could be deleted")
    except Refused:
        raise
    except ApiError as error:
        raise GiveUp(Exit.INCOMPLETE, str(error)) from None


def keep_on(reaper: Reaper, pace: Pace) -> None:
    failures = 0
    while True:
        pause = pace.seconds
        try:
            reaper.round(pace.most)
            failures = 0
        except Refused:
            raise
        except ApiError as error:
            failures += 1
            pause = min(pace.seconds * 2 ** min(failures - 1, 8), LONGEST_PAUSE_SECONDS)
            say(f"{error}; again in {pause:.0f} s")
        time.sleep(pause)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Deletes sandboxes that outlived their purpose.")
    parser.add_argument("--once", action="store_true", help="one round, and the end")
    parser.add_argument("--dry-run", action="store_true", help="say it, and delete nothing")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        reaper, pace = from_environment(options.dry_run)
        (once if options.once else keep_on)(reaper, pace)
    except BadInput as error:
        say(str(error))
        return pod.BAD_INPUT
    except Refused as error:
        say(f"{error}. Does the reaper's Role exist, and its binding?")
        return Exit.REFUSED
    except GiveUp as error:
        say(str(error))
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
