"""The program as a sparse integer program, for general solvers: HiGHS through scipy, or any that PuLP knows.

    x[g, c] in {0, 1}          group g takes choice c
    sum over c of x[g, c] = 1  for every group
    sum of sizes * x <= limit  for every row

The two backends see the same matrix. Solvers keep rows to a tolerance, so an answer is checked in whole numbers, and a
row that is exceeded by a hair gets the hair off its limit and is solved again.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Final

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array

from solver.program import CHOICES, Answer, FloatArray, IntArray, Program

MAX_REPAIRS: Final = 20

Backend = Callable[[FloatArray, csr_array, IntArray, FloatArray, float], tuple[FloatArray | None, float]]
"""(costs, rows, limits, upper bounds of x, seconds) -> (x or None when infeasible or out of time, lower bound)."""


def solve_integer_program(program: Program, backend: Backend, time_limit_seconds: float) -> Answer:
    """The cheapest choices by a general solver.

    Returns:
        An answer; without choices if none keep every row, or none was found in time (its bound is then finite).
    """
    deadline = time.perf_counter() + time_limit_seconds
    allowed = np.isfinite(program.costs)
    costs = np.where(allowed, program.costs, 0.0).ravel()
    rows = _matrix(program)
    limits = program.limits.copy()
    bound = -np.inf
    for _ in range(MAX_REPAIRS):
        seconds = max(deadline - time.perf_counter(), 0.1)
        x, new_bound = backend(costs, rows, limits, allowed.ravel().astype(np.float64), seconds)
        if not bound > -np.inf:
            bound = new_bound  # later ones are of a tightened program
        if x is None:
            return Answer(None, np.inf, bound)
        choices = x.reshape(-1, CHOICES).argmax(axis=1)
        excess = program.row_sizes(choices) - program.limits
        if (excess <= 0).all():
            objective = program.objective(choices)
            return Answer(choices, objective, min(objective, bound))
        limits -= np.maximum(excess, 0)
    return Answer(None, np.inf, bound)


def highs(
    costs: FloatArray, rows: csr_array, limits: IntArray, upper: FloatArray, seconds: float
) -> tuple[FloatArray | None, float]:
    """HiGHS through scipy's `milp`."""
    groups = len(costs) // CHOICES
    scale = max(float(costs.max(initial=0.0)), 1.0)
    result = milp(
        costs / scale,
        integrality=np.ones(len(costs)),
        bounds=Bounds(0, upper),
        constraints=[
            LinearConstraint(_one_each(groups), 1, 1),
            LinearConstraint(_normalised(rows, limits), -np.inf, np.where(limits > 0, 1.0, 0.0)),
        ],
        options={"time_limit": seconds, "mip_rel_gap": 1e-9},
    )
    if result.x is None:
        infeasible = result.status == 2
        dual = result.mip_dual_bound
        return None, np.inf if infeasible or dual is None else float(dual) * scale
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

    def solve(
        costs: FloatArray, rows: csr_array, limits: IntArray, upper: FloatArray, seconds: float
    ) -> tuple[FloatArray | None, float]:
        import pulp

        problem = pulp.LpProblem("bits", pulp.LpMinimize)
        scale = max(float(costs.max(initial=0.0)), 1.0)
        x = [
            problem.add_variable(f"x{index}", lowBound=0, upBound=int(top), cat=pulp.LpInteger)
            for index, top in enumerate(upper.tolist())
        ]
        problem += pulp.LpAffineExpression(list(zip(x, (costs / scale).tolist(), strict=True)))
        for group in range(0, len(x), CHOICES):
            problem += pulp.lpSum(x[group : group + CHOICES]) == 1
        for row, limit in enumerate(limits.tolist()):
            start, end = rows.indptr[row], rows.indptr[row + 1]
            terms = [(x[i], int(v)) for i, v in zip(rows.indices[start:end], rows.data[start:end], strict=True)]
            problem += pulp.LpAffineExpression(terms) <= limit
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


def _matrix(program: Program) -> csr_array:
    entries = len(program.entry_groups)
    rows = np.repeat(program.entry_rows(), CHOICES)
    columns = (program.entry_groups[:, None] * CHOICES + np.arange(CHOICES)).ravel()
    shape = (len(program.limits), len(program.groups) * CHOICES)
    matrix = coo_array((program.entry_sizes.ravel().astype(np.float64), (rows, columns)), shape=shape)
    assert entries * CHOICES == matrix.nnz  # noqa: S101
    return matrix.tocsr()


def _one_each(groups: int) -> csr_array:
    columns = np.arange(groups * CHOICES)
    return coo_array((np.ones(len(columns)), (columns // CHOICES, columns))).tocsr()


def _normalised(rows: csr_array, limits: IntArray) -> csr_array:
    """Each row over its limit, so that a solver's tolerance means the same in all of them."""
    scales = 1.0 / np.maximum(limits, 1)
    scaled: csr_array = rows.multiply(scales[:, None]).tocsr()
    return scaled
