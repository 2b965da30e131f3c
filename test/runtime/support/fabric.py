"""A small cluster network: pods, a node that routes between them, and a filter on it.

Every pod is a network namespace of its own behind a pair of virtual interfaces; the node is one
that forwards. nftables on the node plays the network plugin: a chain per pod, which may come late,
have a hole, or not be there. Both IP families. Nothing of it reaches the machine's own network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlencode

from .processes import Tree, kill_descendants
from .programs import RUNTIME


ALLOWED_TARGET, CANARY, RAY, PEER_PORT = 8002, 8999, (6379, 8265, 10001, 40000, 49999), 7000
NODE = ("10.0.0.1", "fd00:a::1")
WORLD = {
    "internet": ("192.0.2.80", "2001:db8::80"),
    "api-server": ("10.96.0.1", "fd00:96::1"),
    "cluster-dns": ("10.96.0.10", "fd00:96::10"),
    "public-dns": ("192.0.2.53", "2001:db8::53"),
    "name-server": ("192.0.2.54",),
    "metadata": ("169.254.169.254", "fd00:ec2::254"),
    "other-namespace": ("10.244.200.9", "fd00:244:c8::9"),
}


def missing_tools() -> str | None:
    """Why this machine cannot have such a network."""
    tools = [name for name in ("ip", "nft", "nsenter", "unshare") if not _tool(name)]
    if tools:
        return f"install nftables, iproute2 and util-linux: there is no {', '.join(tools)}"
    if os.geteuid() != 0:
        return "network namespaces with filters can be made by root only"
    return None


def _tool(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class Space:
    """A network namespace, held open by a process that ends with this one."""

    def __init__(self, *, resolver: Path | None = None) -> None:
        mount = f"mount --bind {resolver} /etc/resolv.conf && " if resolver else ""
        command = ["unshare", "-n", *(["-m"] if resolver else []), "sh", "-c"]
        self._holder = subprocess.Popen(
            [*command, f"{mount}echo ready && exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        self.pid = self._holder.pid
        mounts = ["-m"] if resolver else []
        self.enter = ["nsenter", "-t", str(self.pid), "-n", *mounts, "--"]
        # Names are asked for in the machine's own file, whose servers are not in here.
        self.run("ip link set lo up")

    def run(self, *lines: str) -> None:
        script = "set -e\n" + "\n".join(lines)
        done = subprocess.run([*self.enter, "sh", "-c", script], capture_output=True, text=True)
        assert done.returncode == 0, f"{script}\n{done.stderr}"

    def nft(self, rules: str) -> None:
        done = subprocess.run(
            [*self.enter, _tool("nft") or "nft", "-f", "-"],
            input=rules,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{rules}\n{done.stderr}"

    def start(self, program: str | Sequence[str], log: Path, env: Mapping[str, str]) -> Tree:
        """A program of runtime/, or a command, with the standard library and no more."""
        command = (
            [sys.executable, "-S", "-B", str(RUNTIME / program)]
            if isinstance(program, str)
            else list(program)
        )
        inherited = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        return Tree([*self.enter, *command], log=log, env={**inherited, **env})

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()


class Pod(Space):
    """A pod of the fabric, open until its filter comes."""

    def __init__(self, fabric: Fabric, number: int, resolver: Path | None = None) -> None:
        super().__init__(resolver=resolver)
        self.fabric, self.number = fabric, number
        self.link = f"p{number}"
        net4, net6 = f"10.244.{number // 64}.{number % 64 * 4}", f"fd00:244:0:{number:x}"
        base = net4.rpartition(".")
        self.v4 = f"{base[0]}.{int(base[2]) + 2}"
        gateway = f"{base[0]}.{int(base[2]) + 1}"
        self.v6 = f"{net6}::2"
        fabric.node.run(
            f"ip link add {self.link} type veth peer name eth0 netns {self.pid}",
            f"ip addr add {gateway}/30 dev {self.link}",
            f"ip -6 addr add {net6}::1/64 dev {self.link} nodad",
            f"ip link set {self.link} up",
        )
        self.run(
            f"ip addr add {self.v4}/30 dev eth0",
            f"ip -6 addr add {self.v6}/64 dev eth0 nodad",
            "ip link set eth0 up",
            f"ip route add default via {gateway}",
            f"ip -6 route add default via {net6}::1",
            "echo '0 2147483647' > /proc/sys/net/ipv4/ping_group_range",
        )

    def admit(self, *rules: str, deny: str = "drop", allowed_target: bool = True) -> None:
        """Sets the pod's filter: only the allowed target, and what the rules let through."""
        proxy = (("ip", self.fabric.proxy.v4), ("ip6", self.fabric.proxy.v6))
        admitted = [f"{six} daddr {address} tcp dport {ALLOWED_TARGET} accept" for six, address in proxy]
        chain = f"inet cni {self.link}"
        # Answers to others may leave, as with every network plugin.
        admitted = ["ct direction reply accept", *(admitted if allowed_target else [])]
        lines = [f"add rule {chain} {rule}" for rule in (*admitted, *rules, *deny.split("; "))]
        # One transaction: no moment in between is open, or closed.
        self.fabric.node.nft("\n".join([f"flush chain {chain}", *lines]))

    def open(self) -> None:
        """Takes the filter away."""
        chain = f"inet cni {self.link}"
        self.fabric.node.nft(f"flush chain {chain}\nadd rule {chain} accept")

    def drop_answers(self, port: int) -> None:
        """Lets nothing back in that comes from a UDP port."""
        answers = f'oifname "{self.link}" udp sport {port}'
        self.fabric.node.nft(f"insert rule inet cni forward {answers} drop")


