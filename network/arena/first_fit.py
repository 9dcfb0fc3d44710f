"""First fit in an order: each rectangle in the lowest gap that those before it leave. Which orders are tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final, NamedTuple

MAX_SWAPS: Final = 300
"""How many orders the climb tries."""

MAX_REORDERED: Final = 3000
"""First fit in any other order than that of the steps looks at all pairs that are alive together."""


class Rectangle(NamedTuple):
    """Alive in the columns of time from `start` to before `end`; as high as its size."""

    start: int
    end: int
    size: int


def neighbours_of(rectangles: Sequence[Rectangle]) -> list[list[int]]:
    """The indices of those that are alive with each."""
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
    """The lowest offset at which a size lies beside what is taken, (bottom, top)."""
    offset = 0
    for low, high in sorted(taken):
        if offset + size <= low:
            break
        offset = max(offset, high)
    return offset


def first_fit(rectangles: Sequence[Rectangle], neighbours: Sequence[Sequence[int]], order: Sequence[int]) -> list[int]:
    """Offsets by rectangle."""
    offsets = [-1] * len(rectangles)
    for index in order:
        taken = [
            (offsets[other], offsets[other] + rectangles[other].size)
            for other in neighbours[index]
            if offsets[other] >= 0
        ]
        offsets[index] = lowest_gap(rectangles[index].size, taken)
    return offsets


def in_step_order(rectangles: Sequence[Rectangle], height: int, *, two_ends: bool) -> list[int]:
    """In the order of their starts, each in the lowest gap, or at the bottom and at the top in turn where that is free.

    With two ends, a chain's next tensor never meets the one before it while the two fit. What lives for one step only,
    as scratch does, takes no turn: it comes last in its step, and lies between the ends.
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
        takes_a_turn = two_ends and end - start > 1
        offset = height - size if at_top else 0
        taken = [(offsets[other], offsets[other] + rectangles[other].size) for other in placed]
        if not takes_a_turn or any(offset < high and low < offset + size for low, high in taken):
            offset = lowest_gap(size, taken)
        offsets[index] = offset
        placed.append(index)
        at_top = at_top is not takes_a_turn
    return offsets


def orders(rectangles: Sequence[Rectangle], neighbours: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """By size, by length, by area, by all that is alive beside; the largest first."""
    beside = [sum(rectangles[other].size for other in each) for each in neighbours]
    lengths = [each.end - each.start for each in rectangles]
    sizes = [each.size for each in rectangles]
    indices = range(len(rectangles))
    yield sorted(indices, key=lambda index: (-sizes[index], rectangles[index].start))
    yield sorted(indices, key=lambda index: (-sizes[index], -lengths[index]))
    yield sorted(indices, key=lambda index: (-lengths[index], -sizes[index]))
    yield sorted(indices, key=lambda index: (-lengths[index] * sizes[index], index))
    yield sorted(indices, key=lambda index: (-beside[index] - sizes[index], -sizes[index]))


def climbed(
    rectangles: Sequence[Rectangle], neighbours: Sequence[Sequence[int]], order: list[int], goal: int
) -> list[int]:
    """The best offsets by first fit, after that many swaps in an order: what lies highest comes before a neighbour.

    The numbers drawn are the same in each call.
    """
    drawn = Random(0)  # noqa: S311 - which swap is tried next is no secret
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
    """The highest top."""
    return max((offset + each.size for offset, each in zip(offsets, rectangles, strict=True)), default=0)
