"""Closed intervals of numbers."""


def merge(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same numbers in as few intervals as can be, in order."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged
