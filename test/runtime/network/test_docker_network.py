"""The egress proof of a Docker host on a real daemon: the program's own networks and containers, with real packets.

Whatever one hole is opened by hand, the proof names it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.docker_host import IMAGE, DockerHost, running, usable
from support.our_code import docker_objects
from support.processes import wait_until

if reason := usable():
    pytest.skip(reason, allow_module_level=True)

GATEWAY = "172.30.244.1"
NEIGHBOURS = {
    "canary", "canary by UDP", "proxy by UDP", "another sandbox", "another sandbox by UDP", "ICMP",
}  # fmt: skip
"""What the firewall alone keeps from a sandbox."""

LISTENERS = ("run-proof-door", "run-proof-ray", "run-proof-peer")
FIREWALL = "run-sandbox-firewall"

HOST_SERVICES = f"""
import socket, threading
daemon = socket.create_server(("{GATEWAY}", 2375))
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("{GATEWAY}", 53))
def answer():
    while True:
        query, who = names.recvfrom(512)
        names.sendto(query[:2] + bytes([129, 128]) + query[4:6] + bytes(6) + query[12:], who)
threading.Thread(target=answer, daemon=True).start()
print("ready", flush=True)
while True:
    daemon.accept()[0].close()
"""


class Stack:
    """The closed part of a stack, without the training that it waits for."""

    def __init__(self, host: DockerHost) -> None:
        self.host = host
        self.objects = docker_objects(IMAGE)
        for made in self.objects:
            if made["type"] == "Network":
                host.make("Network", made["inputs"])
        for name in (FIREWALL, *LISTENERS):
            host.make("Container", self.inputs(name))
        host.await_health(*LISTENERS)

    def inputs(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(
            made["inputs"] for made in self.objects if made["inputs"]["name"] == name
        )
        return found

    def begin(self, name: str, *, networks: tuple[str, ...] = ()) -> None:
        """Starts the program's own proof, with its waits shortened."""
        inputs = self.inputs("run-egress-proof")
        uploads = [self._hasty(upload) for upload in inputs["uploads"]]
        envs = [one for one in inputs["envs"] if not one.startswith("TIMEOUT_SECONDS")]
        joined = [*inputs["networksAdvanced"], *({"name": network} for network in networks)]
        change = {"uploads": uploads, "envs": [*envs, "TIMEOUT_SECONDS=4"]}
        self.host.make("Container", inputs, name=name, networksAdvanced=joined, **change)

    @staticmethod
    def _hasty(upload: dict[str, Any]) -> dict[str, Any]:
        if not upload["file"].endswith("proof.json"):
            return upload
        settings = json.loads(upload["content"]) | {"start_seconds": 0.5, "settle_seconds": 1}
        return {**upload, "content": json.dumps(settings)}

    def end(self, name: str) -> tuple[int, dict[str, Any]]:
        code = self.host.wait(name)
        verdict: dict[str, Any] = json.loads(self.host.logs(name).splitlines()[-1])
        self.host.docker("rm", "--force", name)
        return code, verdict

    def prove(self, name: str) -> tuple[int, dict[str, Any]]:
        self.begin(name)
        return self.end(name)

    @contextmanager
    def without_firewall(self) -> Iterator[None]:
        self.host.docker("stop", FIREWALL)
        try:
            yield
        finally:
            self.host.docker("start", FIREWALL)
            wait_until(lambda: "swe-rl-run" in self.tables(), 10, "the firewall")

    def tables(self) -> str:
        return self.host.inside("nft", "list", "tables", "bridge")

    def bridge(self) -> str:
        """The sandbox network's bridge on the host."""
        found: str = self.host.api("GET", "/networks/run-sandbox")["Id"]
        return f"br-{found[:12]}"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running() as host:
        yield Stack(host)


def leaks(verdict: dict[str, Any]) -> set[str]:
    return set(verdict["leaks"])


def test_what_the_program_makes_is_proven_and_another_network_of_a_sandbox_is_named(
    stack: Stack,
) -> None:
    """Side by side: neither of the holes is in the network itself."""
    stack.begin("closed")
    stack.begin("in-training", networks=("run-train",))
    stack.begin("in-default", networks=("bridge",))
    code, verdict = stack.end("closed")
    assert (code, verdict["verdict"]) == (0, "proven"), verdict
    assert len(verdict["targets"]) == 17
    code, verdict = stack.end("in-training")
    assert code == 3
    assert leaks(verdict) >= {"Ray", "services of training", "host: training network"}
    assert "attached to the sandbox network" in verdict["cause"]
    code, verdict = stack.end("in-default")
    assert code == 3
    assert "host: other bridges" in leaks(verdict)


