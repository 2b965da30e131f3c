"""What a conftest.py takes over by importing it: tests in a network namespace of their own."""

from __future__ import annotations

import pytest

from .network import enter_private_network

__all__ = ["private_network", "pytest_configure"]

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
