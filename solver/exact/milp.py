"""The program as a sparse integer program, for general solvers: HiGHS through scipy, or any that PuLP knows.

    x[g, c] in {0, 1}             group g takes choice c
    p[f, s, a, b] in [0, 1]       of the groups f and s of a pair, the first takes a and the second b
    sum over c of x[g, c] = 1     for every group
    sum over b of p[f, s, a, b] = x[f, a],  sum over a of p[f, s, a, b] = x[s, b]     for every pair
    sum of sizes * x + sum of sizes * p <= limit     for every row

With whole x, p is whole too: these are the marginals of the only product that has them. The backends see the same
matrix. Solvers keep rows to a tolerance, so an answer is checked in whole numbers, and a row that is exceeded by a hair
gets the hair off its limit and is solved again.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array, vstack

from solver.exact.program import CHOICES, Answer, BoolArray, FloatArray, IntArray, Program

MAX_REPAIRS: Final = 20

PROVEN_GAP: Final = 1e-8
"""Solvers are asked for 1e-9, in floating point; what is left below this is rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """What a general solver is given: minimise costs * x under rows * x <= limits and equations * x = equal_to.

    Attributes:
        costs: float64 [columns].
        upper: float64 [columns], 0 or 1: x lies between 0 and it.
        is_whole: bool [columns].
        rows: [m, columns].
        limits: int64 [m].
        equations: [e, columns].
        equal_to: float64 [e].
    """

    costs: FloatArray
    upper: FloatArray
    is_whole: BoolArray
    rows: csr_array
    limits: IntArray
    equations: csr_array
    equal_to: FloatArray


Backend = Callable[[Matrix, IntArray, float], tuple[FloatArray | None, float]]
"""(matrix, limits in place of its own, seconds) -> (x or None when infeasible or out of time, lower bound)."""


def solve_integer_program(program: Program, backend: Backend, time_limit_seconds: float) -> Answer:
    """The cheapest choices by a general solver.

    Returns:
        An answer; without choices if none keep every row (its bound is then infinite), or none was found in time.
    """
    deadline = time.perf_counter() + time_limit_seconds
    matrix = _matrix(program)
    limits = program.limits.copy()
    bound = -np.inf
    for _ in range(MAX_REPAIRS):
        seconds = max(deadline - time.perf_counter(), 0.1)
        x, new_bound = backend(matrix, limits, seconds)
        if not bound > -np.inf:
            bound = new_bound  # later ones are of a tightened program
        if x is None:
            return Answer(None, np.inf, bound)
        choices = x[: len(program.groups) * CHOICES].reshape(-1, CHOICES).argmax(axis=1)
        excess = program.row_sizes(choices) - program.limits
        if (excess <= 0).all():
            objective = program.objective(choices)
            is_proven = objective - bound <= PROVEN_GAP * objective
            return Answer(choices, objective, objective if is_proven else bound)
        limits -= np.maximum(excess, 0)
    return Answer(None, np.inf, bound)


def highs(matrix: Matrix, limits: IntArray, seconds: float) -> tuple[FloatArray | None, float]:
    """HiGHS through scipy's `milp`."""
    scale = max(float(matrix.costs.max(initial=0.0)), 1.0)
    # Each row over its limit, so that a solver's tolerance means the same in all of them.
    row_scales = 1.0 / np.maximum(np.abs(limits), 1)
    result = milp(
        matrix.costs / scale,
        integrality=matrix.is_whole.astype(np.int64),
        bounds=Bounds(0, matrix.upper),
        constraints=[
            LinearConstraint(matrix.equations, matrix.equal_to, matrix.equal_to),
            LinearConstraint(matrix.rows.multiply(row_scales[:, None]).tocsr(), -np.inf, limits * row_scales),
        ],
        options={"time_limit": seconds, "mip_rel_gap": 1e-9},
    )
    if result.x is None:
        infeasible = result.status == 2
        dual = result.mip_dual_bound
        return None, np.inf if infeasible else -np.inf if dual is None else float(dual) * scale
    return result.x, float(result.mip_dual_bound) * scale


DEFAULT_PULP_SOLVER: Final = "PULP_CBC_CMD"
"""CBC, which comes with PuLP."""


def available_solvers() -> list[str]:
    """The solvers that PuLP finds here."""
    import pulp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # as below
        found: list[str] = pulp.listSolvers(onlyAvailable=True)
    return found


