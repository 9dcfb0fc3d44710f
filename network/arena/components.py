"""Decomposition of an arena's memory plan into independent time spans, and a lower bound on the size of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from network.arena.first_fit import Rectangle


def peak_live_size(rectangles: Iterable[Rectangle]) -> int:
    """Return the largest sum of tensor sizes that are alive at the same time: no memory plan can be smaller."""
    changes: dict[int, int] = {}
    for start, end, size in rectangles:
        changes[start] = changes.get(start, 0) + size
        changes[end] = changes.get(end, 0) - size
    alive = peak = 0
    for step in sorted(changes):
        alive += changes[step]
        peak = max(peak, alive)
    return peak


def compress_time(rectangles: Sequence[Rectangle]) -> list[Rectangle]:
    """Return live ranges over fewer time columns, in which the same pairs of tensors overlap as before.

    A new column begins only where a rectangle ends after another one has started in the current column.
    """
    starting: dict[int, list[int]] = {}
    ending: dict[int, list[int]] = {}
    for index, (start, end, _) in enumerate(rectangles):
        starting.setdefault(start, []).append(index)
        ending.setdefault(end, []).append(index)
    starts, ends = [0] * len(rectangles), [0] * len(rectangles)
    column = 0
    has_grown = False
    for step in sorted({*starting, *ending}):
        if step in ending:
            column += has_grown
            has_grown = False
        for index in ending.get(step, ()):
            ends[index] = column
        for index in starting.get(step, ()):
            starts[index] = column
            has_grown = True
    return [Rectangle(start, end, each.size) for start, end, each in zip(starts, ends, rectangles, strict=True)]


def components_in_time(rectangles: Sequence[Rectangle]) -> list[dict[int, Rectangle]]:
    """Split the tensors of a memory plan into independent groups, at points of time that no live range crosses.

    Returns:
        The components, each as rectangles by their index with time counted from 0. The component with the largest
        lower bound comes first.
    """
    components: list[dict[int, Rectangle]] = []
    first = end = -1
    for index in sorted(range(len(rectangles)), key=lambda index: rectangles[index].start):
        each = rectangles[index]
        if each.start >= end:
            components.append({})
            first = each.start
        components[-1][index] = Rectangle(each.start - first, each.end - first, each.size)
        end = max(end, each.end)
    return sorted(components, key=lambda component: -peak_live_size(component.values()))
