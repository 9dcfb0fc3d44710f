"""The exact search for an arena: a plan of at most a given height, or none.

Sections are the columns of time; each has a floor, and what is not placed yet lies on or above the floors. Every plan
can be pushed down until each rectangle lies on a floor or on another rectangle, so these plans alone are looked for:

    choose a section whose lowest rectangle-to-come would lie on level floor, and decide what lies there:
      - one of the rectangles that have level floor under them: it is placed, its top is the new floor; or
      - nothing: the floor of that one section rises to the lowest height at which anything could still lie.

What makes it end early:

    inference    a section's floor is raised to where the lowest of its rectangles can lie at all
    bound        in each section the rectangles, each from where it can lie on, are stacked: the stack must stay below
    order        the section with the fewest choices is decided first; one choice is no branch
    parts        once what is to come falls apart in time, each part is searched alone
    memory       a part that failed on some floors fails on higher ones
    symmetry     of rectangles alike, the first comes first
    restarts     with other preferences and more nodes each time; what failed is remembered, and sections in which
                 something failed are decided first
    leaving out  a rectangle that finds a gap wherever its neighbours lie is placed at the end (`dominated.py`)

Floors and section inference are those of minimalloc (M. D. Moffitt, "MiniMalloc", 2023), which orders by offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from random import Random
from typing import Final, NamedTuple

from network.arena.dominated import kept_and_left_out, put_back
from network.arena.first_fit import Rectangle

MAX_SEARCHED: Final = 300
"""The search recurses as deep as there are rectangles to place."""

FIRST_NODES: Final = 4  # of the first run, per rectangle; each further run has half as many again
TENSORS_A_NODE: Final = 50  # a placement costs a node, and one more for so many to come: its time grows with them
MAX_REMEMBERED: Final = 12  # floors on which one set of rectangles failed


class _Choice(NamedTuple):
    """What may lie on a section's floor, and where the floor is raised to for nothing to (0: something must)."""

    section: int
    candidates: list[int]
    raised: int


def _measure(rectangle: Rectangle, run: int) -> int:
    """What is preferred to be large: the area, the size and the length in turn."""
    length = rectangle.end - rectangle.start
    return (length * rectangle.size, rectangle.size, length)[run % 3]


class _OutOfNodes(Exception):
    """The search has tried as many placements as it may."""


