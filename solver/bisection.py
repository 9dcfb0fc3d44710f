"""Search for the smallest point of a Pareto front that satisfies a condition, with as few judgements as possible.

The points are numbered from 0, in ascending order of bytes. The search assumes that a point with more bytes satisfies
the condition if one with fewer bytes does. It does not rely on this assumption:

    1. Judge the largest point. If the point fails, the search ends without a result.
    2. Judge the middle between the smallest point that passes and the largest failing point below it, until both are
       neighbours.
    3. Judge the next smaller neighbours, until `NEIGHBOURS` points in a row below the result fail. If one of them
       passes, continue with step 2.

No point is judged twice. The state of the search is the table of judgements, so that an interrupted search continues.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

_SUPPOSITIONS: Final = 8
"""Number of supposed outcomes that are looked at for each point of `may_be_judged`."""
NEIGHBOURS: Final = 2
"""Number of points directly below the result that must fail, if there are so many."""


def next_to_judge(count: int, judged: Mapping[int, bool]) -> int | None:
    """Return the number of the point that is judged next.

    Args:
        count: Number of points, 1 or more.
        judged: Number of each judged point -> whether it satisfies the condition.

    Returns:
        A number from 0 to `count` - 1 that is not judged; None if the search has ended.
    """
    largest = count - 1
    if largest not in judged:
        return largest
    best = least_passing(judged)
    if best is None:
        return None
    below = max((number for number in judged if number < best), default=-1)
    if best - below > 1:
        return (below + best) // 2
    neighbours = range(best - 1, max(best - NEIGHBOURS, 0) - 1, -1)
    return next((number for number in neighbours if number not in judged), None)


def may_be_judged(count: int, judged: Mapping[int, bool], most: int) -> list[int]:
    """Return the numbers of the points that may be judged next, whatever comes out, the earliest first.

    Where several points can be judged at the same time, the search then has the judgements that it asks for.

    Args:
        count: Number of points, 1 or more.
        judged: Number of each judged point -> whether it satisfies the condition.
        most: Largest number of points that are returned, 1 or more.
    """
    found: dict[int, None] = {}
    supposed = deque([dict(judged)])
    for _ in range(_SUPPOSITIONS * most):
        if not supposed or len(found) == most:
            break
        now = supposed.popleft()
        if (number := next_to_judge(count, now)) is not None:
            found[number] = None
            supposed += [now | {number: True}, now | {number: False}]
    return list(found)


def least_passing(judged: Mapping[int, bool]) -> int | None:
    """Return the number of the smallest judged point that satisfies the condition; None if no judged point does.

    Args:
        judged: Number of each judged point -> whether it satisfies the condition.
    """
    return min((number for number, passes in judged.items() if passes), default=None)


def failing_above(judged: Mapping[int, bool]) -> tuple[int, ...]:
    """Return the numbers of the judged points that fail although a smaller judged point passes, in ascending order.

    They show that the condition is not monotonic in the number of bytes.

    Args:
        judged: Number of each judged point -> whether it satisfies the condition.
    """
    best = least_passing(judged)
    return () if best is None else tuple(sorted(number for number in judged if number > best and not judged[number]))


def expected_judgements(count: int, judged: Mapping[int, bool]) -> int:
    """Return about how many points are still to be judged.

    The number is exact if exactly the points above the middle of the numbers that are still possible pass.

    Args:
        count: Number of points, 1 or more.
        judged: Number of each judged point -> whether it satisfies the condition.
    """
    best = least_passing(judged)
    highest = count - 1 if best is None else best
    lowest = max((number for number in judged if number < highest), default=-1)
    middle = (lowest + highest) // 2
    supposed = dict(judged)
    while (number := next_to_judge(count, supposed)) is not None:
        supposed[number] = number == count - 1 or number > middle
    return len(supposed) - len(judged)