def test_an_address_of_the_host_on_the_bridge_opens_nothing_by_itself(stack: Stack) -> None:
    stack.host.inside("ip", "address", "add", f"{GATEWAY}/22", "dev", stack.bridge())
    try:
        code, verdict = stack.prove("with-gateway")
    finally:
        stack.host.inside("ip", "address", "del", f"{GATEWAY}/22", "dev", stack.bridge())
    assert (code, verdict["verdict"]) == (0, "proven"), verdict["leaks"]


def test_a_firewall_that_was_stopped_is_named(stack: Stack) -> None:
    with stack.without_firewall():
        code, verdict = stack.prove("no-firewall")
    assert code == 3
    assert leaks(verdict) == NEIGHBOURS
    assert "see the log of the stack's container sandbox-firewall" in verdict["cause"]


def test_the_host_its_daemon_and_its_name_server_are_named_where_nothing_is_before_them(
    stack: Stack,
) -> None:
    with stack.without_firewall():
        stack.host.inside("ip", "address", "add", f"{GATEWAY}/22", "dev", stack.bridge())
        services = stack.host.serve(HOST_SERVICES)
        try:
            code, verdict = stack.prove("open-host")
        finally:
            services.kill()
            services.wait()
            stack.host.inside("ip", "address", "del", f"{GATEWAY}/22", "dev", stack.bridge())
    assert code == 3
    assert leaks(verdict) > NEIGHBOURS | {"host: gateway", "host: ICMP", "DNS by UDP"}
    found = verdict["targets"]["host: gateway"]["leaks"]
    assert 2375 in {leak["port"] for leak in found if not leak.get("detail")}


def test_a_firewall_with_a_hole_is_named_by_what_the_hole_leads_to(stack: Stack) -> None:
    table = """
        table bridge holed {
          chain forward {
            type filter hook forward priority 0;
            ip daddr 172.30.244.4 tcp dport 8997 accept;
            ip saddr 172.30.244.4 tcp sport 8997 accept;
            ip saddr 172.30.244.0/22 ip daddr 172.30.244.3 tcp dport 8002 accept;
            ip saddr 172.30.244.3 tcp sport 8002 accept;
            ip saddr 172.30.244.0/22 drop;
          }
        }
    """
    with stack.without_firewall():
        stack.host.inside("nft", "-f", "-", text=table)
        try:
            code, verdict = stack.prove("holed")
        finally:
            stack.host.inside("nft", "delete", "table", "bridge", "holed")
    assert code == 3
    assert leaks(verdict) == {"another sandbox"}


def test_the_firewall_comes_back_when_somebody_flushes_all_tables(stack: Stack) -> None:
    stack.host.inside("nft", "flush", "ruleset", "bridge")
    wait_until(lambda: "swe-rl-run" in stack.tables(), 10, "the firewall")


def test_the_first_container_that_comes_does_not_get_the_proxy_s_address(stack: Stack) -> None:
    stack.host.docker("run", "--detach", "--name", "first", "--network", "run-sandbox", IMAGE,
                      "python3", "-c", "import time; time.sleep(60)")  # fmt: skip
    try:
        networks = stack.host.api("GET", "/containers/first/json")["NetworkSettings"]["Networks"]
    finally:
        stack.host.docker("rm", "--force", "first")
    assert networks["run-sandbox"]["IPAddress"].startswith("172.30.246.")


def test_an_internal_network_by_itself_would_let_the_host_be_reached(stack: Stack) -> None:
    """Why ours has no address of the host: the same attempt finds one in Docker's own internal network."""
    stack.host.docker("network", "create", "--internal", "--subnet", "172.30.200.0/24", "plain")
    server = stack.host.serve(
        "import socket; server = socket.create_server(('0.0.0.0', 18081));\nwhile True: server.accept()"
    )
    probe = "import socket; print(socket.create_connection(('172.30.200.1', 18081), 5).getpeername())"
    try:
        said = stack.host.docker(
            "run", "--rm", "--network", "plain", IMAGE, "python3", "-c", probe
        )
    finally:
        server.kill()
        server.wait()
        stack.host.docker("network", "rm", "plain")
    assert "18081" in said


def test_the_table_goes_with_the_firewall(stack: Stack) -> None:
    stack.host.docker("rm", "--force", *LISTENERS)
    stack.host.docker("stop", FIREWALL)
    assert "swe-rl-run" not in stack.tables()
    stack.host.docker("rm", FIREWALL)


def test_the_program_is_the_one_that_is_documented() -> None:
    """Names of the targets, which a site may accept, are a contract."""
    text = (Path(__file__).parents[3] / "docs/docker.md").read_text()
    proof = next(
        made["inputs"]
        for made in docker_objects(IMAGE)
        if made["inputs"]["name"] == "run-egress-proof"
    )
    settings = next(
        upload["content"] for upload in proof["uploads"] if upload["file"].endswith("proof.json")
    )
    for target in json.loads(settings)["targets"]:
        assert f"`{target['name']}`" in text, target["name"]
