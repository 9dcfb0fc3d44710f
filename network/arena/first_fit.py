"""First-fit heuristics for the memory plan of the arena: greedy placement of tensors in a given order.

First fit gives each rectangle the lowest offset at which it overlaps none of the rectangles placed before it:

    first_fit(order):
        for each rectangle in the order:
            taken  = the [bottom, top) intervals of the placed rectangles whose live ranges overlap the rectangle's
            offset = the bottom of the lowest gap between the taken intervals that is high enough

Some order of an optimal plan gives an optimal plan by first fit, so that searching orders is a search of plans.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final, NamedTuple

MAX_SWAPS: Final = 300
"""Number of orders that `hill_climb` tries."""

MAX_REORDERED: Final = 3000
"""Largest number of rectangles for which orders other than the order of the start columns are tried.

First fit in such an order examines all pairs of rectangles with overlapping live ranges: a quadratic number.
"""


class Rectangle(NamedTuple):
    """Live range and size of one tensor, as a rectangle in the plane of time and memory.

    Attributes:
        start: First column of time in which the tensor is alive, 0 or more.
        end: First column of time, after `start`, in which the tensor is no longer alive (half-open range).
        size: Height of the rectangle, 1 or more, in any unit that all rectangles share.
    """

    start: int
    end: int
    size: int


def neighbours_of(rectangles: Sequence[Rectangle]) -> list[list[int]]:
    """Return, for each tensor of a memory plan, the indices of the tensors whose live ranges overlap its own.

    These are the adjacency lists of the interference graph: rectangles that are neighbours must not share memory.
    """
    neighbours: list[list[int]] = [[] for _ in rectangles]
    alive: list[int] = []
    for index in sorted(range(len(rectangles)), key=lambda index: rectangles[index].start):
        start = rectangles[index].start
        alive = [other for other in alive if rectangles[other].end > start]
        for other in alive:
            neighbours[other].append(index)
        neighbours[index] += alive
        alive.append(index)
    return neighbours


def lowest_gap(size: int, taken: list[tuple[int, int]]) -> int:
    """Return the lowest memory offset at which an interval of a given size overlaps none of the occupied intervals.

    Args:
        size: Height of the interval to place, 1 or more.
        taken: Intervals [bottom, top) that are occupied; they may overlap each other and come in any order.
    """
    offset = 0
    for low, high in sorted(taken):
        if offset + size <= low:
            break
        offset = max(offset, high)
    return offset


def first_fit(rectangles: Sequence[Rectangle], neighbours: Sequence[Sequence[int]], order: Sequence[int]) -> list[int]:
    """Place tensors in the arena in a given order, each in the lowest gap that the tensors before it leave.

    Args:
        rectangles: The rectangles to place.
        neighbours: For each rectangle, the indices of the rectangles with overlapping live ranges.
        order: Indices of all rectangles, in the order of placement.

    Returns:
        The offset of each rectangle, in the order of `rectangles`.
    """
    offsets = [-1] * len(rectangles)
    for index in order:
        taken = [
            (offsets[other], offsets[other] + rectangles[other].size)
            for other in neighbours[index]
            if offsets[other] >= 0
        ]
        offsets[index] = lowest_gap(rectangles[index].size, taken)
    return offsets


def fit_by_start(rectangles: Sequence[Rectangle], height: int, *, two_ends: bool) -> list[int]:
    """Place tensors in the arena in the order of their first steps, by first fit or alternately at both ends.

    With two ends, successive tensors are placed alternately at the bottom and at the top, where that place is free;
    otherwise the lowest gap is used. Two successive tensors of a chain then never overlap if both fit in the arena.
    A rectangle that is alive in one column only (scratch memory) is placed last in its column, in the lowest gap, and
    does not count in the alternation.

    Args:
        rectangles: The rectangles to place.
        height: Height of the arena, to whose top every second tensor is aligned.
        two_ends: Whether both ends are used alternately; otherwise every rectangle is placed in the lowest gap.

    Returns:
        The offset of each rectangle, in the order of `rectangles`. The plan may be higher than `height`.
    """
    offsets = [0] * len(rectangles)
    placed: list[int] = []
    at_top = False

    def rank(index: int) -> tuple[int, bool, int]:
        start, end, size = rectangles[index]
        return (start, two_ends and end - start == 1, -size)

    for index in sorted(range(len(rectangles)), key=rank):
        start, end, size = rectangles[index]
        placed = [other for other in placed if rectangles[other].end > start]
        alternates = two_ends and end - start > 1
        offset = height - size if at_top else 0
        taken = [(offsets[other], offsets[other] + rectangles[other].size) for other in placed]
        if not alternates or any(offset < high and low < offset + size for low, high in taken):
            offset = lowest_gap(size, taken)
        offsets[index] = offset
        placed.append(index)
        at_top = at_top is not alternates
    return offsets


def placement_orders(rectangles: Sequence[Rectangle], neighbours: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Generate orders for placing tensors in the arena: by descending size (twice), length, area, neighbour size.

    Args:
        rectangles: The rectangles to order.
        neighbours: For each rectangle, the indices of the rectangles with overlapping live ranges.

    Yields:
        The indices of all rectangles, in one order of placement.
    """
    neighbour_sizes = [sum(rectangles[other].size for other in each) for each in neighbours]
    lengths = [each.end - each.start for each in rectangles]
    sizes = [each.size for each in rectangles]
    indices = range(len(rectangles))
    yield sorted(indices, key=lambda index: (-sizes[index], rectangles[index].start))
    yield sorted(indices, key=lambda index: (-sizes[index], -lengths[index]))
    yield sorted(indices, key=lambda index: (-lengths[index], -sizes[index]))
    yield sorted(indices, key=lambda index: (-lengths[index] * sizes[index], index))
    yield sorted(indices, key=lambda index: (-neighbour_sizes[index] - sizes[index], -sizes[index]))


