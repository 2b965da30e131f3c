from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.programs import RUNTIME
from support.cluster import Cluster
from support.network import enter_private_network

_network = pytest.StashKey[str | None]()


def pytest_configure(config: pytest.Config) -> None:
    # Before anything else: a user namespace can be entered only while there is one thread.
    config.stash[_network] = enter_private_network()


@pytest.fixture(scope="session")
def private_network(pytestconfig: pytest.Config) -> None:
    """Nothing is reachable but what the tests start themselves."""
    reason = pytestconfig.stash[_network]
    if reason:
        pytest.skip(reason)


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
