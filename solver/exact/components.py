"""A program falls apart where no row that can bind joins two groups: each part is solved alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from solver.exact.program import BoolArray, IntArray, Program, summed_by_row


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """Groups that share rows, and those rows, in the program's order.

    Attributes:
        groups: indices into the program's groups, ascending.
        rows: indices into the program's rows, ascending.
    """

    groups: IntArray
    rows: IntArray


def least_and_most(program: Program) -> tuple[IntArray, IntArray]:
    """Bounds on what each row takes over the choices that are allowed; without pairs they are reached.

    A pair is bounded together with the entries of its two groups, each entry in the first pair that it stands in.
    """
    rows = program.entry_rows()
    count = len(program.limits)
    allowed = np.isfinite(program.costs)
    alone = np.ones(len(rows), dtype=bool)
    least, most = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    if len(program.pair_rows):
        together = program.pair_sizes.copy()
        keys = rows * len(program.groups) + program.entry_groups
        by_key = np.argsort(keys, kind="stable")
        for side in (0, 1):
            groups = program.pair_groups[:, side]
            entries = by_key[np.searchsorted(keys[by_key], program.pair_rows * len(program.groups) + groups)]
            _, firsts = np.unique(entries, return_index=True)
            firsts = firsts[alone[entries[firsts]]]
            own = program.entry_sizes[entries[firsts]]
            together[firsts] += own[:, :, None] if side == 0 else own[:, None, :]
            alone[entries] = False
        first, second = program.pair_groups.T
        both = allowed[first][:, :, None] & allowed[second][:, None, :]
        low, high = _extremes(together.reshape(len(both), -1), both.reshape(len(both), -1))
        least += summed_by_row(program.pair_rows, low, count)
        most += summed_by_row(program.pair_rows, high, count)
    low, high = _extremes(program.entry_sizes[alone], allowed[program.entry_groups[alone]])
    return least + summed_by_row(rows[alone], low, count), most + summed_by_row(rows[alone], high, count)


def components(program: Program, binding: IntArray) -> Iterator[Component]:
    """The parts that the binding rows join; groups in no binding row are left out.

    Args:
        program: the whole.
        binding: the rows that can be exceeded, ascending.
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
    for part_groups, part_rows in zip(np.split(groups, group_cuts), np.split(rows, row_cuts), strict=True):
        yield Component(part_groups, part_rows)


def _extremes(sizes: IntArray, allowed: BoolArray) -> tuple[IntArray, IntArray]:
    """The least and the largest of each line's sizes that are allowed."""
    limits = np.iinfo(np.int64)
    return np.where(allowed, sizes, limits.max).min(axis=1), np.where(allowed, sizes, limits.min).max(axis=1)
