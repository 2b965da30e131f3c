"""The head dies under a run that is followed and under a proxy that waits; both come through."""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path

from support.cluster import Cluster
from support.processes import wait_until
from support.programs import discovery_environment, submitter_environment, start_program
from support.rollouts import rollouts, server

ENDS_THE_SECOND_TIME = """
import os, time
first = not os.path.exists('begun')
open('begun', 'w').close()
print('first' if first else 'second', 'life', flush=True)
if first: time.sleep(600)
"""


def test_run_and_discovery_survive_a_new_head(cluster: Cluster, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "program.py").write_text(ENDS_THE_SECOND_TIME)
    argv = (sys.executable, "-S", str(run / "program.py"))
    proxy = discovery_environment(tmp_path / "proxy", DISCOVERY_TIMEOUT_SECONDS="300")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        submitter = start_program(
            "submit_run.py", submitter_environment(run, "run", argv), tmp_path / "submitter"
        )
        discovery = start_program("discover_rollouts.py", proxy, tmp_path / "discovery")
        try:
            wait_until(lambda: "first life" in submitter.output, 60, "the run")
            wait_until(lambda: "0 of 2 rollout servers" in discovery.errors, 60, "a first look")
            cluster.kill()
            wait_until(lambda: "waiting for the head" in submitter.errors, 60, "the submitter's line")
            wait_until(lambda: "head does not answer" in discovery.errors, 60, "discovery's line")
            cluster.start()
            servers = [server(0, port), server(1, port)]
            with rollouts(cluster, "run", servers, tmp_path / "rollouts.log"):
                assert submitter.wait(120) == 0, submitter.errors
                assert discovery.wait(120) == 0, discovery.errors
        finally:
            submitter.kill()
            discovery.kill()
    assert "Ray has forgotten run-aaaa-1: its head was restarted" in submitter.errors
    assert "run-aaaa-2 has succeeded" in submitter.errors
    assert re.findall(r"\w+ life", submitter.output) == ["first life", "second life"]
    table = json.loads(Path(proxy["ROLLOUT_TABLE"]).read_text())
    assert len(table) == 2
    assert len(discovery.errors.splitlines()) < 30, "a flood of lines"
