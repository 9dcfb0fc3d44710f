"""Enumeration of the useful choices of one small component, with the weight tensors that exclusions join to it.

A *label* is a choice of the groups that have been opened so far, with its cost and its size in the priced row. Labels
are extended row by row, as the states of `dynamic_programming.py`:

    labels = {()}
    for each row:
        for each group whose first row this is:     extend each label by each option of the group
        discard labels that exceed the limit of the row, or that lead to no better solution than the best one
        for each choice of the groups that stay open:
            discard labels for which another one has neither a larger cost nor a larger size
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from solver.exact.dynamic_programming import Frontier
from solver.exact.program import BoolArray, Float64Array, IntArray

MAX_LABELS: Final = 50_000
"""Largest number of labels after a row."""


@dataclass(frozen=True, slots=True, eq=False)
class JoinedChoices:
    """Allowed choices of some groups that are chosen together, e.g. of an output and the weights joined to it.

    Attributes:
        groups: The groups, int64 [g].
        choices: Choices of the groups, int64 [options, g].
        costs: Summed cost of each option, float64 [options].
        sizes: Summed size of each option in the priced row, int64 [options].
    """

    groups: IntArray
    choices: IntArray
    costs: Float64Array
    sizes: IntArray

    def kept(self, which: IntArray | BoolArray) -> JoinedChoices:
        """Return only some of the options, by their indices or by whether each is kept."""
        return JoinedChoices(self.groups, self.choices[which], self.costs[which], self.sizes[which])

    def extended(self, other: JoinedChoices) -> JoinedChoices:
        """Return each option extended by each option of other groups."""
        own = np.repeat(np.arange(len(self.costs)), len(other.costs))
        more = np.tile(np.arange(len(other.costs)), len(self.costs))
        return JoinedChoices(
            np.concatenate((self.groups, other.groups)),
            np.concatenate((self.choices[own], other.choices[more]), axis=1),
            self.costs[own] + other.costs[more],
            self.sizes[own] + other.sizes[more],
        )

    def undominated(self, keys: IntArray) -> JoinedChoices:
        """Return the options for which no other one with the same key has neither a larger cost nor a larger size.

        Args:
            keys: Key of each option, int64 [options].
        """
        order = np.lexsort((self.costs, self.sizes, keys))
        keys = keys[order]
        is_first = np.ones(len(order), dtype=bool)
        is_first[1:] = keys[1:] != keys[:-1]
        # Costs are whole numbers below 2^41: an offset for each key makes one running minimum that of each key.
        costs = self.costs[order].astype(np.int64) - np.cumsum(is_first) * 2**42
        is_kept = is_first.copy()
        is_kept[1:] |= costs[1:] < np.minimum.accumulate(costs)[:-1]
        return self.kept(order[is_kept])


def enumerate_component(
    frontier: Frontier,
    options: Sequence[JoinedChoices],
    priced: Float64Array,
    price: float,
    most_above: float,
) -> JoinedChoices | None:
    """Return the useful choices of a component, of ascending size and descending cost; None if they are too many.

    Args:
        frontier: The component. Its groups are numbered from 0.
        options: Options of each group; the first of their groups is the group itself.
        priced: Least priced cost of each choice of each group over its options, float64 [n, k].
        price: Price per unit of size.
        most_above: By how much the priced cost of useful choices is above the least one, at most.
    """
    after = frontier.sums_after(priced)
    count = priced.shape[1]
    nothing = np.zeros(0, dtype=np.int64)
    labels = JoinedChoices(nothing, np.zeros((1, 0), dtype=np.int64), np.zeros(1), np.zeros(1, dtype=np.int64))
    column_of: dict[int, int] = {}
    least: float | None = None
    for row, later in zip(frontier.rows, after, strict=True):
        if least is None:
            least = _least(row.keeps, later, [priced[group] for group in row.opened])
        for group in row.opened:
            column_of[group] = len(labels.groups)
            labels = labels.extended(options[group])
            if len(labels.costs) > MAX_LABELS * count:
                return None
        open_choices = tuple(labels.choices[:, column_of[group]] for group in row.groups)
        shape = (count,) * len(row.groups)
        labels_priced = labels.costs + price * labels.sizes
        bounds = labels_priced + np.broadcast_to(later, shape)[open_choices] - least
        is_kept = np.broadcast_to(row.keeps, shape)[open_choices] & (bounds <= most_above)
        labels = labels.kept(is_kept)
        closed = {group for group, _ in row.closed}
        keys = np.zeros(len(labels.costs), dtype=np.int64)
        for group in row.groups:
            if group not in closed:
                keys = keys * count + labels.choices[:, column_of[group]]
        labels = labels.undominated(keys)
        if len(labels.costs) > MAX_LABELS:
            return None
    return labels


def _least(keeps: BoolArray, later: Float64Array, opened: Sequence[Float64Array]) -> float:
    """Return the least priced cost of all choices of a component, from those of its first row.

    Args:
        keeps: Whether the choices of the first row's groups keep its limit.
        later: Least priced cost of the groups that are opened later, by these choices.
        opened: Priced cost of each choice of the first row's groups.
    """
    total = np.zeros(())
    for own in opened:
        total = np.add.outer(total, own)
    return float(np.where(keeps, total + later, np.inf).min())


def options_of(
    group: int,
    costs: Float64Array,
    sizes: IntArray,
    joined: Sequence[tuple[int, BoolArray, BoolArray]],
) -> JoinedChoices:
    """Return the options of a group: its allowed choices, each with the useful choices of the weights joined to it.

    Args:
        group: The group.
        costs: Cost of each choice of each group of the program, float64 [n, k]; infinite for choices that are not
            allowed.
        sizes: Size of each choice of each group in the priced row, int64 [n, k].
        joined: For each exclusion of the group: the weight tensor, whether its choices are excluded, bool [k], by
            which choices of the group, bool [k].
    """
    found = _choices_of(group, costs, sizes, np.isfinite(costs[group]))
    for weights, weight_excluded, excluded in joined:
        own = found.choices[:, 0]
        parts = []
        for is_excluded in (False, True):
            part = found.kept(excluded[own] == is_excluded)
            allowed = np.isfinite(costs[weights]) & ~(weight_excluded & is_excluded)
            useful = _choices_of(weights, costs, sizes, allowed)
            parts.append(part.extended(useful.undominated(np.zeros(len(useful.costs), dtype=np.int64))))
        found = JoinedChoices(
            parts[0].groups,
            np.concatenate([part.choices for part in parts]),
            np.concatenate([part.costs for part in parts]),
            np.concatenate([part.sizes for part in parts]),
        )
        found = found.undominated(found.choices[:, 0])
    return found


def _choices_of(group: int, costs: Float64Array, sizes: IntArray, allowed: BoolArray) -> JoinedChoices:
    """Return the allowed choices of one group as options."""
    choices = np.flatnonzero(allowed)
    return JoinedChoices(np.array([group]), choices[:, None], costs[group, choices], sizes[group, choices])
