"""The sandboxes' network on a real Docker daemon: who is reached from it. Needs root and dockerd (package docker.io).

The daemon and everything of it live in a network namespace of this test, with its own data below a
temporary directory. Options of the networks are those of components/docker/networks.ts.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

missing = [name for name in ("dockerd", "docker", "unshare", "ip") if shutil.which(name) is None]
if os.geteuid() != 0:
    pytest.skip("a Docker daemon needs root", allow_module_level=True)
if missing:
    pytest.skip(f"no {', '.join(missing)} on this machine", allow_module_level=True)

IMAGE = "swe-rl-test/python:1"
SANDBOX_SUBNET = "172.30.244.0/22"
GATEWAY = "172.30.244.1"
BRIDGE_HOST = "10.199.0.1"

START = """
set -e
ip link set lo up
exec dockerd --data-root {folder}/data --exec-root {folder}/exec --pidfile {folder}/pid \
    --host unix://{folder}/docker.sock --bip 10.199.0.1/24
"""

KNOCK = """
import socket
for address, port in {targets}:
    knock = socket.socket()
    knock.settimeout(2)
    try:
        knock.connect((address, port))
        print(address, "reached")
    except OSError:
        print(address, "denied")
"""


LISTEN = """
import socket
server = socket.create_server(("", 8002))
while True:
    server.accept()
"""


class Daemon:
    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder, self.process = folder, process

    def docker(self, *arguments: str, check: bool = True) -> str:
        command = ["docker", "--host", f"unix://{self.folder}/docker.sock", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode != 0:
            raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr}")
        return done.stdout.strip()

    def knock(self, network: str, *targets: tuple[str, int]) -> dict[str, str]:
        program = KNOCK.format(targets=list(targets))
        output = self.docker("run", "--rm", "--network", network, IMAGE, python(), "-c", program)
        return dict(line.split() for line in output.splitlines())  # type: ignore[misc]


def python() -> str:
    return str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")


def image(file: Path) -> None:
    """The running Python and its libraries as a root file system."""
    libraries = subprocess.run(["ldd", python()], capture_output=True, text=True, check=True).stdout
    words = {word for word in libraries.split() if word.startswith("/")}
    library = Path(sys.base_prefix) / "lib" / f"python3.{sys.version_info.minor}"
    with tarfile.open(file, "w", dereference=True) as archive:
        for path in [python(), *sorted(words)]:
            archive.add(path)
        archive.add(
            library,
            filter=lambda one: None if "/site-packages" in one.name or "/test" in one.name else one,
        )


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    folder = Path(tempfile.mkdtemp(prefix="swe-rl-docker-"))
    log = (folder / "log").open("wb")
    script = START.format(folder=folder)
    process = subprocess.Popen(
        ["unshare", "--net", "--mount", "sh", "-c", script], stdout=log, stderr=log
    )
    running = Daemon(folder, process)
    try:
        deadline = time.monotonic() + 60
        while running.docker("info", "--format", "{{.ServerVersion}}", check=False) == "":
            if process.poll() is not None or time.monotonic() > deadline:
                reason = (folder / "log").read_text().strip().splitlines()[-1:]
                pytest.skip(f"no Docker daemon can run on this machine: {reason}")
            time.sleep(0.3)
        image(folder / "image.tar")
        running.docker("import", str(folder / "image.tar"), IMAGE)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def listen(daemon: Daemon) -> subprocess.Popen[bytes]:
    """A service of the daemon's host, on all its addresses."""
    inside = ["nsenter", "--target", str(daemon.process.pid), "--net"]
    server = [sys.executable, "-m", "http.server", "18081", "--directory", str(daemon.folder)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen([*inside, *server], stdout=quiet, stderr=quiet)


def test_the_host_is_reached_from_a_plain_internal_network_and_not_from_ours(
    daemon: Daemon,
) -> None:
    create = ["network", "create", "--internal"]
    daemon.docker(*create, "--subnet", "172.30.240.0/24", "plain")
    inhibited = ["--opt", "com.docker.network.bridge.inhibit_ipv4=true"]
    daemon.docker(*create, *inhibited, "--subnet", SANDBOX_SUBNET, "sandbox")
    server = listen(daemon)
    try:
        time.sleep(2)
        plain = daemon.knock("plain", ("172.30.240.1", 18081), (BRIDGE_HOST, 18081))
        ours = daemon.knock("sandbox", (GATEWAY, 18081), (BRIDGE_HOST, 18081))
    finally:
        server.terminate()
        server.wait()
    # The first line shows that the second could have found something.
    assert plain["172.30.240.1"] == "reached"
    assert ours == {GATEWAY: "denied", BRIDGE_HOST: "denied"}


def test_a_fixed_address_in_our_network_is_reached(daemon: Daemon) -> None:
    daemon.docker(
        *("run", "--detach", "--name", "proxy", "--network", "sandbox", "--ip", "172.30.244.2"),
        *(IMAGE, python(), "-c", LISTEN),
    )
    try:
        time.sleep(2)
        assert daemon.knock("sandbox", ("172.30.244.2", 8002)) == {"172.30.244.2": "reached"}
    finally:
        daemon.docker("rm", "--force", "proxy")
