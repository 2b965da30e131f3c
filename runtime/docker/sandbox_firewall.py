"""Keeps sandboxes of a Docker host apart: between the ports of their network only packets to the
proxy's port pass, and its answers. Needs the program `nft` (Debian's package nftables).

Docker has no rule for a pair of containers in one network. This is a table of nftables for bridged
frames, in the host's network namespace; it depends neither on the chains of Docker nor on
br_netfilter. No packet of a sandbox reaches the host itself, whatever addresses the host has.
Other programs flush all tables now and then (systemctl restart nftables), so the table is installed
again every few seconds, each time in one transaction.

Environment:
    TABLE            name of the table
    SUBNET           the sandboxes' network
    ALLOWED_TARGETS  addresses in it that sandboxes may reach, comma-separated
    ALLOWED_PORT     TCP port of these
    STATUS           file whose time is that of the last installation
    PAUSE_SECONDS    optional, 5: between two installations

Exit codes:
    2    the environment cannot be used
    143  SIGTERM; the table is removed
"""

from __future__ import annotations

import ipaddress
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pod
from pod import BadInput, GiveUp, say


class FirewallError(Exception):
    """nft did not install or remove the table."""


def ruleset(table: str, subnet: str, proxies: Sequence[str], port: int) -> str:
    """Text for `nft -f`: replaces the table of that name in one transaction.

    Raises ValueError for an invalid address or network.
    """
    network = ipaddress.IPv4Network(subnet)
    allowed = [
        line
        for proxy in map(ipaddress.IPv4Address, proxies)
        for line in (
            f"ip saddr {network} ip daddr {proxy} tcp dport {port} accept",
            f"ip saddr {proxy} ip daddr {network} tcp sport {port} accept",
        )
    ]
    between = "\n    ".join([*allowed, f"ip saddr {network} drop", f"ip daddr {network} drop"])
    # Only an existing table can be deleted, hence the empty one first.
    return f"""table bridge {table} {{}}
delete table bridge {table}
table bridge {table} {{
  chain between-sandboxes {{
    type filter hook forward priority -200; policy accept;
    {between}
  }}
  chain to-host {{
    type filter hook input priority -200; policy accept;
    ip saddr {network} drop
  }}
}}
"""


def nft(*arguments: str, text: str = "") -> None:
    """Raises FirewallError."""
    try:
        done = subprocess.run(
            ["nft", *arguments], input=text, capture_output=True, text=True, timeout=10
        )
    except FileNotFoundError:
        raise FirewallError(
            "the image has no program nft; install the package nftables (docs/training-image.md)"
        ) from None
    except subprocess.TimeoutExpired:
        raise FirewallError("nft did not end within 10 s") from None
    if done.returncode != 0:
        raise FirewallError(done.stderr.strip().splitlines()[0] if done.stderr.strip() else "nft failed")


def keep(rules: str, status: Path, pause: float) -> NoReturn:
    said = ""
    while True:
        try:
            nft("-f", "-", text=rules)
            status.touch()
            state = "in force"
        except (FirewallError, OSError) as error:
            state = f"not in force: {error}"
        if state != said:
            say(state)
            said = state
        time.sleep(pause)


def guard() -> NoReturn:
    """Keeps the table in force until a signal ends the program; then removes it."""
    table = pod.required("TABLE")
    subnet, proxies = pod.required("SUBNET"), pod.required("ALLOWED_TARGETS").split(",")
    try:
        rules = ruleset(table, subnet, proxies, int(pod.number("ALLOWED_PORT", 0)))
    except ValueError as error:
        raise BadInput(f"SUBNET or ALLOWED_TARGETS: {error}") from None
    status, pause = Path(pod.required("STATUS")), pod.number("PAUSE_SECONDS", 5)
    try:
        keep(rules, status, pause)
    except GiveUp:
        # Only an ordered end: a program that fails leaves the sandboxes closed.
        try:
            nft("delete", "table", "bridge", table)
        except FirewallError as error:
            say(f"sandbox_firewall: the table stays: {error}")
        raise


if __name__ == "__main__":
    sys.exit(pod.run("sandbox_firewall", guard))