class Fabric:
    """The node, and whom pods may try to reach."""

    def __init__(self, folder: Path) -> None:
        if reason := missing_tools():
            raise RuntimeError(reason)
        self.folder = folder
        self._trees: list[Tree] = []
        self._pods: list[Pod] = []
        self._lock = Lock()
        self.node = Space()
        self.node.run(
            "echo 1 > /proc/sys/net/ipv4/ip_forward",
            "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
            *(f"ip addr add {address} dev lo" for address in NODE),
        )
        self.node.nft(
            """table inet cni {
              chain forward { type filter hook forward priority 0; policy accept; }
              chain input { type filter hook input priority 0; policy accept;
                icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } accept
              }
            }"""
        )
        self.proxy, self.training, self.world = self.pod(), self.pod(), self.pod()
        for addresses in WORLD.values():
            for address in addresses:
                self.world.run(f"ip addr add {address} dev lo")
                via = self.world.v6 if ":" in address else self.world.v4
                self.node.run(f"ip {'-6 ' * (':' in address)}route add {address} via {via}")
        both = f"{ALLOWED_TARGET},{CANARY}"
        self._listen(self.proxy, both, both)
        self._listen(self.training, ",".join(map(str, RAY)), "6379")
        # Answers to datagrams must come from where they were sent to.
        names = [one for name, both in WORLD.items() if name != "name-server" for one in both]
        self._listen(self.world, "53,80,443,8002", "53", *names)
        self._listen(self.node, "10250,30080", "30080", *NODE)
        stub = Path(__file__).parent / "name_server.py"
        [name_server] = WORLD["name-server"]
        command = [sys.executable, "-S", "-B", str(stub), name_server]
        self.keep(self.world.start(command, folder / "name-server.log", {}))

    def pod(self, resolver: Path | None = None) -> Pod:
        with self._lock:
            pod = Pod(self, len(self._pods), resolver)
            self._pods.append(pod)
        return pod

    def sandbox(self, resolver: Path | None = None) -> Pod:
        """A pod with a filter, which is open as yet."""
        pod = self.pod(resolver)
        self.node.nft(
            f"""add chain inet cni {pod.link}
            add rule inet cni {pod.link} accept
            add rule inet cni forward iifname "{pod.link}" jump {pod.link}
            add rule inet cni input iifname "{pod.link}" jump {pod.link}
            """
        )
        return pod

    def keep(self, tree: Tree) -> Tree:
        self._trees.append(tree)
        return tree

    def _listen(self, space: Space, tcp: str, udp: str, *addresses: str) -> None:
        log = self.folder / f"listener-{space.pid}.log"
        env = {"LISTEN_TCP": tcp, "LISTEN_UDP": udp, "LISTEN_ADDRESSES": ",".join(addresses)}
        self.keep(space.start("proof_listener.py", log, env))

    def targets(self) -> list[dict[str, object]]:
        """Whom a sandbox must not reach, as the proof of a cluster names them."""
        proxy = [self.proxy.v4, self.proxy.v6]
        world = {name: list(addresses) for name, addresses in WORLD.items()}
        tcp = {"kind": "tcp", "listens": True}
        return [
            {**tcp, "name": "canary", "addresses": proxy, "ports": [CANARY], "early": True,
             "calibrates": True},
            {"name": "canary by UDP", "kind": "udp", "addresses": proxy, "ports": [CANARY],
             "early": True, "calibrates": True, "listens": True},
            {"name": "proxy by UDP", "kind": "udp", "addresses": proxy, "ports": [ALLOWED_TARGET],
             "listens": True},
            {**tcp, "name": "internet", "addresses": world["internet"], "ports": [80, 443],
             "early": True},
            {"name": "internet by name", "kind": "name", "addresses": ["swe-rl.example"]},
            {"name": "DNS by UDP", "kind": "dns-udp", "early": True,
             "addresses": world["cluster-dns"] + world["public-dns"]},
            {"name": "DNS by TCP", "kind": "dns-tcp",
             "addresses": world["cluster-dns"] + world["public-dns"]},
            {**tcp, "name": "API server", "addresses": world["api-server"], "ports": [443],
             "early": True},
            {"name": "node metadata", "kind": "tcp", "addresses": world["metadata"], "ports": [80]},
            {**tcp, "name": "Ray", "addresses": [self.training.v4, self.training.v6],
             "ports": list(RAY)},
            {**tcp, "name": "other namespace", "addresses": world["other-namespace"],
             "ports": [8002]},
            {**tcp, "name": "another sandbox", "addresses": ["$PEERS"], "ports": [PEER_PORT]},
            {"name": "own node: kubelet", "kind": "tcp", "addresses": ["$HOST_IPS"],
             "ports": [10250], "own_node": True},
            {"name": "own node: ports 30000-32767", "kind": "tcp", "addresses": ["$HOST_IPS"],
             "ports": [30000, 30080, 32767], "own_node": True},
            {"name": "own node: ports 30000-32767 by UDP", "kind": "udp",
             "addresses": ["$HOST_IPS"], "ports": [30000, 30080], "own_node": True},
            {"name": "own node: ICMP", "kind": "icmp", "addresses": ["$HOST_IPS"],
             "own_node": True},
            {"name": "ICMP", "kind": "icmp", "addresses": [self.proxy.v4, *world["internet"]]},
        ]  # fmt: skip

    def prove(self, pod: Pod, *, gated: bool = False, **settings: object) -> Tree:
        """Starts the proof in the pod."""
        run = f"run-{pod.number}"
        allowed_target = {"address": self.proxy.v4, "port": ALLOWED_TARGET}
        proof = {"run": run, "allowed_target": allowed_target, "targets": self.targets(), "settle_seconds": 5,
                 "peer_seconds": 30, **settings}  # fmt: skip
        gate = {
            "CANARY": f"{self.proxy.v4}:{CANARY}",
            "CONTROL": f"{self.proxy.v4}:{ALLOWED_TARGET}",
            "PROXY": f"{self.proxy.v4}:{ALLOWED_TARGET}",
            "TIMEOUT_SECONDS": "8",
            "QUIET_SECONDS": "1",
        }
        env = {
            **(gate if gated else {}),
            "PROOF": json.dumps(proof),
            "HOST_IPS": ",".join(NODE),
            "NODE_NAME": "node",
            "POD_NAMESPACE": "run-sandbox",
            "POD_IPS": f"{pod.v4},{pod.v6}",
            "TERMINATION_LOG": str(self.folder / f"message-{pod.number}"),
        }
        (self.folder / f"message-{pod.number}").touch()
        log = self.folder / f"proof-{pod.number}.log"
        return self.keep(pod.start("egress_probe.py", log, env))

    def be_there(self, peer: Pod, pods: Sequence[Pod]) -> None:
        """The other sandbox of the proofs in these pods."""
        env = {
            "LISTEN_TCP": str(PEER_PORT),
            "ANNOUNCE_TO": f"{self.proxy.v4}:{ALLOWED_TARGET}",
            "RUN": ",".join(f"run-{pod.number}" for pod in pods),
            "ADDRESSES": f"{peer.v4},{peer.v6}",
            "LIFE_SECONDS": "120",
        }
        self.keep(peer.start("proof_listener.py", self.folder / "peer.log", env))

    def ask(self, path: str, run: str) -> dict[str, Any]:
        """What the listener in the proxy's place knows of a run, asked from beside it."""
        url = f"http://{self.proxy.v4}:{ALLOWED_TARGET}/{path}?{urlencode({'run': run})}"
        program = (
            "import sys, urllib.request as r\n"
            "o = r.build_opener(r.ProxyHandler({}))\n"
            "print(o.open(sys.argv[1], timeout=10).read().decode())"
        )
        command = [*self.proxy.enter, sys.executable, "-S", "-c", program, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def close(self) -> None:
        for tree in self._trees:
            tree.kill()
        for space in [*self._pods, self.node]:
            with suppress(ProcessLookupError):
                kill_descendants(space.pid)
            space.close()
