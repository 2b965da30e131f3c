"""Shows from inside a sandbox pod that it reaches the proxy and nothing else. Standard library only.

Probes every target from the pod's first moment on, again when all has settled, and once more on
connections that were opened early and kept. Prints one line of JSON: what was tried, when, from
where, how it ended, and the verdict; a sentence of it is the termination message.

Environment:
    PROOF  JSON, or the path of a file with it:
        run            optional, $RUN: name of this proof; `$NAME` is taken from the environment
        network        optional, "kubernetes" or "docker": where the sandboxes are
        allowed_target address and port that must be reached: an HTTP server, the proof's listener
                       or the proxy itself
        targets        [{"name", "kind": "tcp|udp|icmp|dns-udp|dns-tcp|name", "addresses", "ports",
                       "listens", "early", "calibrates", "own_node"}]; proof_verdict.py says what
                       these are. `$NAME` is taken from the environment, `$RESOLVERS` and `$PEERS`
                       from the listener, which knows the cluster's name servers and the other pod
        accepted       {target: reason}: may be reached, since the site accepts it
        start_seconds, settle_seconds, peer_seconds   optional: 2, 10, 60
        peer_port      optional: where the second pod listens
    NODE_NAME, POD_NAMESPACE, POD_IPS, HOST_IPS   optional: where
    JOB_COMPLETION_INDEX   optional, 0: the pod with another number is there only to be refused

    CANARY and what else entry_gate.py takes   optional: that gate is passed first, as a sandbox
                           does; if it stays shut, the proof goes on and shows what is open

Exit codes:
    0    proven: reached the proxy, denied everything else
    2    the environment cannot be used
    3    leaks: named
    4    unknown: nothing leaked that was tried, but not everything could be shown
    143  SIGTERM
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timezone
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn

import probes
import pod
from pod import BadInput, say
from proof_phases import Proof, authority, allowed_target
from proof_verdict import DENIED, LEAKS, PROVEN, UNKNOWN, Network


class Exit(IntEnum):
    PROVEN = 0
    BAD_INPUT = pod.BAD_INPUT
    LEAKS = 3
    UNKNOWN = 4


CODES = {PROVEN: Exit.PROVEN, LEAKS: Exit.LEAKS, UNKNOWN: Exit.UNKNOWN}


def be_there(settings: dict[str, Any]) -> NoReturn:
    """The second pod: a listener that the first one must not reach."""
    port = str(settings.get("peer_port", ""))
    variables = {
        "LISTEN_TCP": port,
        "LISTEN_UDP": port,
        "ANNOUNCE_TO": authority(allowed_target(settings)),
        "ADDRESSES": os.environ.get("POD_IPS", ""),
    }
    program = str(Path(__file__).with_name("proof_listener.py"))
    command = [sys.executable, "-u", program]
    os.execve(sys.executable, command, {**os.environ, **variables})


def more_files() -> None:
    """Early probes are many at a time."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def pass_gate() -> dict[str, Any] | None:
    """Runs the gate's own program to its end."""
    if "CANARY" not in os.environ:
        return None
    say("the entry gate first")
    program = str(Path(__file__).with_name("entry_gate.py"))
    environment = {**os.environ, "TERMINATION_LOG": os.devnull}
    done = subprocess.run(
        [sys.executable, "-I", "-S", program], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        said: dict[str, Any] = json.loads(done.stdout)
        return said
    except ValueError:
        return {"gate": f"exit code {done.returncode}"}


def sentence(result: dict[str, Any], network: Network) -> str:
    """The verdict in a line, for people."""
    if result["verdict"] == PROVEN:
        kept = result["accepted"]
        but = f"; reached, and accepted by the site: {', '.join(kept)}" if kept else ""
        denied = sum(target["verdict"] == DENIED for target in result["targets"].values())
        return f"proven: reached the proxy and was denied {denied} targets{but}"
    if result["verdict"] == LEAKS:
        each = "; ".join(
            f"{name} ({_places(result['targets'][name]['leaks'])})" for name in result["leaks"]
        )
        return f"leaks: {each}. Likely cause: {result['cause']}"
    if result["proxy"] != "reached":
        return (
            "unknown: the proxy was not reached, so that the denials show nothing: "
            f"{network.no_proxy}"
        )
    whys = [f"{name} ({result['targets'][name].get('why', '')})" for name in result["unknown"]]
    return f"unknown: not shown: {'; '.join(whys)}"


def _places(leaks: list[dict[str, Any]]) -> str:
    shown = [f"{leak['address']} {leak['port'] or ''}".strip() for leak in leaks]
    phases = sorted({leak["phase"] for leak in leaks})
    places = list(dict.fromkeys(shown))[:3]
    return f"{', '.join(places)}{', …' if len(set(shown)) > 3 else ''}: {'+'.join(phases)}"


def settings() -> dict[str, Any]:
    text = pod.required("PROOF")
    try:
        parsed = json.loads(text if text.startswith("{") else Path(text).read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"PROOF: {error}") from None
    if not isinstance(parsed, dict):
        raise BadInput("PROOF is no JSON object")
    return parsed


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    more_files()
    try:
        found = settings()
        if os.environ.get("JOB_COMPLETION_INDEX", "0") != "0":
            be_there(found)
        gate = pass_gate()
        proof = Proof(found)
    except (BadInput, KeyError) as error:
        say(f"egress_probe: {error}")
        return Exit.BAD_INPUT
    result = proof.show()
    where = {
        name.lower(): os.environ.get(name, "")
        for name in ("NODE_NAME", "POD_NAMESPACE", "POD_IPS", "HOST_IPS")
    }
    line = {
        "proof": proof.run,
        "started": started,
        "seconds": round(proof.now(), 1),
        "where": {**where, "ipv6": probes.has_ipv6()},
        "gate": gate,
        **result,
    }
    print(json.dumps(line), flush=True)
    say(sentence(result, proof.network))
    with suppress(OSError):
        with open(os.environ.get("TERMINATION_LOG", "/dev/termination-log"), "r+") as message:
            message.write(sentence(result, proof.network)[:4000])
    return CODES[result["verdict"]]


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # A resolver that does not answer would hold its thread for longer than anybody waits.
    os._exit(code)
