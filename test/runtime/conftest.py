from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.programs import RUNTIME
from support.cluster import Cluster
from support.private_network import private_network, pytest_configure

__all__ = ["private_network", "pytest_configure"]


@pytest.fixture(scope="session")
def cluster(private_network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running Ray cluster, shared by all tests."""
    cluster = Cluster(tmp_path_factory.mktemp("ray"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="session")
def runtime() -> Path:
    """Directory of the programs under test."""
    return RUNTIME
