"""What a sandbox's call goes through: LiteLLM, the recorder, and stand-ins for rollout servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .backend import Backend
from .proxy import Proxy, write_configuration
from .recorder import Recorder


@dataclass
class Chain:
    proxy: Proxy
    recorder: Recorder
    backends: list[Backend]
    ends: list[ExitStack]
    """What ends each backend."""

    def calls(self) -> list[int]:
        return [len(backend.calls) for backend in self.backends]

    def end_backend(self, index: int) -> None:
        self.ends[index].close()

    def start_backend(self, index: int) -> None:
        self.ends[index].enter_context(self.backends[index].running())


@contextmanager
def chain(
    directory: Path, backends: list[Backend] | None = None, *, host: str = "127.0.0.1"
) -> Iterator[Chain]:
    """All of it, running; with the Plan's two servers. `host`: where LiteLLM listens."""
    backends = backends or [Backend(f"server {index}") for index in range(2)]
    with ExitStack() as stack:
        ends = [stack.enter_context(ExitStack()) for _ in backends]
        for backend, end in zip(backends, ends, strict=True):
            end.enter_context(backend.running())
        recorder = Recorder(directory / "recorder", backends)
        stack.callback(lambda: recorder.process.kill())
        recorder.wait()
        configuration = write_configuration(directory / "proxy", recorder.url)
        proxy = Proxy(configuration, directory / "proxy.log", host=host)
        stack.callback(proxy.process.kill)
        proxy.wait()
        yield Chain(proxy, recorder, backends, ends)
