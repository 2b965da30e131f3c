"""A fake cluster, and makers of sandboxes on it, for every test that asks for them."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cluster_sandboxes import VARIABLES, Make, maker
from fake_cluster import RUNNING, FakeCluster
from swe_rl_training.kubernetes_sandbox.settings import KubernetesSettings


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    root = tmp_path / "root"
    root.mkdir()
    with FakeCluster(root, statuses=[RUNNING]).running() as cluster:
        yield cluster


@pytest.fixture
def settings(cluster: FakeCluster, tmp_path: Path) -> KubernetesSettings:
    return replace(
        KubernetesSettings.from_environment(VARIABLES),
        kubeconfig=str(cluster.kubeconfig(tmp_path / "kubeconfig")),
        startup_seconds=5,
        poll_seconds=0.02,
    )


@pytest.fixture
def make(cluster: FakeCluster, settings: KubernetesSettings, tmp_path: Path) -> Make:
    return maker(cluster, settings, tmp_path)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """Where other users may look, unlike into pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with what gets lost easily."""
    folder = tmp_path / "files"
    (folder / "empty").mkdir(parents=True)
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/binary").write_bytes(random.Random(1).randbytes(3_000_000))
    (folder / "run me.sh").write_text("#!/bin/sh\n")
    (folder / "run me.sh").chmod(0o755)
    (folder / "ünï").write_bytes(b"")
    (folder / "link").symlink_to("deep/er/binary")
    return folder
