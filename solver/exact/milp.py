"""Conversion of the integer program to a mixed-integer linear program for general solvers: HiGHS, or PuLP's.

    x[g, c] in {0, 1}             1 if group g has choice c
    p[f, s, a, b] in [0, 1]       1 if the groups f and s of a pairwise term have the choices a and b
    sum over c of x[g, c] = 1     for each group
    sum over b of p[f, s, a, b] = x[f, a],  sum over a of p[f, s, a, b] = x[s, b]     for each two groups with a term
    sum of sizes * x + sum of sizes * p <= limit     for each row

If x is integer, the two equations leave one value for p: p[f, s, a, b] = x[f, a] * x[s, b]. All solvers receive the
same matrix. They keep constraints only within a tolerance. So each solution is checked in whole numbers; if a row
exceeds its limit, the limit is lowered by the excess and the program is solved again.
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

from solver.exact.program import BoolArray, Float64Array, IntArray, Program, ProgramSolution

MAX_REPAIRS: Final = 20
"""Largest number of times that limits are lowered because a solution exceeds them."""

PROVEN_GAP: Final = 1e-8
"""Relative gap below which a solution counts as optimal. Solvers stop at 1e-9; a difference up to 1e-8 is rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """A mixed-integer linear program: minimize costs * x under rows * x <= limits and equations * x = equal_to.

    Attributes:
        costs: Cost of each variable, float64 [columns].
        upper: Upper bound of each variable, 0 or 1, float64 [columns]; the lower bound is 0.
        is_integer: Whether each variable must be an integer, bool [columns].
        rows: Coefficients of the constraints, sparse [m, columns].
        limits: Right sides of the constraints, int64 [m].
        equations: Coefficients of the equations, sparse [e, columns].
        equal_to: Right sides of the equations, float64 [e].
    """

    costs: Float64Array
    upper: Float64Array
    is_integer: BoolArray
    rows: csr_array
    limits: IntArray
    equations: csr_array
    equal_to: Float64Array


Backend = Callable[[Matrix, IntArray, float], tuple[Float64Array | None, float]]
"""Function (matrix, limits that replace those of the matrix, seconds) -> (x, lower bound). x is None if the program is
infeasible (the bound is then infinite), or if no solution was found in time."""


def solve_integer_program(program: Program, backend: Backend, time_limit_seconds: float) -> ProgramSolution:
    """Solve an integer program by a general solver: choices of minimum summed cost within all limits, with a bound.

    Args:
        program: The integer program.
        backend: Function that calls the general solver.
        time_limit_seconds: Number of seconds after which the solver returns its best solution so far.

    Returns:
        The solution. It has no choices if none keep every limit (its bound is then infinite), or if none were found in
        time.
    """
    deadline = time.perf_counter() + time_limit_seconds
    matrix = _matrix(program)
    limits = program.limits.copy()
    bound = -np.inf
    for _ in range(MAX_REPAIRS):
        seconds = max(deadline - time.perf_counter(), 0.1)
        x, new_bound = backend(matrix, limits, seconds)
        if not bound > -np.inf:
            bound = new_bound  # a later bound holds only for the lowered limits
        if x is None:
            return ProgramSolution(None, np.inf, bound)
        choices = x[: len(program.groups) * program.choice_count].reshape(-1, program.choice_count).argmax(axis=1)
        excess = program.row_sizes(choices) - program.limits
        if (excess <= 0).all():
            objective = program.objective(choices)
            is_proven = objective - bound <= PROVEN_GAP * objective
            return ProgramSolution(choices, objective, objective if is_proven else bound)
        limits -= np.maximum(excess, 0)
    return ProgramSolution(None, np.inf, bound)


def highs(matrix: Matrix, limits: IntArray, seconds: float) -> tuple[Float64Array | None, float]:
    """Solve a mixed-integer linear program by HiGHS, through scipy's `milp`.

    Args:
        matrix: The mixed-integer linear program.
        limits: Right sides of the constraints, int64 [m], in place of those of `matrix`.
        seconds: Time limit in seconds.

    Returns:
        Value of each variable, float64 [columns], None if there is none (see `Backend`); and a lower bound on the cost.
    """
    scale = max(float(matrix.costs.max(initial=0.0)), 1.0)
    # Rows are divided by their limits, so that the tolerance of the solver is relative to the limit.
    row_scales = 1.0 / np.maximum(np.abs(limits), 1)
    result = milp(
        matrix.costs / scale,
        integrality=matrix.is_integer.astype(np.int64),
        bounds=Bounds(0, matrix.upper),
        constraints=[
            LinearConstraint(matrix.equations, matrix.equal_to, matrix.equal_to),
            LinearConstraint(matrix.rows.multiply(row_scales[:, None]).tocsr(), -np.inf, limits * row_scales),
        ],
        # Presolve off: that of HiGHS 1.12, which scipy 1.17 contains, has removed optima and "proven" worse ones.
        options={"time_limit": seconds, "mip_rel_gap": 1e-9, "presolve": False},
    )
    if result.x is None:
        infeasible = result.status == 2
        dual = result.mip_dual_bound
        return None, np.inf if infeasible else -np.inf if dual is None else float(dual) * scale
    return result.x, float(result.mip_dual_bound) * scale


DEFAULT_PULP_SOLVER: Final = "PULP_CBC_CMD"
"""Name of the solver that PuLP uses by default: CBC, which is part of the PuLP package."""


def available_solvers() -> list[str]:
    """Return the names of the integer program solvers that PuLP finds on this machine."""
    import pulp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # see `pulp_backend`
        found: list[str] = pulp.listSolvers(onlyAvailable=True)
    return found


