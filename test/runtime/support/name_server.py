"""A name server that knows one answer to every question."""

from __future__ import annotations

import socket
import sys

ADDRESS = socket.inet_aton("192.0.2.80")


def answer(query: bytes) -> bytes:
    end = query.index(b"\0", 12) + 5
    question = query[12:end]
    if question[-4:-2] == b"\0\1":
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + ADDRESS
        return query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question + record
    return query[:2] + b"\x81\x80\0\1\0\0\0\0\0\0" + question


def main() -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((sys.argv[1], 53))
    while True:
        query, sender = server.recvfrom(4096)
        server.sendto(answer(query), sender)


if __name__ == "__main__":
    main()
