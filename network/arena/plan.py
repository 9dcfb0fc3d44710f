"""The memory plan of the arena, the one RAM buffer that all activation tensors share, each at a fixed offset.

The problem is dynamic storage allocation: every tensor is a rectangle whose width is its live range, from the step that
writes the tensor up to and including the last step that reads it, and whose height is its size in bytes. The plan
chooses the offset of each rectangle so that no two rectangles overlap and the highest top is as low as possible:

    offset
      |      .-----------.                 a and b are alive together, and so are b and c.
      |      |     b     |                 a and c are not: they may share their bytes.
      |      '-----------'
      |  .------.      .------.            Arena size:  the highest top, here that of b.
      |  |  a   |      |  c   |            Lower bound: the largest sum of sizes that are alive in one step,
      |  '------'      '------'                         here size(b) + max(size(a), size(c)).
      +--------------------------- step

No plan is smaller than the lower bound, and most networks reach it. The planner:

    plan = place tensors alternately at both ends of the arena        optimal on a chain, scratch memory included
    if the plan is at the lower bound (or small enough): done
    compress time: begin a new column only where a tensor ends after another one has started
    for each component, a part of time that no tensor crosses (components.py):
        1. first fit in several orders                                first_fit.py
        2. branch and bound at the height of the lower bound          search.py
        3. hill climbing over the orders of first fit                 first_fit.py
        4. branch and bound at heights between bound and plan (bisection):
               a plan found         -> the plan has at most this height
               none exists          -> the bound is this height + 1
               no nodes left        -> unknown: only greater heights are tried

The work is limited by a number of search nodes, not by seconds: the same input gives the same plan on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Final

from network.arena.components import components_in_time, compress_time, peak_live_size
from network.arena.first_fit import (
    MAX_REORDERED,
    Rectangle,
    first_fit,
    fit_by_start,
    height_of,
    hill_climb,
    neighbours_of,
    placement_orders,
)
from network.arena.search import Search

MAX_NODES: Final = 20_000
"""Default number of search nodes for one plan."""


@dataclass(frozen=True, slots=True)
class LiveTensor:
    """Live range and size in bytes of an activation tensor or of a layer's scratch buffer.

    Attributes:
        name: Name of the tensor, unique within a plan.
        start: Index of the first step during which the tensor is alive, 0 or more.
        end: Index of the first step, after `start`, during which the tensor is no longer alive (half-open range).
        size_bytes: Size of the tensor in bytes, 1 or more.
    """

    name: str
    start: int
    end: int
    size_bytes: int

    def overlaps(self, other: LiveTensor) -> bool:
        """Return whether two tensors are alive during at least one common step of the schedule."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class ArenaPlan:
    """Memory plan of an arena: the offset of every tensor, the size of the arena and a lower bound of that size.

    Attributes:
        offsets: Offset of each tensor in bytes from the start of the arena, by the name of the tensor.
        arena_bytes: Size of the arena in bytes: the highest end (offset + size) of any tensor.
        lower_bound_bytes: Number of bytes that every plan for these tensors needs at least.
    """

    offsets: dict[str, int]
    arena_bytes: int
    lower_bound_bytes: int

    @property
    def is_optimal(self) -> bool:
        """Whether the arena size of a memory plan is proven minimal: it equals the lower bound."""
        return self.arena_bytes == self.lower_bound_bytes


def scratch_name(layer: str) -> str:
    """Return the name that memory plans use for the scratch buffer of a layer."""
    return f"scratch of {layer}"