def hill_climb(
    rectangles: Sequence[Rectangle], neighbours: Sequence[Sequence[int]], order: list[int], goal: int
) -> list[int]:
    """Improve the order in which first fit places tensors by hill climbing over swaps, and return the best offsets.

    repeat up to MAX_SWAPS times, until the plan is at most `goal` high:
        highest = the rectangle with the highest top
        other   = a random neighbour of it that is placed earlier
        swap both in the order; keep the swap unless first fit gives a higher plan

    The random numbers are the same in each call, so that the result is deterministic.

    Args:
        rectangles: The rectangles to place.
        neighbours: For each rectangle, the indices of the rectangles with overlapping live ranges.
        order: Indices of all rectangles, in the order of placement from which the climb starts.
        goal: Height at which the climb ends.

    Returns:
        The offset of each rectangle, in the order of `rectangles`.
    """
    drawn = Random(0)  # noqa: S311 - the choice of the next swap needs no cryptographic randomness
    best = first_fit(rectangles, neighbours, order)
    height = height_of(rectangles, best)
    for _ in range(MAX_SWAPS):
        if height <= goal:
            break
        place = {index: position for position, index in enumerate(order)}
        highest = max(order, key=lambda index: best[index] + rectangles[index].size)
        earlier = [other for other in neighbours[highest] if place[other] < place[highest]]
        if not earlier:
            break
        other = earlier[int(drawn.random() * len(earlier))]
        swapped = list(order)
        swapped[place[highest]], swapped[place[other]] = other, highest
        offsets = first_fit(rectangles, neighbours, swapped)
        swapped_height = height_of(rectangles, offsets)
        if swapped_height <= height:
            best, height, order = offsets, swapped_height, swapped
    return best


def height_of(rectangles: Sequence[Rectangle], offsets: Sequence[int]) -> int:
    """Return the size of the arena that a memory plan needs: the highest offset + size of all tensors, 0 for none."""
    return max((offset + each.size for offset, each in zip(offsets, rectangles, strict=True)), default=0)
