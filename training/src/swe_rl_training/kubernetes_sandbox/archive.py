"""Files on their way: what of them goes over a connection, and how directories become archives."""

from __future__ import annotations

import asyncio
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, TypeVar

from .connection import CHUNK_BYTES

T = TypeVar("T")


@lru_cache
def _packers() -> ThreadPoolExecutor:
    """Threads for archives, which would else hold up what others run in asyncio's own."""
    return ThreadPoolExecutor(8, thread_name_prefix="kubernetes-archive")


async def in_thread(work: Callable[..., T], *args: Any) -> T:
    """Runs what reads or writes an archive."""
    return await asyncio.wrap_future(_packers().submit(work, *args))


def chunks(content: IO[bytes], size: int) -> Iterator[bytes]:
    """Exactly `size` bytes from the beginning: the other side counts on them."""
    content.seek(0)
    while size:
        chunk = content.read(min(CHUNK_BYTES, size))
        if not chunk:
            raise RuntimeError("a file became shorter while it was uploaded")
        size -= len(chunk)
        yield chunk


def pack(source: Path, archive: IO[bytes]) -> None:
    if not source.is_dir():
        raise FileNotFoundError(f"{source} is not a directory")

    def as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as content:
        content.add(source, arcname=".", filter=as_root)
