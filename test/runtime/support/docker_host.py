"""A real Docker daemon in a network namespace of its own, and containers as the program asks for them.

Everything of it lives below a temporary directory. `python` is the only image: the interpreter that
runs the tests, with its libraries.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from http_client import HttpClient, NoAnswer

IMAGE = "swe-rl-test/python:1"
NEEDED = ("dockerd", "docker", "unshare", "nsenter", "ip", "nft")

_START = """
set -e
ip link set lo up
exec dockerd --data-root {folder}/data --exec-root {folder}/exec --pidfile {folder}/pid \
    --host unix://{folder}/docker.sock --bip 172.17.0.1/16
"""


class DockerHost:
    def __init__(self, *, own_network: bool = True) -> None:
        """`own_network`: whether it is in a network namespace of its own, or in this process's."""
        self.folder = Path(tempfile.mkdtemp(prefix="swe-rl-docker-"))
        self._log = (self.folder / "log").open("wb")
        spaces = ["--net", "--mount"] if own_network else ["--mount"]
        command = ["unshare", *spaces, "sh", "-c", _START.format(folder=self.folder)]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    @property
    def socket(self) -> str:
        return str(self.folder / "docker.sock")

    def start(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                self.api("GET", "/version")
                break
            except NoAnswer:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    lines = (self.folder / "log").read_text().strip().splitlines()
                    raise RuntimeError(f"the daemon does not start: {lines[-3:]}") from None
                time.sleep(0.3)

    def load_python(self) -> None:
        """Makes the image `IMAGE`."""
        _write_image(self.folder / "image.tar")
        path = "ENV PATH=/swe-rl/bin:/usr/bin:/bin"
        self.docker("import", "--change", path, str(self.folder / "image.tar"), IMAGE)

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def docker(self, *arguments: str) -> str:
        command = ["docker", "--host", f"unix://{self.socket}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr}")
        return done.stdout.strip()

    def inside(self, *command: str, text: str | None = None) -> str:
        """Runs a command in the host's network, as somebody on the host would."""
        enter = ["nsenter", "--target", str(self.process.pid), "--net", *command]
        done = subprocess.run(enter, input=text, capture_output=True, text=True, check=True)
        return done.stdout

    def serve(self, program: str) -> subprocess.Popen[bytes]:
        """A Python program in the host's network."""
        enter = ["nsenter", "--target", str(self.process.pid), "--net"]
        return subprocess.Popen([*enter, sys.executable, "-c", program])

    def api(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        client = HttpClient(f"unix://{self.socket}", timeout=120)
        answer = client.send(method, path, headers={"Content-Type": kind}, body=body)
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.text}")
        return answer.json() if answer.content.strip() else None

    def make(self, kind: str, inputs: dict[str, Any], **change: Any) -> None:
        """A network, volume or container with the inputs that the plugin would get."""
        makers = {"Network": self._network, "Volume": self._volume, "Container": self._container}
        makers[kind]({**inputs, **change})

    def wait(self, name: str) -> int:
        code: int = self.api("POST", f"/containers/{name}/wait")["StatusCode"]
        return code

    def logs(self, name: str) -> str:
        """Standard output alone: the verdict is there, and the rest is for people."""
        command = ["docker", "--host", f"unix://{self.socket}", "logs", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout

    def await_health(self, *names: str) -> None:
        deadline = time.monotonic() + 60
        for name in names:
            while self.api("GET", f"/containers/{name}/json")["State"]["Health"]["Status"] != "healthy":
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{name} is not healthy: {self.docker('logs', name)}")
                time.sleep(0.3)

    def _network(self, inputs: dict[str, Any]) -> None:
        known = {"name", "driver", "internal", "options", "ipamConfigs", "labels"}
        _demand(known, inputs)
        places = {"subnet": "Subnet", "ipRange": "IPRange", "gateway": "Gateway"}
        ipam = [
            {places[key]: value for key, value in config.items()}
            for config in inputs["ipamConfigs"]
        ]
        body = {
            "Name": inputs["name"],
            "Driver": inputs["driver"],
            "Internal": inputs.get("internal", False),
            "Options": inputs.get("options", {}),
            "IPAM": {"Config": ipam},
            "Labels": _labels(inputs),
        }
        self.api("POST", "/networks/create", body)

    def _volume(self, inputs: dict[str, Any]) -> None:
        _demand({"name", "labels"}, inputs)
        self.api("POST", "/volumes/create", {"Name": inputs["name"], "Labels": _labels(inputs)})

    def _container(self, inputs: dict[str, Any]) -> None:
        _demand(_KNOWN, inputs)
        capabilities = inputs.get("capabilities", {})
        host = {
            "CapAdd": capabilities.get("adds", []),
            "CapDrop": capabilities.get("drops", []),
            "Dns": inputs.get("dns", []),
            "DnsOptions": inputs.get("dnsOpts", []),
            "Init": inputs.get("init", False),
            "Memory": inputs["memory"] << 20,
            "MemorySwap": inputs["memorySwap"] << 20,
            "NetworkMode": inputs.get("networkMode", "default"),
            "SecurityOpt": inputs["securityOpts"],
            "Sysctls": inputs.get("sysctls", {}),
            "UsernsMode": inputs.get("usernsMode", ""),
        }
        body = {
            "Image": inputs["image"],
            "Entrypoint": inputs["entrypoints"],
            "Env": inputs["envs"],
            "Labels": _labels(inputs),
            "HostConfig": host,
            **_health(inputs),
        }
        name = inputs["name"]
        self.api("POST", f"/containers/create?name={quote(name)}", body)
        # As the plugin does: created in the default network, which it then leaves.
        networks = inputs.get("networksAdvanced", [])
        if networks:
            self.api("POST", "/networks/bridge/disconnect", {"Container": name})
        for network in networks:
            address = {"IPv4Address": network.get("ipv4Address", "")}
            end = {"Container": name, "EndpointConfig": {"IPAMConfig": address}}
            self.api("POST", f"/networks/{network['name']}/connect", end)
        self.api("PUT", f"/containers/{name}/archive?path=/", _archive(inputs["uploads"]), "application/x-tar")
        self.api("POST", f"/containers/{name}/start")


_KNOWN = {
    "attach", "capabilities", "destroyGraceSeconds", "dns", "dnsOpts", "entrypoints", "envs", "healthcheck",
    "image", "init", "labels", "logDriver", "logOpts", "logs", "memory", "memorySwap", "mustRun",
    "name", "networkMode", "networksAdvanced", "restart", "securityOpts", "sysctls", "uploads",
    "usernsMode", "wait", "waitTimeout",
}  # fmt: skip
"""Inputs that are translated here, or say only when the plugin is done."""


def _demand(known: set[str], inputs: dict[str, Any]) -> None:
    more = {key for key, value in inputs.items() if value is not None} - known
    assert not more, f"{inputs['name']} has inputs that this does not translate: {sorted(more)}"


def _labels(inputs: dict[str, Any]) -> dict[str, str]:
    return {label["label"]: label["value"] for label in inputs["labels"]}


def _health(inputs: dict[str, Any]) -> dict[str, Any]:
    check = inputs.get("healthcheck")
    if not check:
        return {}
    seconds = {key: float(check[key].removesuffix("s")) for key in ("interval", "timeout")}
    return {
        "Healthcheck": {
            "Test": check["tests"],
            "Interval": int(seconds["interval"] * 1e9),
            "Timeout": int(seconds["timeout"] * 1e9),
            "Retries": check["retries"],
        }
    }


def _archive(uploads: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for upload in uploads:
            entry = tarfile.TarInfo(upload["file"].lstrip("/"))
            content = upload["content"].encode()
            entry.size, entry.mode = len(content), 0o755 if upload.get("executable") else 0o644
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def _python() -> str:
    return str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")


def _write_image(file: Path) -> None:
    """The running Python, `nft` and their libraries as a root file system."""
    version = f"python3.{sys.version_info.minor}"
    library = Path(sys.base_prefix) / "lib" / version
    nft = str(Path(shutil.which("nft") or "nft").resolve())
    programs = [_python(), nft, *map(str, (library / "lib-dynload").glob("*.so"))]
    listed = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=True).stdout
    libraries = {word for word in listed.split() if word.startswith("/") and not word.endswith(":")}
    skipped = ("/site-packages", "/test", "/idlelib", "/tkinter", "/ensurepip", "__pycache__")
    with tarfile.open(file, "w", dereference=True) as archive:
        for path in [_python(), *sorted(libraries)]:
            archive.add(path)
        archive.add(
            library,
            filter=lambda one: None if any(part in one.name for part in skipped) else one,
        )
        archive.add(nft, "swe-rl/bin/nft")
        link = tarfile.TarInfo("swe-rl/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, _python()
        archive.addfile(link)
        for directory in ("tmp", "run"):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(entry)


@contextmanager
def running() -> Iterator[DockerHost]:
    """A daemon for as long as the tests of a module take; where none can start they are skipped."""
    host = DockerHost()
    try:
        try:
            host.start()
            host.load_python()
        except RuntimeError as error:
            pytest.skip(str(error))
        yield host
    finally:
        host.close()


def usable() -> str | None:
    """Why no daemon can run here; None if it can."""
    if os.geteuid() != 0:
        return "a Docker daemon needs root"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    return f"no {', '.join(missing)} on this machine" if missing else None
