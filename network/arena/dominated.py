"""Rectangles that an arena's search can do without: wherever the others lie, there is a gap for them.

k neighbours leave at most k + 1 gaps in the arena's height. If none of them held a rectangle, each would be smaller
than it: where the height that the neighbours leave is more than that, one does. Neighbours that are left out themselves
come later and do not count.
"""

from __future__ import annotations

from collections.abc import Sequence

from network.arena.first_fit import Rectangle, lowest_gap


def kept_and_left_out(
    rectangles: Sequence[Rectangle], neighbours: Sequence[Sequence[int]], height: int
) -> tuple[list[int], list[int]]:
    """Indices of what must be searched for, and of what is left out, each of which finds a gap beside later ones."""
    many = [len(each) for each in neighbours]
    total = [sum(rectangles[other].size for other in each) for each in neighbours]
    left_out: list[int] = []
    is_out = [False] * len(rectangles)
    waiting = list(range(len(rectangles)))
    while waiting:
        index = waiting.pop()
        size = rectangles[index].size
        if is_out[index] or height <= total[index] + (many[index] + 1) * (size - 1):
            continue
        is_out[index] = True
        left_out.append(index)
        for other in neighbours[index]:
            many[other] -= 1
            total[other] -= size
            if not is_out[other]:
                waiting.append(other)
    return [index for index, out in enumerate(is_out) if not out], left_out


def put_back(
    rectangles: Sequence[Rectangle], neighbours: Sequence[Sequence[int]], left_out: Sequence[int], offsets: list[int]
) -> None:
    """Give what was left out, the last first, the lowest gap that is there; `offsets` has all others."""
    waiting = set(left_out)
    for index in reversed(left_out):
        taken = [
            (offsets[other], offsets[other] + rectangles[other].size)
            for other in neighbours[index]
            if other not in waiting
        ]
        offsets[index] = lowest_gap(rectangles[index].size, taken)
        waiting.remove(index)
