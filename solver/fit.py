"""The entry point of the solver: a question (network, budget, options) in, an allocation of bits out."""

from __future__ import annotations

from dataclasses import replace

from solver.options import Method
from solver.question import Question, check_question
from solver.rules.solve import solve_by_rule
from solver.solution import Solution
from solver.validator import violations


def fit(question: Question) -> Solution:
    """Choose the bits of every tensor of a network under a budget, or certify that no bits fit.

    Args:
        question: The network, the budget and all options.

    Raises:
        InvalidNetwork: If the network has no layer with weights.
        RequestError: If parts of the question do not suit each other (see `check_question`), or if the exact program
            neither found bits nor proved that there are none within its time limit.
        RuntimeError: If the validator finds that the solution breaks a rule, which is a bug of the solver.
    """
    check_question(question)
    if question.method is Method.EXACT:
        # Imported only if needed: the exact program imports scipy, which takes longer than applying a rule.
        from solver.exact.solve import solve_by_exact_program

        solution = solve_by_exact_program(question)
    else:
        solution = solve_by_rule(question)
        allocation, table = solution.allocation, question.sensitivity
        if allocation is not None and table is not None:
            objective = table.objective(allocation.weight_bits, allocation.activation_bits)
            solution = replace(solution, objective=objective)
    broken = violations(question, solution)
    if broken:
        raise RuntimeError(
            f"the solution of '{question.network.name}' by {question.method} is invalid: {'; '.join(broken)}"
        )
    return solution
