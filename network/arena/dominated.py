"""Tensors that find a gap in every memory plan of the remaining tensors, so that the search can leave them out.

A rectangle of size s with k neighbours (rectangles with overlapping live ranges) of total size t: the neighbours leave
h - t units of an arena of height h free, in at most k + 1 gaps. If no gap held the rectangle, each gap would be at most
s - 1 high. So a gap is high enough, wherever the neighbours are placed, if

    h - t > (k + 1) * (s - 1)

Such a rectangle is dominated. It is removed before the search and placed after it. Neighbours that have been removed
before are placed later and do not count in k and t, so that removing one rectangle may make others dominated.
"""

from __future__ import annotations

from collections.abc import Sequence

from network.arena.first_fit import Rectangle, lowest_gap


def remove_dominated(
    rectangles: Sequence[Rectangle], neighbours: Sequence[Sequence[int]], height: int
) -> tuple[list[int], list[int]]:
    """Split tensors into those that a memory plan search must place, and those that always fit into a gap afterwards.

    Args:
        rectangles: Live range and size of each tensor of the memory plan.
        neighbours: For each rectangle, the indices of the rectangles with overlapping live ranges.
        height: Height of the arena, in the unit of the sizes.

    Returns:
        The indices of the rectangles to search for, in ascending order, and the indices of the dominated rectangles in
        the order of their removal.
    """
    neighbour_counts = [len(each) for each in neighbours]
    neighbour_sizes = [sum(rectangles[other].size for other in each) for each in neighbours]
    dominated: list[int] = []
    is_dominated = [False] * len(rectangles)
    waiting = list(range(len(rectangles)))
    while waiting:
        index = waiting.pop()
        size = rectangles[index].size
        if is_dominated[index] or height <= neighbour_sizes[index] + (neighbour_counts[index] + 1) * (size - 1):
            continue
        is_dominated[index] = True
        dominated.append(index)
        for other in neighbours[index]:
            neighbour_counts[other] -= 1
            neighbour_sizes[other] -= size
            if not is_dominated[other]:
                waiting.append(other)
    return [index for index, is_removed in enumerate(is_dominated) if not is_removed], dominated


def place_dominated(
    rectangles: Sequence[Rectangle], neighbours: Sequence[Sequence[int]], dominated: Sequence[int], offsets: list[int]
) -> None:
    """Place tensors that a memory plan search left out into the lowest gaps, in reverse order of their removal.

    Args:
        rectangles: Live range and size of each tensor of the memory plan.
        neighbours: For each rectangle, the indices of the rectangles with overlapping live ranges.
        dominated: Indices of the dominated rectangles, in the order of their removal.
        offsets: Offset of each rectangle. Those of the dominated rectangles are written, all others are read.
    """
    waiting = set(dominated)
    for index in reversed(dominated):
        taken = [
            (offsets[other], offsets[other] + rectangles[other].size)
            for other in neighbours[index]
            if other not in waiting
        ]
        offsets[index] = lowest_gap(rectangles[index].size, taken)
        waiting.remove(index)
