"""Keeps sandboxes of a Docker host apart: between the ports of their network only packets to the
proxy's port pass, and its answers. Standard library only.

Docker has no rule for a pair of containers in one network. This is a table of nftables for bridged
frames, in the host's network namespace; it does not depend on the chains of Docker, or on
br_netfilter. Nothing that comes from a sandbox gets to the host itself, whatever addresses it has.
Others flush all tables now and then (systemctl restart nftables), so this one is put there again
and again, each time whole.

Environment:
    TABLE          name of the table
    SUBNET         the sandboxes' network
    DOORS          addresses in it that sandboxes may reach, comma-separated
    DOOR_PORT      TCP port of these
    STATUS         file that is written anew whenever the table is in force
    PAUSE_SECONDS  optional, 5: between two times

Exit codes:
    2    the environment cannot be used
    143  SIGTERM; the table is removed
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import nf_tables
import pod
from nf_tables import ACCEPT, DROP, FORWARD, LOCAL_IN, Chain, Rule
from pod import BadInput, GiveUp, say

BAD_INPUT = 2


def chains(subnet: str, doors: list[str], port: int) -> list[Chain]:
    between = []
    for door in doors:
        between += [
            Rule(ACCEPT, source=subnet, destination=door, tcp_to=port),
            Rule(ACCEPT, source=door, destination=subnet, tcp_from=port),
        ]
    between += [Rule(DROP, source=subnet), Rule(DROP, destination=subnet)]
    return [
        Chain("between-sandboxes", FORWARD, between),
        Chain("to-host", LOCAL_IN, [Rule(DROP, source=subnet)]),
    ]


def keep(table: str, wanted: list[Chain], status: Path, pause: float) -> NoReturn:
    said = ""
    while True:
        try:
            nf_tables.install(table, wanted)
            status.touch()
            state = "in force"
        except OSError as error:
            state = f"not in force: the kernel says: {error.strerror or error}"
        if state != said:
            say(state)
            said = state
        time.sleep(pause)


def main() -> int:
    def terminate(number: int, _: object) -> NoReturn:
        raise GiveUp(128 + number, "ended by a signal")

    signal.signal(signal.SIGTERM, terminate)
    table = ""
    try:
        table = pod.required("TABLE")
        doors = pod.required("DOORS").split(",")
        wanted = chains(pod.required("SUBNET"), doors, int(pod.number("DOOR_PORT", 0)))
        keep(table, wanted, Path(pod.required("STATUS")), pod.number("PAUSE_SECONDS", 5))
    except GiveUp as end:
        try:
            nf_tables.remove(table)
        except OSError as error:
            say(f"sandbox_firewall: the table stays: {error.strerror or error}")
        return end.code
    except (BadInput, ValueError) as error:
        say(f"sandbox_firewall: {error}")
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
