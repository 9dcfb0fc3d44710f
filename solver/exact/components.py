"""Decomposition of an integer program into components that no constraint joins and that can be solved alone.

A row whose limit no choices can exceed restricts nothing and is left out. The other rows, and the groups that have
entries in them, are the nodes of a bipartite graph; the components of the program are the connected components of this
graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from solver.exact.program import BoolArray, IntArray, Program, summed_by_row


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """Independent part of an integer program: tensors that constraints join, and these constraints.

    Attributes:
        groups: Indices of the groups in the program, int64, ascending.
        rows: Indices of the rows in the program, int64, ascending.
    """

    groups: IntArray
    rows: IntArray


def row_size_bounds(program: Program) -> tuple[IntArray, IntArray]:
    """Return a lower and an upper bound on the sum of sizes of each constraint of an integer program, over all choices.

    Without pairwise terms, both bounds are reached. A pairwise term is bounded together with the entries of its two
    groups; an entry whose group has several pairwise terms in the row is bounded together with the first of them.

    Args:
        program: The integer program.

    Returns:
        Lower and upper bounds, int64 [m] each.
    """
    rows = program.entry_rows()
    count = len(program.limits)
    allowed = np.isfinite(program.costs)
    is_alone = np.ones(len(rows), dtype=bool)
    lower, upper = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    if len(program.pairwise_rows):
        sums = program.pairwise_sizes.copy()
        keys = rows * len(program.groups) + program.entry_groups
        by_key = np.argsort(keys, kind="stable")
        for side in (0, 1):
            groups = program.pairwise_groups[:, side]
            entries = by_key[np.searchsorted(keys[by_key], program.pairwise_rows * len(program.groups) + groups)]
            _, firsts = np.unique(entries, return_index=True)
            firsts = firsts[is_alone[entries[firsts]]]
            entry_sizes = program.entry_sizes[entries[firsts]]
            sums[firsts] += entry_sizes[:, :, None] if side == 0 else entry_sizes[:, None, :]
            is_alone[entries] = False
        first, second = program.pairwise_groups.T
        both = allowed[first][:, :, None] & allowed[second][:, None, :]
        low, high = _extremes(sums.reshape(len(both), -1), both.reshape(len(both), -1))
        lower += summed_by_row(program.pairwise_rows, low, count)
        upper += summed_by_row(program.pairwise_rows, high, count)
    low, high = _extremes(program.entry_sizes[is_alone], allowed[program.entry_groups[is_alone]])
    return lower + summed_by_row(rows[is_alone], low, count), upper + summed_by_row(rows[is_alone], high, count)


def components(program: Program, binding: IntArray) -> Iterator[Component]:
    """Yield the independent parts of an integer program: tensors that constraints join, with these constraints.

    A group without an entry in a binding row is in no component.

    Args:
        program: The integer program.
        binding: Indices of the rows whose limits can be exceeded, int64, ascending.
    """
    if not len(binding):
        return
    kept = np.isin(program.entry_rows(), binding)
    entry_rows, entry_groups = program.entry_rows()[kept], program.entry_groups[kept]
    nodes = len(program.groups) + len(program.limits)
    edges = coo_array(
        (np.ones(len(entry_rows), dtype=np.int8), (entry_groups, entry_rows + len(program.groups))),
        shape=(nodes, nodes),
    )
    _, labels = connected_components(edges, directed=False)
    groups = np.unique(entry_groups)
    by_label = np.argsort(labels[groups], kind="stable")
    groups = groups[by_label]
    rows = binding[np.argsort(labels[binding + len(program.groups)], kind="stable")]
    group_cuts = np.flatnonzero(np.diff(labels[groups])) + 1
    row_cuts = np.flatnonzero(np.diff(labels[rows + len(program.groups)])) + 1
    for own_groups, own_rows in zip(np.split(groups, group_cuts), np.split(rows, row_cuts), strict=True):
        yield Component(own_groups, own_rows)


def _extremes(sizes: IntArray, allowed: BoolArray) -> tuple[IntArray, IntArray]:
    """Return the smallest and the largest allowed size in each row of a table, int64 [rows] each.

    Args:
        sizes: Sizes, int64 [lines, choices].
        allowed: Whether each size counts, bool [lines, choices].
    """
    limits = np.iinfo(np.int64)
    return np.where(allowed, sizes, limits.max).min(axis=1), np.where(allowed, sizes, limits.min).max(axis=1)
