"""The arena: one RAM buffer that all activation tensors share, each at a fixed offset while it is alive.

    offset
      |      .------.           Tensors are rectangles: alive from the step that writes them to the last that reads
      |  .---|  c   |---.       them (half-open), as high as their bytes. The plan moves them up and down until none
      |  | a '------'  |       overlap; the arena is as high as the highest top.
      |  |---'  .-------'
      |  '------|   b   |       Lower bound: the most bytes that are alive in one step. Most networks reach it.
      +---------'-------'--- step

The planner tries the two ends of the arena in turn (which reaches the bound on any chain, scratch between the ends
included), and where that stays above the bound:

1. Steps in which nothing starts before something ends are one; parts of time that no tensor spans are planned alone.
2. First fit in several orders (`arena_first_fit.py`).
3. The exact search (`arena_search.py`) at the bound, then a climb from order to order, then the search at heights
   between bound and plan: a plan that is found lowers one, a search that ends with nothing raises the other.

The search counts nodes instead of seconds: the same input gives the same plan on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Final

from network.arena.first_fit import (
    MAX_REORDERED,
    Rectangle,
    climbed,
    first_fit,
    height_of,
    in_step_order,
    neighbours_of,
    orders,
)
from network.arena.search import Search

MAX_NODES: Final = 20_000


@dataclass(frozen=True, slots=True)
class LiveTensor:
    """A tensor that needs a place.

    Attributes:
        name: its name.
        start: the first step during which it is alive.
        end: the first step during which it is not.
        size_bytes: what it takes, 1 or more.
    """

    name: str
    start: int
    end: int
    size_bytes: int

    def overlaps(self, other: LiveTensor) -> bool:
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class ArenaPlan:
    """Where every tensor lies.

    Attributes:
        offsets: bytes from the arena's start, by tensor.
        arena_bytes: the highest top.
        lower_bound_bytes: no plan is smaller.
    """

    offsets: dict[str, int]
    arena_bytes: int
    lower_bound_bytes: int

    @property
    def is_optimal(self) -> bool:
        return self.arena_bytes == self.lower_bound_bytes


def scratch_name(layer: str) -> str:
    """What the arena calls a layer's scratch."""
    return f"scratch of {layer}"