def pulp_backend(solver_name: str = DEFAULT_PULP_SOLVER) -> Backend:
    """Any solver that PuLP knows and finds here, e.g. PULP_CBC_CMD, GUROBI, CPLEX_PY."""

    def solve(matrix: Matrix, limits: IntArray, seconds: float) -> tuple[FloatArray | None, float]:
        import pulp

        problem = pulp.LpProblem("bits", pulp.LpMinimize)
        scale = max(float(matrix.costs.max(initial=0.0)), 1.0)
        x = [
            problem.add_variable(
                f"x{index}", lowBound=0, upBound=int(top), cat=pulp.LpInteger if whole else pulp.LpContinuous
            )
            for index, (top, whole) in enumerate(zip(matrix.upper.tolist(), matrix.is_whole.tolist(), strict=True))
        ]
        problem += pulp.LpAffineExpression(list(zip(x, (matrix.costs / scale).tolist(), strict=True)))

        def terms(rows: csr_array, row: int) -> Any:  # PuLP ships no types
            own = slice(rows.indptr[row], rows.indptr[row + 1])
            return pulp.LpAffineExpression(
                [(x[column], int(size)) for column, size in zip(rows.indices[own], rows.data[own], strict=True)]
            )

        for row, right in enumerate(matrix.equal_to.tolist()):
            problem += terms(matrix.equations, row) == right
        for row, limit in enumerate(limits.tolist()):
            problem += terms(matrix.rows, row) <= limit
        with warnings.catch_warnings():
            # PuLP 3.3 announces that CBC will be an extra package of 4.0; the lock says which PuLP this is.
            warnings.simplefilter("ignore", DeprecationWarning)
            status = problem.solve(pulp.getSolver(solver_name, msg=False, timeLimit=seconds, gapRel=1e-9))
        if pulp.LpStatus[status] == "Infeasible":
            return None, np.inf
        values = [variable.value() for variable in x]
        if pulp.LpStatus[status] != "Optimal" or any(value is None for value in values):
            return None, -np.inf
        proven = problem.sol_status == pulp.LpSolutionOptimal
        objective = float(pulp.value(problem.objective)) * scale
        return np.array(values, dtype=np.float64), objective if proven else -np.inf

    return solve


def _matrix(program: Program) -> Matrix:
    allowed = np.isfinite(program.costs)
    groups = len(program.groups)
    # Pairs of the same two groups share their columns, in whatever rows they stand.
    pairs, column_of = np.unique(program.pair_groups, axis=0, return_inverse=True)
    both = allowed[pairs[:, 0]][:, :, None] & allowed[pairs[:, 1]][:, None, :]
    columns = CHOICES * groups + CHOICES**2 * len(pairs)
    entry_columns = program.entry_groups[:, None] * CHOICES + np.arange(CHOICES)
    pair_columns = CHOICES * groups + CHOICES**2 * column_of.reshape(-1, 1) + np.arange(CHOICES**2)
    rows = coo_array(
        (
            np.concatenate((program.entry_sizes.ravel(), program.pair_sizes.ravel())).astype(np.float64),
            (
                np.concatenate((np.repeat(program.entry_rows(), CHOICES), np.repeat(program.pair_rows, CHOICES**2))),
                np.concatenate((entry_columns.ravel(), pair_columns.ravel())),
            ),
        ),
        shape=(len(program.limits), columns),
    )
    marginals = _marginals(pairs, groups, columns)
    return Matrix(
        costs=np.concatenate((np.where(allowed, program.costs, 0.0).ravel(), np.zeros(both.size))),
        upper=np.concatenate((allowed.ravel(), both.ravel())).astype(np.float64),
        is_whole=np.arange(columns) < CHOICES * groups,
        rows=rows.tocsr(),
        limits=program.limits,
        equations=vstack((_one_each(groups, columns), marginals)).tocsr(),
        equal_to=np.concatenate((np.ones(groups), np.zeros(marginals.shape[0]))),
    )


def _one_each(groups: int, columns: int) -> csr_array:
    own = np.arange(groups * CHOICES)
    return coo_array((np.ones(len(own)), (own // CHOICES, own)), shape=(groups, columns)).tocsr()


def _marginals(pairs: IntArray, groups: int, columns: int) -> csr_array:
    """For each pair: three lines of its first group's choices, then three of its second's."""
    count = len(pairs)
    lines = 2 * CHOICES * np.arange(count)[:, None, None]
    first, second = np.arange(CHOICES)[:, None], np.arange(CHOICES)[None, :]
    own = CHOICES * groups + CHOICES**2 * np.arange(count)[:, None, None] + CHOICES * first + second
    x_lines = np.arange(2 * CHOICES * count)
    x_columns = (CHOICES * pairs[:, :, None] + np.arange(CHOICES)).ravel()
    of_first, of_second = (
        np.broadcast_to(lines + first, own.shape),
        np.broadcast_to(lines + CHOICES + second, own.shape),
    )
    return coo_array(
        (
            np.concatenate((np.ones(2 * own.size), np.full(len(x_lines), -1.0))),
            (
                np.concatenate((of_first.ravel(), of_second.ravel(), x_lines)),
                np.concatenate((own.ravel(), own.ravel(), x_columns)),
            ),
        ),
        shape=(2 * CHOICES * count, columns),
    ).tocsr()
