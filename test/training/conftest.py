from __future__ import annotations

from collections.abc import Iterator

import pytest
from laboratory import Laboratory
from laboratory import laboratory as running_laboratory
from support.docker_host import usable
from support.private_network import private_network, pytest_configure

__all__ = ["private_network", "pytest_configure"]


@pytest.fixture(scope="session")
def laboratory(
    private_network: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Laboratory]:
    """Shared by all tests, since an image, a daemon and a proxy take half a minute to come up."""
    if reason := usable():
        pytest.skip(reason)
    with running_laboratory(tmp_path_factory.mktemp("laboratory")) as one:
        yield one
