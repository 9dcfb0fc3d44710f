"""Inference rule of the memory plan search: the lowest offset at which a tensor that is alive at a time can begin."""

from __future__ import annotations

from collections.abc import Sequence

from network.arena.first_fit import Rectangle


def raised_floor(
    rectangles: Sequence[Rectangle], ranked: Sequence[tuple[int, int]], section: int, floor: int, slack: int
) -> int:
    """Return the lowest offset above the used memory of a time column at which an unplaced tensor can begin.

    A rectangle that does not stand on the floor stands on a rectangle that is placed later and that is not alive
    in this section.

    Args:
        rectangles: Live range and size of each tensor of the memory plan.
        ranked: Pairs of lowest offset and index of the unplaced rectangles, in ascending order.
        section: Index of the section.
        floor: Floor of the section.
        slack: Height that the rectangles of the section leave free above the floor.

    Returns:
        The raised floor; 0 if it would exceed the floor by more than the slack.
    """
    lowest = floor + slack + 1
    supports: list[tuple[int, int, int]] = []
    for offset, index in ranked:
        start, end, size = rectangles[index]
        if not start <= section < end:
            supports.append((start, end, offset + size))
        elif offset > floor:
            lowest = min(lowest, offset)
    for offset, index in ranked:
        start, end, _ = rectangles[index]
        if start <= section < end and offset == floor:
            for other_start, other_end, top in supports:
                if top < lowest and other_start < end and start < other_end:
                    lowest = top
    return lowest if lowest <= floor + slack else 0