def plan_arena(
    tensors: Sequence[LiveTensor], *, alignment_bytes: int = 1, max_nodes: int = MAX_NODES, enough_bytes: int = 0
) -> ArenaPlan:
    """The smallest arena found, and the bound that says how small it could be.

    Args:
        tensors: with distinct names.
        alignment_bytes: every offset is a multiple of this; sizes are rounded up to it.
        max_nodes: what the search may cost in all: a placement costs 1, and 1 more for every 50 tensors still to come.
        enough_bytes: a plan of at most this size ends the search for a smaller one, and so does a bound above it.
    """
    rectangles = [Rectangle(each.start, each.end, -(-each.size_bytes // alignment_bytes)) for each in tensors]
    bound = _most_alive(rectangles)
    goal = max(bound, enough_bytes // alignment_bytes)
    offsets = in_step_order(rectangles, bound, two_ends=True)
    height = height_of(rectangles, offsets)
    if height > goal:
        height = 0
        nodes_left = max_nodes
        enough = enough_bytes // alignment_bytes if enough_bytes > 0 else None
        for part in _parts(_columns(rectangles)):
            if enough is not None and bound > enough:
                nodes_left = 0
            planned = _planned([part[index] for index in part], max(goal, height), enough, nodes_left)
            nodes_left = planned.nodes_left
            bound = max(bound, planned.bound)
            height = max(height, planned.height)
            for index, offset in zip(part, planned.offsets, strict=True):
                offsets[index] = offset
    placed = {each.name: offset * alignment_bytes for each, offset in zip(tensors, offsets, strict=True)}
    return ArenaPlan(placed, height * alignment_bytes, bound * alignment_bytes)


def _most_alive(rectangles: Iterable[Rectangle]) -> int:
    changes: dict[int, int] = {}
    for start, end, size in rectangles:
        changes[start] = changes.get(start, 0) + size
        changes[end] = changes.get(end, 0) - size
    alive = most = 0
    for step in sorted(changes):
        alive += changes[step]
        most = max(most, alive)
    return most


def _columns(rectangles: Sequence[Rectangle]) -> list[Rectangle]:
    """The same with fewer steps: of steps in a row, those count at which nothing more comes before something ends."""
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


def _parts(rectangles: Sequence[Rectangle]) -> list[dict[int, Rectangle]]:
    """Rectangles by index, parted where none spans; the part with the most alive at once comes first."""
    parts: list[dict[int, Rectangle]] = []
    first = end = -1
    for index in sorted(range(len(rectangles)), key=lambda index: rectangles[index].start):
        each = rectangles[index]
        if each.start >= end:
            parts.append({})
            first = each.start
        parts[-1][index] = Rectangle(each.start - first, each.end - first, each.size)
        end = max(end, each.end)
    return sorted(parts, key=lambda part: -_most_alive(part.values()))


@dataclass(frozen=True, slots=True)
class _Planned:
    offsets: list[int]
    height: int
    bound: int
    nodes_left: int


def _planned(rectangles: Sequence[Rectangle], goal: int, enough: int | None, nodes_left: int) -> _Planned:
    """One part's plan, in units of what divides all sizes.

    At most `goal` is small enough; a bound above `enough` says enough.
    """
    unit = gcd(*(each.size for each in rectangles))
    whole_units = [each._replace(size=each.size // unit) for each in rectangles]
    part = _Part(whole_units, goal // unit, None if enough is None else enough // unit, nodes_left)
    part.plan()
    return _Planned([offset * unit for offset in part.offsets], part.height * unit, part.bound * unit, part.nodes_left)


class _Part:
    """Tensors that time joins, the best plan of them so far, and the bound."""

    def __init__(self, rectangles: Sequence[Rectangle], goal: int, enough: int | None, nodes_left: int) -> None:
        self._rectangles = rectangles
        self._enough = enough
        self.nodes_left = nodes_left
        self.bound = _most_alive(rectangles)
        self._goal = max(self.bound, goal)
        self.offsets = in_step_order(rectangles, self.bound, two_ends=True)
        self.height = height_of(rectangles, self.offsets)
        self._neighbours: list[list[int]] = []

    def plan(self) -> None:
        """Look for a plan of at most the goal."""
        if self._keep(in_step_order(self._rectangles, self.bound, two_ends=False)):
            return
        if len(self._rectangles) > MAX_REORDERED:
            return
        self._neighbours = neighbours_of(self._rectangles)
        best_order = list(range(len(self._rectangles)))
        for order in orders(self._rectangles, self._neighbours):
            before = self.height
            if self._keep(first_fit(self._rectangles, self._neighbours, order)):
                return
            if self.height < before:
                best_order = order
        if not self.nodes_left or self._search(self._goal, -(-self.nodes_left // 4)):
            return
        if self._keep(climbed(self._rectangles, self._neighbours, best_order, self._goal)):
            return
        least = max(self._goal, self.bound)
        while least < self.height and self.nodes_left > 0:
            height = (least + self.height - 1) // 2
            nodes = -(-self.nodes_left // 2)
            if self._enough is not None:  # what is smaller, but not small enough, is of no use
                height, nodes = self._goal, self.nodes_left
            if self._search(height, nodes):
                return
            if height < self.height:
                least = height + 1

    @property
    def _is_done(self) -> bool:
        return self.height <= max(self._goal, self.bound) or (self._enough is not None and self.bound > self._enough)

    def _keep(self, offsets: list[int]) -> bool:
        """Take a plan if it is the best; whether no better one is looked for."""
        height = height_of(self._rectangles, offsets)
        if height < self.height:
            self.offsets, self.height = offsets, height
        return self._is_done

    def _search(self, height: int, nodes: int) -> bool:
        """Search for a plan of at most this height; whether no better one is looked for."""
        search = Search(self._rectangles, self._neighbours, height, nodes)
        found = search.run()
        self.nodes_left -= nodes - search.nodes_left
        if found is not None:
            return self._keep(found)
        if search.is_complete:
            self.bound = max(self.bound, height + 1)
        return self._is_done
