"""Every route of a real Ray's dashboard, job API and agents wants the token, also inside the cluster.

Sandboxes cannot reach any of them; should a policy fail, this is what stands behind it.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray_jobs import RayJobs
from support.cluster import JOBS_URL, TOKEN, Cluster
from support.processes import wait_until

PUBLIC = {
    # The page that asks for the token, and health.
    "/",
    "/favicon.ico",
    "/api/authentication_mode",
    "/api/healthz",
    "/api/gcs_healthz",
    "/api/local_raylet_healthz",
}
ASKS_FOR_THE_TOKEN = "/api/authenticate"
ROUTE = re.compile(r'^\s*@[\w.]+\.(get|post|put|delete)\(\s*"(/[^"]*)"', re.MULTILINE)


def routes() -> list[tuple[str, str]]:
    """What Ray's own sources declare, with something in the place of each parameter."""
    sources = (Path(ray.__file__).parent / "dashboard").rglob("*.py")
    found = {
        (method.upper(), re.sub(r"\{[^}]*\}", "x", path))
        for source in sources
        for method, path in ROUTE.findall(source.read_text())
    }
    return sorted(found)


def status(host: str, port: int, method: str, path: str, token: str | None) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=30)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        connection.request(method, path, body=b"{}", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture(scope="module")
def agent(cluster: Cluster) -> Iterator[tuple[str, int]]:
    """The agent of the head's node, which starts jobs for the job API."""
    jobs = RayJobs(JOBS_URL, TOKEN)
    jobs.submit("token-test", "true")
    wait_until(lambda: jobs.get("token-test").is_over, 60, "end of the submission")
    address = jobs.get("token-test").agent
    assert address is not None
    host, _, port = address.removeprefix("http://").rpartition(":")
    yield host, int(port)
    jobs.delete("token-test")


def test_knows_the_routes() -> None:
    known = routes()
    assert len(known) > 50
    for route in (("POST", "/api/jobs/"), ("POST", "/api/job_agent/jobs/"), ("GET", "/nodes")):
        assert route in known


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1]])
def test_dashboard_and_job_api(cluster: Cluster, token: str | None) -> None:
    closed = [
        route for route in routes() if route[1] not in PUBLIC and route[1] != ASKS_FOR_THE_TOKEN
    ]
    closed += [("GET", "/no/such/route"), ("GET", "//api/jobs/"), ("GET", "/static/../api/jobs/")]
    opened = {
        route: code
        for route in closed
        if (code := status("127.0.0.1", 8265, *route, token)) not in (401, 403)
    }
    assert opened == {}
    assert status("127.0.0.1", 8265, "POST", ASKS_FOR_THE_TOKEN, token) in (401, 403)


@pytest.mark.parametrize("token", [None, "wrong"])
def test_agents(agent: tuple[str, int], token: str | None) -> None:
    closed = [route for route in routes() if "job_agent" in route[1]]
    closed += [("GET", "/logs/job-driver-token-test.log"), ("GET", "/logs/")]
    assert len(closed) > 4
    opened = {
        route: code for route in closed if (code := status(*agent, *route, token)) not in (401, 403)
    }
    assert opened == {}


def test_the_token_opens_them(cluster: Cluster) -> None:
    for path in ("/api/jobs/", "/nodes?view=summary", "/api/version"):
        assert status("127.0.0.1", 8265, "GET", path, TOKEN) == 200
