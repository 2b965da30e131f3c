"""The end of a log, as far as Kubernetes keeps it with a container that has failed."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_LINES = 1200
"""Characters of last lines. With a reason they fit into the 2048 bytes of the log that Kubernetes
keeps of a container that has failed (`terminationMessagePolicy: FallbackToLogsOnError`)."""

LONGEST_LINE = 300


def fitting(lines: Sequence[str]) -> list[str]:
    """The last ones, as far as there is room."""
    found: list[str] = []
    left = LONGEST_LINES
    for line in reversed(lines):
        left -= min(len(line), LONGEST_LINE) + 1
        if left < 0:
            break
        found.insert(0, line[:LONGEST_LINE])
    return found