class Search:
    """The search for one height.

    Args:
        rectangles: sizes in any unit; the columns of time are whole numbers from 0.
        neighbours: those alive with each, by index.
        height: in the same unit.
        nodes: what all placements tried may cost.

    Attributes:
        nodes_left: of them.
        is_complete: after `run`: it ended by itself, so that nothing found means that there is nothing.
    """

    def __init__(
        self, rectangles: Sequence[Rectangle], neighbours: Sequence[Sequence[int]], height: int, nodes: int
    ) -> None:
        self._rectangles = rectangles
        self._neighbours = neighbours
        self._height = height
        self.nodes_left = nodes
        self.is_complete = False
        self._sizes = [each.size for each in rectangles]
        self._offsets = [0] * len(rectangles)
        self._failed: dict[int, list[list[int]]] = {}
        self._failures = [0] * max((each.end for each in rectangles), default=0)
        self._preference = [0.0] * len(rectangles)
        self._run_nodes = 0
        self._before: list[int] = []
        last: dict[Rectangle, int] = {}
        for index, each in enumerate(rectangles):
            self._before.append(last.get(each, -1))
            last[each] = index

    def run(self) -> list[int] | None:
        """Offsets by rectangle; None where none was found."""
        kept, left_out = kept_and_left_out(self._rectangles, self._neighbours, self._height)
        if len(kept) > MAX_SEARCHED:
            return None
        kept.sort(key=lambda index: self._rectangles[index].start)
        if not self._fit(kept):
            return None
        put_back(self._rectangles, self._neighbours, left_out, self._offsets)
        return self._offsets

    def _fit(self, kept: list[int]) -> bool:
        """Run after run, until one ends by itself or there are no nodes left."""
        drawn = Random(0)  # noqa: S311 - what is preferred next is no secret
        parts = self._parts(kept)
        most = float(FIRST_NODES * len(kept))
        for run in count():
            spread = min(run // 3, 4) / 5
            self._preference = [_measure(each, run) * (1 - spread * drawn.random()) for each in self._rectangles]
            self._run_nodes = self.nodes_left if self.nodes_left < 2 * most else int(most)
            self.nodes_left -= self._run_nodes
            try:
                fits = all(self._place(part, [0] * len(self._failures)) for part in parts)
            except _OutOfNodes:
                most *= 1.5  # and what a run lacked for its last placement is lost
                if not self.nodes_left:
                    return False
            else:
                self.nodes_left += self._run_nodes
                self.is_complete = True
                return fits
        raise AssertionError

    def _parts(self, unplaced: Sequence[int]) -> list[list[int]]:
        """What no rectangle joins in time, the smallest first; each in the order of starts, as `unplaced` is."""
        parts: list[list[int]] = []
        end = -1
        for index in unplaced:
            rectangle = self._rectangles[index]
            if rectangle.start >= end:
                parts.append([])
            parts[-1].append(index)
            end = max(end, rectangle.end)
        return sorted(parts, key=len)

    def _place(self, unplaced: list[int], floors: list[int]) -> bool:
        """Whether all of `unplaced`, which time joins, fit above the floors; those of its sections are changed."""
        failed = self._failed.setdefault(sum(1 << index for index in unplaced), [])
        first = self._rectangles[unplaced[0]].start
        last = max(self._rectangles[index].end for index in unplaced)
        entered: list[int] | None = None
        cost = 1 + len(unplaced) // TENSORS_A_NODE
        while (ranked := self._ranked(unplaced, floors)) is not None:
            if entered is None:
                entered = floors[first:last]
                if any(all(map(int.__le__, lower, entered)) for lower in failed):
                    return False
            choice = self._choice(ranked, floors, first, last)
            for index in choice.candidates:
                self._run_nodes -= cost
                if self._run_nodes < 0:
                    raise _OutOfNodes
                rectangle = self._rectangles[index]
                offset = floors[choice.section]
                above = list(floors)
                above[rectangle.start : rectangle.end] = [offset + rectangle.size] * (rectangle.end - rectangle.start)
                self._offsets[index] = offset
                for part in self._parts([other for other in unplaced if other != index]):
                    if not self._place(part, list(above)):
                        break
                else:
                    return True
            if not choice.raised:
                break
            floors[choice.section] = choice.raised
        if entered is not None and len(failed) < MAX_REMEMBERED:
            failed.append(entered)
        return False

    def _ranked(self, unplaced: list[int], floors: list[int]) -> list[tuple[int, int]] | None:
        """The lowest offset of each rectangle, in that order; None if a section cannot hold what it must.

        Floors rise to where the lowest of their rectangles can lie.
        """
        rectangles, height = self._rectangles, self._height
        ranked = []
        for index in unplaced:
            start, end, _ = rectangles[index]
            ranked.append((max(floors[start:end]), index))
        ranked.sort()
        reached = [-1] * len(floors)
        for offset, index in ranked:
            start, end, size = rectangles[index]
            for section in range(start, end):
                top = reached[section]
                if top <= offset:
                    if top < 0:
                        floors[section] = offset
                    top = offset
                top += size
                if top > height:
                    self._failures[section] += 1
                    return None
                reached[section] = top
        return ranked

    def _choice(self, ranked: list[tuple[int, int]], floors: list[int], first: int, last: int) -> _Choice:
        """The section with the fewest choices, of those whose lowest rectangles would lie on level floor."""
        candidates: list[list[int]] = [[] for _ in range(last)]
        load = [0] * last
        is_level = [True] * last
        unplaced = {index for _, index in ranked}
        for offset, index in ranked:
            start, end, size = self._rectangles[index]
            under = floors[start:end]
            for section in range(start, end):
                load[section] += size
            if min(under) < offset:
                for section, floor in enumerate(under, start):
                    if floor == offset:
                        is_level[section] = False
            elif self._before[index] not in unplaced:
                for section in range(start, end):
                    candidates[section].append(index)
        best: _Choice | None = None
        fewest = (len(ranked) + 2, 0, 0)
        for section in range(first, last):
            if not is_level[section] or not load[section]:
                continue
            slack = self._height - floors[section] - load[section]
            branches = (len(candidates[section]) + (slack > 0), -self._failures[section], slack)
            if branches < fewest:
                raised = self._raised(section, ranked, floors[section], slack) if slack else 0
                branches = (len(candidates[section]) + (raised > 0), -self._failures[section], slack)
                if branches < fewest:
                    fewest = branches
                    best = _Choice(section, candidates[section], raised)
                    if branches[0] == 0:
                        break
        assert best is not None  # noqa: S101 - the lowest floor of all is level
        best.candidates.sort(key=lambda index: (-self._preference[index], index))
        return best

    def _raised(self, section: int, ranked: list[tuple[int, int]], floor: int, slack: int) -> int:
        """Where a section's lowest rectangle lies at the lowest, if not on the floor; 0 if that is too high.

        It then lies on one that comes later and does not reach into this section.
        """
        least = floor + slack + 1
        supports: list[tuple[int, int, int]] = []
        for offset, index in ranked:
            start, end, size = self._rectangles[index]
            if not start <= section < end:
                supports.append((start, end, offset + size))
            elif offset > floor:
                least = min(least, offset)
        for offset, index in ranked:
            start, end, _ = self._rectangles[index]
            if start <= section < end and offset == floor:
                for other_start, other_end, top in supports:
                    if top < least and other_start < end and start < other_end:
                        least = top
        return least if least <= floor + slack else 0
