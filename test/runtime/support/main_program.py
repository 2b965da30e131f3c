"""What a sandbox might do in its first moments: out by every way that it knows, then to work."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress


def target(name: str) -> tuple[str, int]:
    host, _, port = os.environ[name].rpartition(":")
    return host, int(port)


def main() -> None:
    host, port = target("CANARY")
    note = f"swe-rl-proof {os.environ['RUN']} main".encode()
    answered = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(20):
            with suppress(OSError):
                sender.sendto(note, (host, port))
    with suppress(OSError), socket.create_connection((host, port), 1.5):
        answered.append("TCP")
    served = False
    with suppress(OSError), socket.create_connection(target("PROXY"), 5) as connection:
        connection.settimeout(5)
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        served = connection.recv(5) == b"HTTP/"
    print(json.dumps({"answered": answered, "served": served}))


if __name__ == "__main__":
    main()
