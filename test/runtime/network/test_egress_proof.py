"""The egress proof against real sockets: whatever one thing a filter lets through, it is named."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.fabric import CANARY, ALLOWED_TARGET, NODE, RAY, WORLD, Fabric, Pod
from support.processes import Tree, wait_until

node4, node6 = NODE
both_nodes = ("ip daddr {node4}", "ip6 daddr {node6}")
OWN_NODE = "exempts the pod's own node"
ANOTHER_POLICY = "another policy allows it"


@dataclass(frozen=True)
class Case:
    """A filter, and what the proof must say of it."""

    holes: tuple[str, ...] = ()
    leaks: frozenset[str] = frozenset()
    phases: frozenset[str] = frozenset({"steady"})
    cause: str = ""
    verdict: str = "leaks"
    late: float | None = None
    """Seconds after the first probe at which the filter comes."""
    deny: str = "drop"
    allowed_target: bool = True
    peer: bool = True
    ping: bool = True
    answers: bool = True
    """Whether what comes back through the hole gets in."""
    resolver: bool = False
    gated: bool = False
    settings: dict[str, object] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    only: str = ""
    """What every leaking address and port must contain."""


def hole(rule: str, *leaks: str, **more: Any) -> Case:
    return Case(holes=(rule,), leaks=frozenset(leaks), **{"cause": ANOTHER_POLICY, **more})


def proven(**more: Any) -> Case:
    return Case(verdict="proven", phases=frozenset(), **more)


datagrams = frozenset({"start", "steady"})
streams = datagrams | {"kept"}
on_node = {"cause": OWN_NODE}
reset = "meta l4proto tcp reject with tcp reset; reject"
world = {name: addresses[0] for name, addresses in WORLD.items()}
world6 = {name: addresses[1] for name, addresses in WORLD.items() if len(addresses) > 1}

BOTH_FAMILIES = (
    "canary", "canary by UDP", "proxy by UDP", "internet", "DNS by UDP", "DNS by TCP",
    "API server", "node metadata", "Ray", "other namespace", "another sandbox",
    "own node: kubelet", "own node: ports 30000-32767", "own node: ports 30000-32767 by UDP",
    "own node: ICMP", "ICMP",
)  # fmt: skip

CASES: dict[str, Case] = {
    "all denied, dropped": proven(),
    "all denied, by reset": proven(deny=reset),
    "all denied, administratively": proven(deny="reject with icmpx type admin-prohibited"),
    "all denied, as kube-router does": proven(deny="reject"),
    "UDP DNS": hole("udp dport 53 accept", "DNS by UDP", phases=datagrams),
    "TCP DNS": hole("tcp dport 53 accept", "DNS by TCP"),
    "ICMP": hole("meta l4proto {{ icmp, ipv6-icmp }} accept", "ICMP", "own node: ICMP"),
    "ICMP to the own node": hole("ip daddr {node4} ip protocol icmp accept", "own node: ICMP",
                                 **on_node),
    "node ports": hole("ip daddr {node4} tcp dport 30000-32767 accept",
                       "own node: ports 30000-32767", **on_node),
    "a node port where nobody listens": hole("ip daddr {node4} tcp dport 30000 accept",
                                             "own node: ports 30000-32767", **on_node),
    "node ports by UDP": hole("ip daddr {node4} udp dport 30000-32767 accept",
                              "own node: ports 30000-32767 by UDP", **on_node),
    "kubelet": hole("ip daddr {node4} tcp dport 10250 accept", "own node: kubelet", **on_node),
    "IPv6": hole("meta nfproto ipv6 accept", *BOTH_FAMILIES, phases=streams, only=":",
                 cause="only IPv6"),
    "IPv6 of one target": hole("ip6 daddr {internet6} meta l4proto tcp accept", "internet",
                               phases=streams, only=":", cause="only IPv6"),
    "metadata": hole("ip daddr {metadata} accept", "node metadata"),
    "metadata by IPv6": hole("ip6 daddr {metadata6} accept", "node metadata", cause="only IPv6"),
    "a namespace": hole("ip daddr {other_namespace} accept", "other namespace"),
    "a port": hole("ip daddr {training} tcp dport 8265 accept", "Ray", only=" 8265"),
    "a rollout server": hole("ip daddr {training} tcp dport 40000-49999 accept", "Ray"),
    "another sandbox": hole("ip daddr {peer} accept", "another sandbox"),
    "API server": hole("ip daddr {api_server} tcp dport 443 accept", "API server", phases=streams),
    "internet by address": hole("ip daddr {internet} tcp dport 443 accept", "internet",
                                phases=streams, only=" 443"),
    "internet by name": hole("ip daddr {name_server} udp dport 53 accept", "internet by name",
                             resolver=True),
    "UDP to the proxy": hole("ip daddr {proxy} udp dport 8002 accept", "proxy by UDP"),
    "a wrong port of the proxy": hole(f"ip daddr {{proxy}} tcp dport {CANARY} accept", "canary",
                                      phases=streams),
    "UDP without answers": hole(f"ip daddr {{proxy}} udp dport {CANARY} accept", "canary by UDP",
                                phases=datagrams, answers=False),
    "the first second": Case(
        late=0.7, phases=frozenset({"start"}), cause="late enforcement",
        leaks=frozenset({"canary", "canary by UDP", "internet", "DNS by UDP", "API server"}),
    ),
    "late, behind the gate": proven(late=1.5, gated=True),
    "no filter, behind the gate": Case(
        deny="accept", gated=True, phases=streams, cause="does not enforce NetworkPolicy at all"
    ),
    "a connection opened before the filter": Case(
        late=0.7, holes=("ct state established accept",), phases=frozenset({"start", "kept"}),
        cause="established connections are not cut",
        leaks=frozenset({"canary", "canary by UDP", "internet", "DNS by UDP", "API server"}),
    ),
    "a hole that the site accepts": proven(
        holes=("ip daddr {node4} tcp dport 30000-32767 accept",),
        settings={"accepted": {"own node: ports 30000-32767": "kube-router"}},
    ),
    "no filter": Case(deny="accept", phases=streams, cause="does not enforce NetworkPolicy at all"),
    "no filter on new pods": Case(
        holes=("ip daddr {training} drop", "ip6 daddr {training6} drop"), deny="accept",
        phases=streams, cause="no policy holds for new pods",
        leaks=frozenset(BOTH_FAMILIES) - {"Ray"},
    ),
    "no proxy": Case(verdict="unknown", phases=frozenset(), allowed_target=False,
                     unknown=frozenset({"another sandbox"})),
    "no other sandbox": Case(verdict="unknown", phases=frozenset(), peer=False,
                             unknown=frozenset({"another sandbox"})),
    "no ping": Case(verdict="unknown", phases=frozenset(), ping=False,
                    unknown=frozenset({"ICMP", "own node: ICMP"})),
}  # fmt: skip


@dataclass
class Shown:
    code: int
    result: dict[str, Any]
    message: str


@pytest.fixture(scope="module")
def shown(
    private_network: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Shown]]:
    """What the proof says in every case; all at once, since they mostly wait."""
    folder = tmp_path_factory.mktemp("fabric")
    fabric = Fabric(folder)
    try:
        peer = fabric.sandbox()
        peer.admit()
        second = start_second_pod(fabric)
        pods = {name: sandbox(fabric, case) for name, case in CASES.items()}
        started = {name: start(pods[name], case, peer) for name, case in CASES.items()}
        fabric.be_there(peer, [pods[name] for name, case in CASES.items() if case.peer])
        shown = {name: collect(pods[name], tree, folder) for name, tree in started.items()}
        shown["the second pod"] = end_second_pod(fabric, *second)
        yield shown
    finally:
        fabric.close()


def start_second_pod(fabric: Fabric) -> tuple[Pod, Tree]:
    """A Job starts it as it starts the first, but for its number."""
    pod = fabric.sandbox()
    pod.admit()
    proof = {"allowed_target": {"address": "$ALLOWED_TARGET_IPS", "port": ALLOWED_TARGET}, "targets": [], "peer_port": 7100}
    environment = {
        "PROOF": json.dumps(proof),
        "ALLOWED_TARGET_IPS": f"{fabric.proxy.v4},{fabric.proxy.v6}",
        "RUN": "second",
        "POD_IPS": f"{pod.v4},{pod.v6}",
        "JOB_COMPLETION_INDEX": "1",
    }
    log = fabric.folder / "second.log"
    return pod, fabric.keep(pod.start("egress_probe.py", log, environment))


def end_second_pod(fabric: Fabric, pod: Pod, tree: Tree) -> Shown:
    wait_until(
        lambda: fabric.ask("facts", "second")["peers"], 30, "the second pod announces itself"
    )
    known = fabric.ask("facts", "second")
    assert tree.running
    fabric.ask("finish", "second")
    return Shown(tree.wait(30), {**known, "own": [pod.v4, pod.v6]}, "")


def sandbox(fabric: Fabric, case: Case) -> Pod:
    resolver = None
    if case.resolver:
        resolver = fabric.folder / "resolv.conf"
        resolver.write_text(f"nameserver {world['name-server']}\noptions timeout:2 attempts:1\n")
    pod = fabric.sandbox(resolver)
    if not case.ping:
        pod.run("echo '1 0' > /proc/sys/net/ipv4/ping_group_range")
    if not case.answers:
        pod.drop_answers(CANARY)
    return pod


def start(pod: Pod, case: Case, peer: Pod) -> Tree:
    fabric = pod.fabric
    places = {name.replace("-", "_"): address for name, address in world.items()}
    places |= {f"{name.replace('-', '_')}6": address for name, address in world6.items()}
    own = {"node4": node4, "node6": node6, "peer": peer.v4, "proxy": fabric.proxy.v4}
    own |= {"training": fabric.training.v4, "training6": fabric.training.v6}
    rules = [rule.format(**places, **own) for rule in case.holes]
    if case.late is None:
        pod.admit(*rules, deny=case.deny, allowed_target=case.allowed_target)
    settings = {"peer_seconds": 60 if case.peer else 3, "settle_seconds": 4, **case.settings}
    tree = fabric.prove(pod, gated=case.gated, **settings)
    if case.late is not None:
        wait_until(
            lambda: "probing" in tree.errors or "the entry gate" in tree.errors,
            30,
            "the first probe",
            pause=0.01,
        )
        time.sleep(case.late)
        pod.admit(*rules)
    return tree


def collect(pod: Pod, tree: Tree, folder: Path) -> Shown:
    code = tree.wait(120)
    assert tree.output, tree.errors
    message = (folder / f"message-{pod.number}").read_text()
    return Shown(code, json.loads(tree.output), message)


@pytest.mark.parametrize("name", CASES)
def test_verdict(name: str, shown: dict[str, Shown]) -> None:
    case, (code, result, message) = CASES[name], _unpack(shown[name])
    leaks = [leak for target in result["leaks"] for leak in result["targets"][target]["leaks"]]
    assert result["verdict"] == case.verdict, message
    if case.leaks or not name.startswith("no filter"):
        assert set(result["leaks"]) == case.leaks, message
    assert code == {"proven": 0, "leaks": 3, "unknown": 4}[case.verdict]
    assert {leak["phase"] for leak in leaks} == case.phases
    assert case.cause in result["cause"]
    assert message.startswith(f"{case.verdict}: ")
    assert all(leak in message for leak in case.leaks)
    assert set(result["unknown"]) == case.unknown
    for leak in leaks:
        assert case.only in f"{leak['address']} {leak['port']}"
    if name == "a hole that the site accepts":
        assert result["accepted"] == case.settings["accepted"]
        assert "accepted by the site: own node: ports 30000-32767" in message
        assert f"was denied {len(result['targets']) - 1} targets" in message


def _unpack(one: Shown) -> tuple[int, dict[str, Any], str]:
    return one.code, one.result, one.message


def test_says_where_and_when(shown: dict[str, Shown]) -> None:
    result = shown["all denied, dropped"].result
    where = result["where"]
    assert (where["node_name"], where["pod_namespace"]) == ("node", "run-sandbox")
    assert where["ipv6"]
    assert result["started"].startswith("20")
    assert result["proxy"] == "reached"


def test_a_pod_without_any_filter_shows_that_nothing_is_enforced(
    shown: dict[str, Shown],
) -> None:
    result = shown["no filter"].result
    # Names need a name server that the pod is told of; this one is told of none.
    assert {name for name in result["targets"] if name not in result["leaks"]} == {
        "internet by name"
    }


def test_the_second_pod_stays_until_the_proof_is_over(shown: dict[str, Shown]) -> None:
    second = shown["the second pod"]
    assert second.code == 0
    assert second.result["peers"] == second.result["own"]


def test_reasons_of_denials(shown: dict[str, Shown]) -> None:
    def reasons(name: str) -> dict[str, int]:
        counted: dict[str, int] = shown[name].result["targets"]["Ray"]["reasons"]
        return counted

    assert set(reasons("all denied, dropped")) == {"timed out"}
    assert set(reasons("all denied, by reset")) == {"port closed"}
    # A host sends only so many ICMP errors a second; what they would have said times out.
    assert set(reasons("all denied, administratively")) - {"timed out"} <= {
        "unreachable",
        "prohibited",
    }
    assert set(reasons("all denied, as kube-router does")) - {"timed out"} == {"refused"}
    assert len(RAY) * 2 * 2 == sum(reasons("all denied, dropped").values())
