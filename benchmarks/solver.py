"""Benchmark of the exact program's own solver against general integer-program solvers on the same instances.

    python -m benchmarks.solver [--json] [--plot FILE.svg] [--max-layers N] [--peer-limit SECONDS] [--runs N]

The instances are random chains and residual graphs (every third layer also keeps the tensor of two layers before
alive). Each tensor has three choices; the flash budget is half of the flash of 8 bits, and the RAM budget is about half
of the largest RAM. `native` decomposes the problem; scipy's `milp` (HiGHS) and PuLP's CBC solve the same rows as a
whole. A peer that needs more than half of the time limit, or finds no solution, is not run on larger sizes.

Every solver is called once on the smallest instance before its time is measured. The time of native is the median of
its runs; a peer runs once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.own_output import own_output
from benchmarks.solver_rows import FORMS, NATIVE, Row, conclusions, document, table
from solver.exact.indicator_search import solve_exactly
from solver.exact.milp import highs, pulp_backend, solve_integer_program
from solver.exact.program import Program, ProgramSolution, integer_costs

SIZES: Final = (28, 100, 1000, 3000, 10_000, 30_000, 100_000)


def instance(form: str, layers: int, seed: int = 0) -> Program:
    """Return a random problem of choosing bits: activation tensors 0 to `layers`, then one weight tensor per layer."""
    rng = np.random.default_rng(seed)
    bits = np.array([8, 4, 2])
    activations = np.outer(rng.integers(100, 100_000, layers + 1), bits)
    weights = np.outer(rng.integers(100, 100_000, layers), bits)
    hurt = rng.exponential(1.0, (2 * layers + 1, 1)) * rng.uniform(0.5, 1.5, (2 * layers + 1, 3)) * [1e-3, 0.1, 2.0]
    costs, _ = integer_costs(np.sort(hurt, axis=1))
    limit = int((activations[:-1, 0] + activations[1:, 0]).max() * 0.55)
    groups, sizes, starts = [], [], [0]
    for step in range(layers):
        alive = [step, step + 1]
        if form == "residual" and step % 3 == 2:
            alive.insert(0, step - 2)
        groups += alive
        sizes += [activations[tensor] for tensor in alive]
        starts.append(len(groups))
    groups += range(layers + 1, 2 * layers + 1)
    sizes += list(weights)
    starts.append(len(groups))
    return Program(
        groups=tuple(f"tensor {index}" for index in range(2 * layers + 1)),
        costs=costs,
        row_names=(*(f"step {step}" for step in range(layers)), "flash"),
        limits=np.array([limit] * layers + [int(weights[:, 0].sum()) // 2], dtype=np.int64),
        row_starts=np.array(starts, dtype=np.int64),
        entry_groups=np.array(groups, dtype=np.int64),
        entry_sizes=np.array(sizes, dtype=np.int64),
    )


def measured(max_layers: int, peer_limit_seconds: float, runs: int) -> list[Row]:
    """Measure the time of each solver on all sizes up to `max_layers`; a solver that is too slow is left out."""
    solvers: dict[str, Callable[[Program], ProgramSolution]] = {
        NATIVE: solve_exactly,
        "HiGHS": partial(solve_integer_program, backend=highs, time_limit_seconds=peer_limit_seconds),
        "CBC": partial(solve_integer_program, backend=pulp_backend(), time_limit_seconds=peer_limit_seconds),
    }
    for solve in solvers.values():
        solve(instance(FORMS[0], SIZES[0]))
    rows = []
    for form in FORMS:
        too_slow: set[str] = set()
        for layers in (size for size in SIZES if size <= max_layers):
            program = instance(form, layers)
            for name in (each for each in solvers if each not in too_slow):
                seconds, solution = _timed(partial(solvers[name], program), runs if name == NATIVE else 1)
                if name != NATIVE and (seconds > peer_limit_seconds / 2 or solution.choices is None):
                    too_slow.add(name)
                gap = (
                    (solution.objective - solution.bound) / solution.objective
                    if solution.choices is not None
                    else np.inf
                )
                rows.append(Row(form, layers, name, seconds, solution.objective, float(gap)))
    return rows


def _timed(solve: Callable[[], ProgramSolution], runs: int) -> tuple[float, ProgramSolution]:
    """Measure the median wall time in seconds of a solver over several runs; return also the last solution."""
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        solution = solve()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), solution


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="plot seconds over layers, as SVG (or PNG, PDF)")
    parser.add_argument(
        "--max-layers", type=int, default=SIZES[-1], help="largest number of layers (default: %(default)s)"
    )
    parser.add_argument("--peer-limit", type=float, default=60.0, help="time limit of a peer (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="number of runs of native (default: %(default)s)")
    options = parser.parse_args()
    if options.runs < 1 or options.max_layers < SIZES[0]:
        parser.error(f"--runs must be 1 or more, --max-layers {SIZES[0]} or more")
    with own_output():
        rows = measured(options.max_layers, options.peer_limit, options.runs)
    if options.plot is not None:
        # matplotlib is slow to import, and only a run with a plot needs it.
        from benchmarks.plot_solver import draw

        draw(rows, options.peer_limit, options.plot)
    if options.json:
        print(json.dumps(document(rows, options.peer_limit)))
        return
    print(f"{'form':9} {'layers':>7} {'solver':7} {'seconds':>9} {'times native':>13} {'gap':>9}  objective")
    native = {(row.form, row.layers): row for row in rows if row.solver == NATIVE}
    for row in rows:
        ours = native[row.form, row.layers]
        ratio = f"{row.seconds / ours.seconds:,.0f}"
        found = f"{row.objective / ours.objective:.9f} of native's"
        print(f"{row.form:9} {row.layers:7} {row.solver:7} {row.seconds:9.3f} {ratio:>13} {row.gap:9.1e}  {found}")
    print(f"\n{table(rows)}\n")
    for line in conclusions(rows):
        print(line)


if __name__ == "__main__":
    main()
