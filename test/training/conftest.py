from __future__ import annotations

from collections.abc import Iterator

import pytest
from laboratory import Laboratory
from laboratory import laboratory as running_laboratory
from support.docker_host import usable
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
def laboratory(
    private_network: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Laboratory]:
    """Shared by all tests, since an image, a daemon and a proxy take half a minute to come up."""
    if reason := usable():
        pytest.skip(reason)
    with running_laboratory(tmp_path_factory.mktemp("laboratory")) as one:
        yield one
