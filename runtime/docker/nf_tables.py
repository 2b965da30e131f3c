"""Puts a table of packet filters into the kernel, as `nft -f` does. Standard library only.

The program nft is in none of the images that a stack uses. What is here of netfilter's netlink
protocol (linux/netfilter/nf_tables.h) is enough for rules that compare fields of IPv4 packets.
A batch is taken whole or not at all, so that a table is never there by halves.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

ACCEPT, DROP = 1, 0
LOCAL_IN, FORWARD = 1, 2
"""Hooks of a bridge: frames for the host itself, and between its ports."""

_BRIDGE = 7
_FILTER_PRIORITY = -200
_NETLINK_NETFILTER, _NF_TABLES = 12, 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = 0, 2, 3, 6
_REQUEST, _ACK, _CREATE, _APPEND = 1, 4, 0x400, 0x800
_ERROR = 2
_NESTED = 0x8000
_VERDICT_REGISTER, _REGISTER = 0, 1
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_PROTOCOL, _L4_PROTOCOL = 1, 16
_IPV4, _TCP = 0x0800, 6


@dataclass(frozen=True)
class Rule:
    """A verdict about IPv4 packets for which everything that is named is so."""

    verdict: int
    source: str | None = None
    """Address, or network as `172.30.244.0/22`."""
    destination: str | None = None
    tcp_from: int | None = None
    tcp_to: int | None = None


@dataclass(frozen=True)
class Chain:
    name: str
    hook: int
    rules: Sequence[Rule] = field(default_factory=tuple)


def install(table: str, chains: Sequence[Chain]) -> None:
    """Puts the table in the place of one of its name. Raises OSError."""
    named = _text(1, table)
    messages = [
        (_NEW_TABLE, _CREATE, named),  # Only what is there can be deleted.
        (_DELETE_TABLE, 0, named),
        (_NEW_TABLE, _CREATE, named),
    ]
    for chain in chains:
        hook = _number(1, chain.hook) + _number(2, _FILTER_PRIORITY)
        body = _text(1, table) + _text(3, chain.name) + _nest(4, hook)
        messages.append((_NEW_CHAIN, _CREATE, body + _number(5, ACCEPT) + _text(7, "filter")))
        for rule in chain.rules:
            where = _text(1, table) + _text(2, chain.name)
            messages.append((_NEW_RULE, _CREATE | _APPEND, where + _nest(4, _expressions(rule))))
    _send(messages)


def remove(table: str) -> None:
    """Raises OSError, also if there is none."""
    _send([(_DELETE_TABLE, 0, _text(1, table))])


def _send(messages: Sequence[tuple[int, int, bytes]]) -> None:
    batch = [_message(_BATCH_BEGIN, 0, b"", sequence=0, subsystem=_NF_TABLES)]
    for sequence, (kind, flags, body) in enumerate(messages, start=1):
        batch.append(_message(_NF_TABLES << 8 | kind, flags | _ACK, body, sequence=sequence))
    last = len(messages) + 1
    batch.append(_message(_BATCH_END, 0, b"", sequence=last, subsystem=_NF_TABLES))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as kernel:
        kernel.settimeout(5)
        kernel.bind((0, 0))
        kernel.send(b"".join(batch))
        waiting = set(range(1, last))
        while waiting:
            for sequence, error in _answers(kernel.recv(65536)):
                if error:
                    raise OSError(error, os.strerror(error))
                waiting.discard(sequence)


def _answers(received: bytes) -> list[tuple[int, int]]:
    """Numbers of messages, and the error of each; 0 is none."""
    found = []
    while len(received) >= 16:
        length, kind, _, sequence, _ = struct.unpack_from("=IHHII", received)
        if kind == _ERROR:
            found.append((sequence, -struct.unpack_from("=i", received, 16)[0]))
        received = received[_aligned(length) :]
    return found


def _message(kind: int, flags: int, body: bytes, *, sequence: int, subsystem: int = 0) -> bytes:
    family = 0 if subsystem else _BRIDGE
    content = struct.pack("!BBH", family, 0, subsystem) + body
    return struct.pack("=IHHII", 16 + len(content), kind, flags | _REQUEST, sequence, 0) + content


def _expressions(rule: Rule) -> bytes:
    parts = [_is_protocol(_PROTOCOL, struct.pack("!H", _IPV4))]
    for network, offset in ((rule.source, 12), (rule.destination, 16)):
        if network is not None:
            parts += _in_network(network, offset)
    if rule.tcp_from is not None or rule.tcp_to is not None:
        parts.append(_is_protocol(_L4_PROTOCOL, bytes([_TCP])))
    for port, offset in ((rule.tcp_from, 0), (rule.tcp_to, 2)):
        if port is not None:
            parts += [_load(_TRANSPORT_HEADER, offset, 2), _equals(struct.pack("!H", port))]
    verdict = _nest(2, _nest(2, _number(1, rule.verdict)))
    parts.append(_expression("immediate", _number(1, _VERDICT_REGISTER) + verdict))
    return b"".join(parts)


def _in_network(network: str, offset: int) -> list[bytes]:
    parsed = ipaddress.IPv4Network(network)
    mask = _nest(4, _value(parsed.netmask.packed)) + _nest(5, _value(bytes(4)))
    registers = _number(1, _REGISTER) + _number(2, _REGISTER) + _number(3, 4)
    return [
        _load(_NETWORK_HEADER, offset, 4),
        _expression("bitwise", registers + mask),
        _equals(parsed.network_address.packed),
    ]


def _is_protocol(which: int, value: bytes) -> bytes:
    return _expression("meta", _number(1, _REGISTER) + _number(2, which)) + _equals(value)


def _load(header: int, offset: int, length: int) -> bytes:
    numbers = (_REGISTER, header, offset, length)
    body = b"".join(_number(at, number) for at, number in enumerate(numbers, start=1))
    return _expression("payload", body)


def _equals(value: bytes) -> bytes:
    return _expression("cmp", _number(1, _REGISTER) + _number(2, 0) + _nest(3, _value(value)))


def _expression(name: str, body: bytes) -> bytes:
    return _nest(1, _text(1, name) + _nest(2, body))


def _attribute(kind: int, content: bytes) -> bytes:
    padded = content.ljust(_aligned(len(content)), b"\0")
    return struct.pack("=HH", 4 + len(content), kind) + padded


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _number(kind: int, number: int) -> bytes:
    return _attribute(kind, struct.pack("!I", number & 0xFFFFFFFF))


def _value(content: bytes) -> bytes:
    return _attribute(1, content)


def _nest(kind: int, content: bytes) -> bytes:
    return _attribute(kind | _NESTED, content)
