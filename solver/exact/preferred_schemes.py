"""Choice of the preferred scheme for as many layers as possible, at the bits that the integer program has chosen.

The program leaves out a scheme if another one has neither a larger sensitivity nor more bytes at the same bits, so that
it chooses the scheme of the fewest bytes where a table does not distinguish schemes. The flash that is left is then
used for preferred schemes:

    for each scheme, the preferred one first:
        for each layer with another, less preferred scheme, by ascending bytes that the change needs:
            change it to this scheme, if the sum does not grow and the network still fits

So the largest number of layers has the preferred scheme that these bits allow.
"""

from __future__ import annotations

from network.allocation import WEIGHT_SCHEMES, Allocation
from solver.exact.formulation import FLASH_ROW, Formulation, allocation_of, allocation_with
from solver.exact.program import IntArray
from solver.exact.weight_options import WeightOption
from solver.problem import Problem


def with_preferred_schemes(problem: Problem, formulation: Formulation, choices: IntArray) -> Allocation:
    """Return the allocation of a solution, with the preferred scheme in each layer where the flash allows it.

    Args:
        problem: The allocation problem.
        formulation: The exact program of the problem.
        choices: Choice of each group, int64 [n].
    """
    chosen = list(formulation.chosen_options(choices))
    allocation = allocation_of(problem, formulation, choices)
    program = formulation.program
    flash = program.row_names.index(FLASH_ROW)
    room = int(program.limits[flash] - program.row_sizes(choices)[flash])
    owners = tuple(problem.weight_tensors)
    for index, owner in enumerate(owners):
        # Folding is decided by the bits: it may save more than the chosen option counts.
        actual = next(
            each
            for each in formulation.all_options[index]
            if (each.bits, each.scheme) == (chosen[index].bits, allocation.schemes[owner])
        )
        room += chosen[index].size - actual.size
        chosen[index] = actual
    for rank, scheme in enumerate(WEIGHT_SCHEMES):
        changes: list[tuple[int, int, WeightOption]] = []
        for index, option in enumerate(chosen):
            if WEIGHT_SCHEMES.index(option.scheme.weights) > rank:
                changes += [
                    (each.size - option.size, index, each)
                    for each in formulation.all_options[index]
                    if each.scheme.weights is scheme
                    and each.bits == option.bits
                    and each.cost <= option.cost
                    and (not each.is_folded or option.is_folded)
                ]
        for more, index, option in sorted(changes, key=lambda change: change[:2]):
            if chosen[index].scheme.weights is not scheme and more <= room:
                chosen[index] = option
                room -= more
    return allocation_with(problem, formulation, choices, tuple(chosen))