def pulp_backend(solver_name: str = DEFAULT_PULP_SOLVER) -> Backend:
    """Return a backend that solves integer programs with the named solver, which PuLP must find on this machine.

    Args:
        solver_name: Name that PuLP gives to the solver, e.g. PULP_CBC_CMD, GUROBI or CPLEX_PY.
    """

    def solve(matrix: Matrix, limits: IntArray, seconds: float) -> tuple[Float64Array | None, float]:
        import pulp

        model = pulp.LpProblem("bits", pulp.LpMinimize)
        scale = max(float(matrix.costs.max(initial=0.0)), 1.0)
        x = [
            model.add_variable(
                f"x{index}", lowBound=0, upBound=int(top), cat=pulp.LpInteger if whole else pulp.LpContinuous
            )
            for index, (top, whole) in enumerate(zip(matrix.upper.tolist(), matrix.is_integer.tolist(), strict=True))
        ]
        model += pulp.LpAffineExpression(list(zip(x, (matrix.costs / scale).tolist(), strict=True)))

        def left_side(rows: csr_array, row: int) -> Any:  # PuLP has no type annotations
            own = slice(rows.indptr[row], rows.indptr[row + 1])
            return pulp.LpAffineExpression(
                [(x[column], int(size)) for column, size in zip(rows.indices[own], rows.data[own], strict=True)]
            )

        for row, right in enumerate(matrix.equal_to.tolist()):
            model += left_side(matrix.equations, row) == right
        for row, limit in enumerate(limits.tolist()):
            model += left_side(matrix.rows, row) <= limit
        with warnings.catch_warnings():
            # PuLP 3.3 warns that CBC will be a separate package in 4.0; the version of PuLP is locked.
            warnings.simplefilter("ignore", DeprecationWarning)
            status = model.solve(pulp.getSolver(solver_name, msg=False, timeLimit=seconds, gapRel=1e-9))
        if pulp.LpStatus[status] == "Infeasible":
            return None, np.inf
        values = [variable.value() for variable in x]
        if pulp.LpStatus[status] != "Optimal" or any(value is None for value in values):
            return None, -np.inf
        proven = model.sol_status == pulp.LpSolutionOptimal
        objective = float(pulp.value(model.objective)) * scale
        return np.array(values, dtype=np.float64), objective if proven else -np.inf

    return solve


def _matrix(program: Program) -> Matrix:
    """Return an integer program as a mixed-integer linear program with binary variables for the choices.

    Variable k g + c is x[g, c]; the variables after those are p.
    """
    allowed = np.isfinite(program.costs)
    groups, k = len(program.groups), program.choice_count
    # Pairwise terms of the same two groups share their variables, also if they are in different rows.
    term_groups, column_of = np.unique(program.pairwise_groups, axis=0, return_inverse=True)
    both = allowed[term_groups[:, 0]][:, :, None] & allowed[term_groups[:, 1]][:, None, :]
    columns = k * groups + k**2 * len(term_groups)
    entry_columns = program.entry_groups[:, None] * k + np.arange(k)
    term_columns = k * groups + k**2 * column_of.reshape(-1, 1) + np.arange(k**2)
    rows = coo_array(
        (
            np.concatenate((program.entry_sizes.ravel(), program.pairwise_sizes.ravel())).astype(np.float64),
            (
                np.concatenate((np.repeat(program.entry_rows(), k), np.repeat(program.pairwise_rows, k**2))),
                np.concatenate((entry_columns.ravel(), term_columns.ravel())),
            ),
        ),
        shape=(len(program.limits), columns),
    )
    marginals = _marginals(term_groups, groups, columns, k)
    return Matrix(
        costs=np.concatenate((np.where(allowed, program.costs, 0.0).ravel(), np.zeros(both.size))),
        upper=np.concatenate((allowed.ravel(), both.ravel())).astype(np.float64),
        is_integer=np.arange(columns) < k * groups,
        rows=rows.tocsr(),
        limits=program.limits,
        equations=vstack((_one_each(groups, columns, k), marginals)).tocsr(),
        equal_to=np.concatenate((np.ones(groups), np.zeros(marginals.shape[0]))),
    )


def _one_each(groups: int, columns: int, k: int) -> csr_array:
    """Return the linear equations "each group has exactly one choice", sparse [groups, columns]."""
    own = np.arange(groups * k)
    return coo_array((np.ones(len(own)), (own // k, own)), shape=(groups, columns)).tocsr()


def _marginals(term_groups: IntArray, groups: int, columns: int, k: int) -> csr_array:
    """Return the equations that tie the variables of pairwise terms to those of choices, sparse [2 k t, columns].

    For each two groups with a pairwise term, k equations for the choices of the first group are followed by k for those
    of the second.

    Args:
        term_groups: Each two groups that have a pairwise term, int64 [t, 2].
        groups: Number of groups.
        columns: Number of variables.
        k: Number of choices of each group.
    """
    count = len(term_groups)
    lines = 2 * k * np.arange(count)[:, None, None]
    first, second = np.arange(k)[:, None], np.arange(k)[None, :]
    own = k * groups + k**2 * np.arange(count)[:, None, None] + k * first + second
    x_lines = np.arange(2 * k * count)
    x_columns = (k * term_groups[:, :, None] + np.arange(k)).ravel()
    of_first, of_second = (
        np.broadcast_to(lines + first, own.shape),
        np.broadcast_to(lines + k + second, own.shape),
    )
    return coo_array(
        (
            np.concatenate((np.ones(2 * own.size), np.full(len(x_lines), -1.0))),
            (
                np.concatenate((of_first.ravel(), of_second.ravel(), x_lines)),
                np.concatenate((own.ravel(), own.ravel(), x_columns)),
            ),
        ),
        shape=(2 * k * count, columns),
    ).tocsr()
