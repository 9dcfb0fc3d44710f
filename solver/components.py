"""A program falls apart where no row that can bind joins two groups: each part is solved alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from solver.program import IntArray, Program


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
    """What each row takes at the least and at the most, over the choices that are allowed."""
    allowed = np.isfinite(program.costs[program.entry_groups])
    rows = program.entry_rows()
    huge = np.iinfo(np.int64).max
    least = np.where(allowed, program.entry_sizes, huge).min(axis=1)
    most = np.where(allowed, program.entry_sizes, 0).max(axis=1)
    count = len(program.limits)
    return _summed(rows, least, count), _summed(rows, most, count)


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


def _summed(rows: IntArray, sizes: IntArray, count: int) -> IntArray:
    sums = np.zeros(count, dtype=np.int64)
    np.add.at(sums, rows, sizes)
    return sums