def plan_arena(
    tensors: Sequence[LiveTensor], *, alignment_bytes: int = 1, max_nodes: int = MAX_NODES, enough_bytes: int = 0
) -> ArenaPlan:
    """Compute offsets in the arena for tensors, with the smallest arena size found and a lower bound of that size.

    Args:
        tensors: Tensors to place, with distinct names, in any order.
        alignment_bytes: Number of bytes, 1 or more, of which every offset is a multiple; sizes are rounded up to it.
        max_nodes: Number of search nodes that the whole plan may cost, 0 or more. Placing one tensor costs 1 node, and
            1 more for every 50 tensors that are not placed yet.
        enough_bytes: Arena size in bytes that is small enough, 0 for none: the planner stops at a plan of at most this
            size, and when the lower bound is above it.

    Returns:
        The memory plan; `is_optimal` says whether its size is proven minimal.
    """
    rectangles = [Rectangle(each.start, each.end, -(-each.size_bytes // alignment_bytes)) for each in tensors]
    bound = peak_live_size(rectangles)
    goal = max(bound, enough_bytes // alignment_bytes)
    offsets = fit_by_start(rectangles, bound, two_ends=True)
    height = height_of(rectangles, offsets)
    if height > goal:
        height = 0
        nodes_left = max_nodes
        enough = enough_bytes // alignment_bytes if enough_bytes > 0 else None
        for component in components_in_time(compress_time(rectangles)):
            if enough is not None and bound > enough:
                nodes_left = 0
            planned = _plan_component(list(component.values()), max(goal, height), enough, nodes_left)
            nodes_left = planned.nodes_left
            bound = max(bound, planned.bound)
            height = max(height, planned.height)
            for index, offset in zip(component, planned.offsets, strict=True):
                offsets[index] = offset
    placed = {each.name: offset * alignment_bytes for each, offset in zip(tensors, offsets, strict=True)}
    return ArenaPlan(placed, height * alignment_bytes, bound * alignment_bytes)


@dataclass(frozen=True, slots=True)
class _ComponentPlan:
    """Memory plan of one independent group of tensors.

    Attributes:
        offsets: Offset of each rectangle.
        height: Height of the plan.
        bound: Proven lower bound of the height.
        nodes_left: Number of search nodes that are left for other components.
    """

    offsets: list[int]
    height: int
    bound: int
    nodes_left: int


def _plan_component(rectangles: Sequence[Rectangle], goal: int, enough: int | None, nodes_left: int) -> _ComponentPlan:
    """Compute a memory plan of one independent group of tensors, in units of the common divisor of their sizes.

    Args:
        rectangles: The rectangles of the component, with time counted from 0.
        goal: Height at which a plan is small enough.
        enough: Height above which a lower bound ends the search, or None if no bound does.
        nodes_left: Number of search nodes that this component may use.
    """
    unit = gcd(*(each.size for each in rectangles))
    whole_units = [each._replace(size=each.size // unit) for each in rectangles]
    planner = _ComponentPlanner(whole_units, goal // unit, None if enough is None else enough // unit, nodes_left)
    planner.plan()
    return _ComponentPlan(
        [offset * unit for offset in planner.offsets], planner.height * unit, planner.bound * unit, planner.nodes_left
    )


class _ComponentPlanner:
    """Planner of one independent group of tensors, with its best memory plan and lower bound so far.

    The arguments are those of `_plan_component`.
    """

    def __init__(self, rectangles: Sequence[Rectangle], goal: int, enough: int | None, nodes_left: int) -> None:
        self._rectangles = rectangles
        self._enough = enough
        self.nodes_left = nodes_left
        self.bound = peak_live_size(rectangles)
        self._goal = max(self.bound, goal)
        self.offsets = fit_by_start(rectangles, self.bound, two_ends=True)
        self.height = height_of(rectangles, self.offsets)
        self._neighbours: list[list[int]] = []

    def plan(self) -> None:
        """Improve a memory plan and its lower bound until the plan is small enough or no search nodes are left."""
        if self._keep_if_better(fit_by_start(self._rectangles, self.bound, two_ends=False)):
            return
        if len(self._rectangles) > MAX_REORDERED:
            return
        self._neighbours = neighbours_of(self._rectangles)
        best_order = list(range(len(self._rectangles)))
        for order in placement_orders(self._rectangles, self._neighbours):
            before = self.height
            if self._keep_if_better(first_fit(self._rectangles, self._neighbours, order)):
                return
            if self.height < before:
                best_order = order
        if not self.nodes_left or self._search(self._goal, -(-self.nodes_left // 4)):
            return
        if self._keep_if_better(hill_climb(self._rectangles, self._neighbours, best_order, self._goal)):
            return
        lowest = max(self._goal, self.bound)
        while lowest < self.height and self.nodes_left > 0:
            height = (lowest + self.height - 1) // 2
            nodes = -(-self.nodes_left // 2)
            if self._enough is not None:  # a smaller plan that is still above the goal is not useful
                height, nodes = self._goal, self.nodes_left
            if self._search(height, nodes):
                return
            if height < self.height:
                lowest = height + 1

    @property
    def _is_done(self) -> bool:
        """Whether a memory plan is small enough or optimal, or the lower bound proves that no plan is small enough."""
        return self.height <= max(self._goal, self.bound) or (self._enough is not None and self.bound > self._enough)

    def _keep_if_better(self, offsets: list[int]) -> bool:
        """Keep a memory plan if it needs less memory than the best one so far; return whether planning can stop."""
        height = height_of(self._rectangles, offsets)
        if height < self.height:
            self.offsets, self.height = offsets, height
        return self._is_done

    def _search(self, height: int, nodes: int) -> bool:
        """Search for a memory plan of at most a given size with limited nodes; return whether planning is done."""
        search = Search(self._rectangles, self._neighbours, height, nodes)
        found = search.run()
        self.nodes_left -= nodes - search.nodes_left
        if found is not None:
            return self._keep_if_better(found)
        if search.is_complete:
            self.bound = max(self.bound, height + 1)
        return self._is_done
