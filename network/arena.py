"""The arena: one RAM buffer that all activation tensors share, each at a fixed offset while it is alive.

    offset
      |      .------.           Tensors are rectangles: alive from the step that writes them to the last that reads
      |  .---|  c   |---.       them (half-open), as high as their bytes. The plan moves them up and down until none
      |  | a '------'  |       overlap; the arena is as high as the highest top.
      |  |---'  .-------'
      |  '------|   b   |       Lower bound: the most bytes that are alive in one step. Most networks reach it.
      +---------'-------'--- step

The planner tries the two ends of the arena in turn (which reaches the bound on any chain, scratch between the ends
included), and first fit in three
orders. Where all stay above the bound, it searches: tensors are placed in the order of their offsets, each as low as
those before it allow, so that each plan is met once; a branch ends as soon as a step could no longer hold what it must
still take (the canonical search of minimalloc; M. D. Moffitt, "MiniMalloc", 2023). The search counts nodes instead of
seconds: the same input gives the same plan on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

MAX_NODES: Final = 20_000

MAX_SEARCHED_TENSORS: Final = 300
"""The search is as deep as there are tensors; beyond, the plan is the best of the first fits, with its bound."""

MAX_REORDERED_TENSORS: Final = 3000
"""First fit in any other order than that of the steps compares all pairs."""


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
        max_nodes: how many placements the search may try in all.
        enough_bytes: a plan of at most this size ends the search for a smaller one.
    """
    sized = tuple(
        LiveTensor(each.name, each.start, each.end, -(-each.size_bytes // alignment_bytes)) for each in tensors
    )
    bound = _most_alive(sized)
    goal = max(bound, enough_bytes // alignment_bytes)
    best: dict[str, int] = {}
    best_height = 0
    for attempt in _attempts(sized, bound):
        height = max((attempt[each.name] + each.size_bytes for each in sized), default=0)
        if not best or height < best_height:
            best, best_height = attempt, height
        if best_height <= goal:
            break
    nodes_left = max_nodes if len(sized) <= MAX_SEARCHED_TENSORS else 0
    while best_height > goal and nodes_left > 0:
        height = goal if goal > bound else best_height - 1
        search = _Search(sized, height, nodes_left)
        found = search.run()
        nodes_left = search.nodes_left
        if found is None:
            if nodes_left > 0:  # the search is complete: no plan is so small
                bound = height + 1
            break
        best, best_height = found, max(found[each.name] + each.size_bytes for each in sized)
    offsets = {name: offset * alignment_bytes for name, offset in best.items()}
    return ArenaPlan(
        {each.name: offsets[each.name] for each in tensors}, best_height * alignment_bytes, bound * alignment_bytes
    )


def _most_alive(tensors: Iterable[LiveTensor]) -> int:
    changes: dict[int, int] = {}
    for each in tensors:
        changes[each.start] = changes.get(each.start, 0) + each.size_bytes
        changes[each.end] = changes.get(each.end, 0) - each.size_bytes
    alive = most = 0
    for step in sorted(changes):
        alive += changes[step]
        most = max(most, alive)
    return most


def _attempts(tensors: tuple[LiveTensor, ...], bound: int) -> Iterable[dict[str, int]]:
    yield _in_step_order(tensors, bound, two_ends=True)
    yield _in_step_order(tensors, bound, two_ends=False)
    if len(tensors) <= MAX_REORDERED_TENSORS:
        yield _first_fit(sorted(tensors, key=lambda each: (-each.size_bytes, each.start)))
        yield _first_fit(sorted(tensors, key=lambda each: (each.start - each.end, -each.size_bytes)))


def _in_step_order(tensors: tuple[LiveTensor, ...], height: int, *, two_ends: bool) -> dict[str, int]:
    """In the order of their starts, each in the lowest gap, or at the bottom and at the top in turn where that is free.

    With two ends, a chain's next tensor never meets the one before it while the two fit. What lives for one step only,
    as scratch does, takes no turn: it comes last in its step, and lies between the ends.
    """
    offsets: dict[str, int] = {}
    placed: list[LiveTensor] = []
    at_top = False
    for each in sorted(tensors, key=lambda each: (each.start, two_ends and _is_brief(each), -each.size_bytes)):
        placed = [other for other in placed if other.end > each.start]
        takes_a_turn = two_ends and not _is_brief(each)
        offset = height - each.size_bytes if at_top else 0
        if not takes_a_turn or any(
            offset < offsets[other.name] + other.size_bytes and offsets[other.name] < offset + each.size_bytes
            for other in placed
        ):
            offset = _lowest_gap(each, placed, offsets)
        offsets[each.name] = offset
        placed.append(each)
        at_top = at_top is not takes_a_turn
    return offsets


def _is_brief(tensor: LiveTensor) -> bool:
    """Whether it lives for one step only."""
    return tensor.end - tensor.start == 1


def _first_fit(order: Sequence[LiveTensor]) -> dict[str, int]:
    offsets: dict[str, int] = {}
    for index, each in enumerate(order):
        others = [other for other in order[:index] if other.overlaps(each)]
        offsets[each.name] = _lowest_gap(each, others, offsets)
    return offsets


def _lowest_gap(tensor: LiveTensor, others: Sequence[LiveTensor], offsets: dict[str, int]) -> int:
    """The lowest offset at which the tensor lies beside others that are all alive with it."""
    offset = 0
    for low, high in sorted((offsets[other.name], offsets[other.name] + other.size_bytes) for other in others):
        if offset + tensor.size_bytes <= low:
            break
        offset = max(offset, high)
    return offset


class _Search:
    """Is there a plan of at most `height`? Depth first over the order of offsets."""

    def __init__(self, tensors: tuple[LiveTensor, ...], height: int, nodes: int) -> None:
        # Only steps at which a tensor starts differ: elsewhere no more is alive than at the one before.
        steps = sorted({each.start for each in tensors})
        self._sections = {
            each.name: range(sum(step < each.start for step in steps), sum(step < each.end for step in steps))
            for each in tensors
        }
        self._tensors = tensors
        self._height = height
        self.nodes_left = nodes
        self._floor = [0] * len(steps)
        self._to_come = [0] * len(steps)
        for each in tensors:
            for section in self._sections[each.name]:
                self._to_come[section] += each.size_bytes
        self._offsets: dict[str, int] = {}

    def run(self) -> dict[str, int] | None:
        return dict(self._offsets) if self._place(list(self._tensors), 0) else None

    def _place(self, unplaced: list[LiveTensor], lowest: int) -> bool:
        """Place all of `unplaced` at `lowest` or higher."""
        if not unplaced:
            return True
        heights = [max(lowest, *(self._floor[section] for section in self._sections[each.name])) for each in unplaced]
        # Whoever could lie wholly below another's place comes before it.
        first_top = min(height + each.size_bytes for height, each in zip(heights, unplaced, strict=True))
        ranked = sorted(
            (height, -each.size_bytes * len(self._sections[each.name]), index)
            for index, (height, each) in enumerate(zip(heights, unplaced, strict=True))
            if height < first_top
        )
        tried: set[tuple[int, int, int]] = set()
        for height, _, index in ranked:
            tensor = unplaced[index]
            sections = self._sections[tensor.name]
            alike = (sections.start, sections.stop, tensor.size_bytes)
            if alike in tried:
                continue
            tried.add(alike)
            self.nodes_left -= 1
            if self.nodes_left < 0:
                return False
            before = [self._floor[section] for section in sections]
            for section in sections:
                self._floor[section] = height + tensor.size_bytes
                self._to_come[section] -= tensor.size_bytes
            self._offsets[tensor.name] = height
            if self._can_hold(height, sections) and self._place(unplaced[:index] + unplaced[index + 1 :], height):
                return True
            del self._offsets[tensor.name]
            for section, floor in zip(sections, before, strict=True):
                self._floor[section] = floor
                self._to_come[section] += tensor.size_bytes
            if self.nodes_left < 0:
                return False
        return False

    def _can_hold(self, lowest: int, changed: range) -> bool:
        """Every step can still take what it must, above its floor (where that changed) and what the order allows."""
        most_to_come = max(self._to_come)
        return (not most_to_come or lowest + most_to_come <= self._height) and all(
            self._floor[section] + self._to_come[section] <= self._height for section in changed
        )
