"""The entry point of the solver: a question (network, budget, options) in, an allocation of bits out."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from network.allocation import BITS, WIDEST_BITS, Bits
from network.errors import RequestError
from network.sensitivity.table import Row
from solver.options import MIN_SOLVE_SECONDS, Method
from solver.question import Question, check_question
from solver.rules.solve import solve_by_rule
from solver.solution import Solution
from solver.validator import violations

SMALLEST_SAVING: Final = 1e-9
"""Share of the summed sensitivity up to which a smaller sum of another accounting is rounding, not a gain."""


def fit(question: Question) -> Solution:
    """Choose the bits of every tensor of a network under a budget, or certify that no bits fit.

    An alternative accounting of the question is used if the network fits only by it, or if it allows a smaller sum of
    sensitivities. All solves together have the time limit of the question.

    Args:
        question: The network, the budget and all options.

    Raises:
        InvalidNetwork: If the network has no layer with weights.
        RequestError: If parts of the question do not suit each other (see `check_question`), or if the exact program
            neither found bits nor proved that there are none within its time limit.
        RuntimeError: If the validator finds that the solution breaks a rule, which is a bug of the solver.
    """
    check_question(question)
    deadline = time.perf_counter() + question.options.time_limit_seconds
    best = _solved(question)
    for accounting in question.alternatives:
        if _is_least(question, best):
            break
        seconds = max(deadline - time.perf_counter(), min(MIN_SOLVE_SECONDS, question.options.time_limit_seconds))
        options = question.options.replace(time_limit_seconds=min(seconds, question.options.time_limit_seconds))
        try:
            other = _solved(replace(question, accounting=accounting, options=options))
        except RequestError:  # the question is valid: the time was too short to find bits, or a proof
            best = _unproven(best)
        else:
            best = _better(best, other)
    broken = violations(question, best)
    if broken:
        raise RuntimeError(
            f"the solution of '{question.network.name}' by {question.method} is invalid: {'; '.join(broken)}"
        )
    return best


def _solved(question: Question) -> Solution:
    """Return the solution of a question by its own accounting, without its alternatives."""
    if question.method is Method.EXACT:
        # Imported only if needed: the exact program imports scipy, which takes longer than applying a rule.
        from solver.exact.solve import solve_by_exact_program

        return solve_by_exact_program(question)
    solution = solve_by_rule(question)
    allocation, table = solution.allocation, question.sensitivity
    if allocation is None or table is None:
        return solution
    return replace(solution, objective=table.objective(allocation))


def _is_least(question: Question, solution: Solution) -> bool:
    """Return whether other bytes cannot improve a solution: every tensor has the best of the bits that it may have."""
    if solution.allocation is None:
        return False
    table = question.sensitivity
    if table is None or solution.objective is None:  # without a sum of sensitivities, nothing can be compared
        return True
    choices, network = question.choices, question.network
    fixed = dict.fromkeys((*network.input_names, *network.outputs), (WIDEST_BITS,))
    least = math.fsum(
        (
            *_least([table.weight_rows(scheme) for scheme in choices.schemes], choices.allowed_weight_bits),
            *_least([table.activations], {**choices.allowed_activation_bits, **fixed}),
        )
    )
    return solution.objective <= least * (1 + SMALLEST_SAVING)


def _least(alternatives: Sequence[Mapping[str, Row]], allowed: Mapping[str, Collection[Bits]]) -> list[float]:
    """Return the smallest sensitivity of each tensor over its allowed bits and all tables of rows."""
    return [
        min(rows[name][bits] for rows in alternatives for bits in allowed.get(name, BITS)) for name in alternatives[0]
    ]


def _better(first: Solution, other: Solution) -> Solution:
    """Return the better of two solutions by different accountings, the first one if they are equal.

    Its lower bound and its proof hold for both accountings.
    """
    if first.allocation is None and other.allocation is None:
        return _closer(first, other)
    if first.allocation is None:
        return other
    if other.allocation is None or first.objective is None or other.objective is None:
        return first
    is_better = other.objective < first.objective * (1 - SMALLEST_SAVING)
    bounds = (first.bound, other.bound)
    bound = None if None in bounds else min(each for each in bounds if each is not None)
    return replace(other if is_better else first, bound=bound)


def _closer(first: Solution, other: Solution) -> Solution:
    """Return, of two certificates that no bits fit, the one whose minimum requirement is less, else the first one."""
    assert first.certificate is not None  # noqa: S101  # no bits fit
    assert other.certificate is not None  # noqa: S101  # no bits fit
    ours, theirs = first.certificate, other.certificate
    is_closer = (
        ours.budget == theirs.budget
        and ours.least_bytes is not None
        and theirs.least_bytes is not None
        and theirs.least_bytes < ours.least_bytes
    )
    kept, certificate = (other, theirs) if is_closer else (first, ours)
    return replace(kept, certificate=replace(certificate, is_proven=ours.is_proven and theirs.is_proven))


def _unproven(solution: Solution) -> Solution:
    """Return a solution without what was proven for its accounting alone."""
    if solution.certificate is not None:
        return replace(solution, certificate=replace(solution.certificate, is_proven=False))
    return replace(solution, bound=None)
