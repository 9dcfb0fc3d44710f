"""Branch and bound for the memory plan: find a plan of at most a given arena size, or prove that none exists.

A section is one column of time. Each section has a floor: the height from which on it is free. In every plan, each
rectangle can be moved down until it stands on the ground or on another rectangle, so that only such plans are searched:

    place(unplaced, floors):
        raise the floors and compute the lowest offset of each unplaced rectangle        inference
        if some section cannot hold its rectangles: return failure                       bound
        if this set failed on floors that are nowhere higher: return failure             memoization
        choose the section with the fewest branches
        for each rectangle that would stand on a level floor, at the floor of the section:
            place it there; its top is the new floor of its sections
            if place(component, floors) succeeds for each component of the rest: return success
        if the section may stay empty at its floor: raise the floor and repeat; else: return failure

    inference    The floor of a section is raised to the lowest offset of any of its unplaced rectangles.
    bound        In each section the rectangles are stacked in the order of their lowest offsets. The top of the stack
                 must be at most the height.
    branching    The section with the fewest branches comes first; a single branch needs no backtracking.
    components   Unplaced rectangles that no live range connects in time are searched separately.
    memoization  A set of rectangles that failed on some floors fails on higher floors, too.
    symmetry     Identical rectangles are placed in the order of their indices.
    restarts     Each run has more nodes and other preferences. The memoized failures are kept, and among sections with
                 equally many branches, one with more failures so far comes first.
    dominance    Dominated rectangles are removed before the search and placed after it (`dominated.py`).

The floors and the inference on sections are those of minimalloc (M. D. Moffitt, "MiniMalloc", 2023), which branches
over rectangles in the order of offsets instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from random import Random
from typing import Final, NamedTuple

from network.arena.dominated import place_dominated, remove_dominated
from network.arena.first_fit import Rectangle
from network.arena.floors import raised_floor

MAX_SEARCHED: Final = 300
"""Largest number of rectangles that are searched, because the recursion is as deep as their number."""

FIRST_NODES: Final = 4
"""Number of nodes per rectangle in the first run; each further run has 1.5 times as many as the run before it."""

TENSORS_A_NODE: Final = 50
"""Number of unplaced rectangles for which a placement costs one more node, because its time grows with them."""

MAX_REMEMBERED: Final = 12
"""Number of floors that are memoized as failed for one set of rectangles."""


class _Branching(NamedTuple):
    """Branches of the memory plan search at one time column: the tensors that can be placed next.

    Attributes:
        section: Index of the section.
        candidates: Indices of the rectangles that may stand on the floor of the section, the preferred ones first.
        raised_floor: Height to which the floor is raised if no candidate stands on it; 0 if one of them must.
    """

    section: int
    candidates: list[int]
    raised_floor: int


def _preferred_measure(rectangle: Rectangle, run: int) -> int:
    """Return the tensor property that a search run prefers to be large: area, size or length, alternating by run."""
    length = rectangle.end - rectangle.start
    return (length * rectangle.size, rectangle.size, length)[run % 3]


class _OutOfNodes(Exception):
    """Exception that ends a run of the memory plan search that has used all its search nodes."""


class Search:
    """Branch and bound search for a memory plan that fits into an arena of a given size.

    Args:
        rectangles: The rectangles to place, with time counted from 0 and sizes in any unit.
        neighbours: For each rectangle, the indices of the rectangles with overlapping live ranges.
        height: Largest height of the plan, in the unit of the sizes.
        nodes: Number of nodes that all runs together may use.

    Attributes:
        nodes_left: Number of nodes that are not used.
        is_complete: Whether the last run ended within its nodes, so that a search without a plan proves that none
            exists; False before `run`.
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
        self._previous_identical: list[int] = []
        last: dict[Rectangle, int] = {}
        for index, each in enumerate(rectangles):
            self._previous_identical.append(last.get(each, -1))
            last[each] = index

    def run(self) -> list[int] | None:
        """Return the offset of each tensor in a memory plan that fits into the arena, or None if no plan was found."""
        searched, dominated = remove_dominated(self._rectangles, self._neighbours, self._height)
        if len(searched) > MAX_SEARCHED:
            return None
        searched.sort(key=lambda index: self._rectangles[index].start)
        if not self._search_with_restarts(searched):
            return None
        place_dominated(self._rectangles, self._neighbours, dominated, self._offsets)
        return self._offsets

    def _search_with_restarts(self, searched: list[int]) -> bool:
        """Repeat the memory plan search until a run is complete or no nodes are left; return whether one was found."""
        drawn = Random(0)  # noqa: S311 - the preferences need no cryptographic randomness
        components = self._components(searched)
        run_limit = float(FIRST_NODES * len(searched))
        for run in count():
            spread = min(run // 3, 4) / 5
            self._preference = [
                _preferred_measure(each, run) * (1 - spread * drawn.random()) for each in self._rectangles
            ]
            self._run_nodes = self.nodes_left if self.nodes_left < 2 * run_limit else int(run_limit)
            self.nodes_left -= self._run_nodes
            try:
                fits = all(self._place(component, [0] * len(self._failures)) for component in components)
            except _OutOfNodes:
                run_limit *= 1.5  # nodes that did not suffice for the last placement of a run are not given back
                if not self.nodes_left:
                    return False
            else:
                self.nodes_left += self._run_nodes
                self.is_complete = True
                return fits
        raise AssertionError

    def _components(self, unplaced: Sequence[int]) -> list[list[int]]:
        """Split the unplaced tensors of a memory plan into groups, at points of time that no live range crosses.

        Args:
            unplaced: Indices of the rectangles, ordered by their start columns.

        Returns:
            The components, each ordered by start columns; the component with the fewest rectangles comes first.
        """
        components: list[list[int]] = []
        end = -1
        for index in unplaced:
            rectangle = self._rectangles[index]
            if rectangle.start >= end:
                components.append([])
            components[-1].append(index)
            end = max(end, rectangle.end)
        return sorted(components, key=len)

    def _place(self, unplaced: list[int], floors: list[int]) -> bool:
        """Place a group of tensors of a memory plan in the arena, and return whether they fit.

        Args:
            unplaced: Indices of the rectangles of one component, ordered by their start columns.
            floors: Floor of each section. The floors of the component's sections are changed.

        Raises:
            _OutOfNodes: If the run has no nodes left.
        """
        failed = self._failed.setdefault(sum(1 << index for index in unplaced), [])
        first = self._rectangles[unplaced[0]].start
        last = max(self._rectangles[index].end for index in unplaced)
        entered: list[int] | None = None
        cost = 1 + len(unplaced) // TENSORS_A_NODE
        while (ranked := self._lowest_offsets(unplaced, floors)) is not None:
            if entered is None:
                entered = floors[first:last]
                if any(all(map(int.__le__, lower, entered)) for lower in failed):
                    return False
            branching = self._choose_section(ranked, floors, first, last)
            for index in branching.candidates:
                self._run_nodes -= cost
                if self._run_nodes < 0:
                    raise _OutOfNodes
                rectangle = self._rectangles[index]
                offset = floors[branching.section]
                above = list(floors)
                above[rectangle.start : rectangle.end] = [offset + rectangle.size] * (rectangle.end - rectangle.start)
                self._offsets[index] = offset
                for component in self._components([other for other in unplaced if other != index]):
                    if not self._place(component, list(above)):
                        break
                else:
                    return True
            if not branching.raised_floor:
                break
            floors[branching.section] = branching.raised_floor
        if entered is not None and len(failed) < MAX_REMEMBERED:
            failed.append(entered)
        return False

    def _lowest_offsets(self, unplaced: list[int], floors: list[int]) -> list[tuple[int, int]] | None:
        """Return the lowest possible offset of each unplaced tensor; None if a time column cannot hold its tensors.

        Args:
            unplaced: Indices of the rectangles that are not placed yet.
            floors: Floor of each section. Each floor is raised to the lowest offset of the rectangles in its section.

        Returns:
            Pairs of lowest offset and index, in ascending order; None if some section cannot hold its rectangles
            within the height.
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

    def _choose_section(self, ranked: list[tuple[int, int]], floors: list[int], first: int, last: int) -> _Branching:
        """Choose the time column of the memory plan search at which the fewest tensors can be placed next.

        Only sections with a level floor are considered: no unplaced rectangle that would stand on the floor of the
        section also covers a section with a lower floor.

        Args:
            ranked: Pairs of lowest offset and index of the unplaced rectangles, in ascending order.
            floors: Floor of each section.
            first: First section of the component.
            last: Section after the last one of the component.
        """
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
            elif self._previous_identical[index] not in unplaced:
                for section in range(start, end):
                    candidates[section].append(index)
        best: _Branching | None = None
        fewest = (len(ranked) + 2, 0, 0)
        for section in range(first, last):
            if not is_level[section] or not load[section]:
                continue
            slack = self._height - floors[section] - load[section]
            branches = (len(candidates[section]) + (slack > 0), -self._failures[section], slack)
            if branches < fewest:
                raised = raised_floor(self._rectangles, ranked, section, floors[section], slack) if slack else 0
                branches = (len(candidates[section]) + (raised > 0), -self._failures[section], slack)
                if branches < fewest:
                    fewest = branches
                    best = _Branching(section, candidates[section], raised)
                    if branches[0] == 0:
                        break
        assert best is not None  # noqa: S101 - the section with the lowest floor has level floor
        best.candidates.sort(key=lambda index: (-self._preference[index], index))
        return best
