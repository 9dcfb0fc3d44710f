"""A network and a budget in, a judged answer out."""

from __future__ import annotations

import math
from dataclasses import replace

from network.allocation import NARROWEST_BITS, Allocation, Bits
from network.budget import Budget
from network.errors import RequestError
from network.memory.accounting import Accounting
from network.memory.measure import measure
from network.memory.report import MemoryReport
from network.network import Network
from network.sensitivity.table import SensitivityTable, check_sensitivity
from solver.exact.choices import check_choices
from solver.exact.options import ExactOptions
from solver.problem import BITS_PER_BYTE, Problem, problem_of
from solver.rules.cuts import cut_activations, cut_weights, narrowest_activations, scheme_of
from solver.solution import Certificate, Method, Solution, largest_layer
from solver.validator import violations


def fit(
    network: Network,
    budget: Budget,
    method: Method,
    accounting: Accounting,
    sensitivity: SensitivityTable | None = None,
    options: ExactOptions | None = None,
) -> Solution:
    """Choose the bits of every tensor, or show that none do.

    Args:
        network: in the file's order.
        budget: what may be taken.
        method: how bits are chosen.
        accounting: the rule book that counts.
        sensitivity: what the exact program minimises, and what the rules' answers are compared by.
        options: of the exact program.

    Raises:
        InvalidNetwork: the network has no layer with weights.
        RequestError: the exact program without a table, or with one that does not fit the network; a rule with a
            latency ceiling or bits that are not allowed; options that do not fit the network.
        RuntimeError: the answer breaks a rule that the validator knows: a fault of ours, never an answer.
    """
    options = options or ExactOptions()
    if sensitivity is not None:
        check_sensitivity(sensitivity, network)
    check_choices(options.choices, network, accounting.same_bits(network))
    if method is not Method.EXACT and (options.latency is not None or options.choices.restricts_bits):
        what = "a latency ceiling" if options.latency is not None else "allowed bits of single tensors"
        raise RequestError(f"{method} looks at sizes alone; only exact keeps {what}: leave that out or use exact")
    if method is Method.EXACT:
        if sensitivity is None:
            raise RequestError("the exact program needs a sensitivity table to minimise, e.g. sensitivity 'weights'")
        # scipy takes longer to load than a rule to answer.
        from solver.exact.answer import exactly

        solution = exactly(network, budget, accounting, sensitivity, options)
    else:
        solution = _by_rule(network, budget, method, accounting)
        if solution.allocation is not None and sensitivity is not None:
            allocation = solution.allocation
            objective = sensitivity.objective(allocation.weight_bits, allocation.activation_bits)
            solution = replace(solution, objective=objective)
    if solution.allocation is not None:
        broken = violations(
            solution.network, budget, method, accounting, solution.allocation, options.choices, options.latency
        )
        if broken:
            raise RuntimeError(f"{method} broke its own rules on '{network.name}': {'; '.join(broken)}")
    return solution


def _by_rule(network: Network, budget: Budget, method: Method, accounting: Accounting) -> Solution:
    problem = problem_of(network, budget, accounting)
    narrowest = _measured(network, problem, method, accounting, narrowest_activations(problem), None)[1]
    activation_bits = _placed_activations(network, problem, budget, method, accounting, narrowest)
    if activation_bits is None:
        certificate = Certificate(
            "ram",
            narrowest.peak_layer,
            narrowest.ram_bytes,
            budget.ram_bytes,
            conflicting=("ram",),
            least_ram_bytes=narrowest.ram_bytes,
        )
        return Solution(method, None, certificate, narrowest, network)
    weight_bits, fits = cut_weights(problem, method, activation_bits)
    allocation, report = _measured(network, problem, method, accounting, activation_bits, weight_bits)
    if not fits:
        # Code that is linked for some bits of activations only can make another end of the rule larger than this one.
        end = narrowest if narrowest.flash_bytes == report.flash_bytes else report
        certificate = Certificate(
            "flash",
            largest_layer(end),
            end.flash_bytes,
            budget.flash_bytes,
            conflicting=("flash",),
            least_flash_bytes=end.flash_bytes,
            least_ram_bytes=narrowest.ram_bytes,
        )
        return Solution(method, None, certificate, end, network)
    return Solution(method, allocation, None, report, network, given_order_ram_bytes=report.ram_bytes)


def _placed_activations(
    network: Network,
    problem: Problem,
    budget: Budget,
    method: Method,
    accounting: Accounting,
    narrowest: MemoryReport,
) -> dict[str, Bits] | None:
    """The rule's bits, with as much of the budget held back as the arena needs beyond its largest step.

    None where RAM does not suffice: a step that the rule leaves undone has the fewest bits, as in `narrowest`. Where
    outputs lie on inputs of the same bits, more bits can fit though the fewest do not.
    """
    if narrowest.ram_bytes > budget.ram_bytes and not problem.has_steps_in_place:
        return None
    reserved_bytes = 0
    while True:
        bits = cut_activations(problem, reserved=BITS_PER_BYTE * reserved_bytes)
        _, report = _measured(network, problem, method, accounting, bits, None)
        excess_bytes = report.ram_bytes - budget.ram_bytes
        if excess_bytes <= 0:
            return bits
        undone = reserved_bytes == 0 and any(step.taken(bits) > step.limit for step in problem.steps)
        if undone or bits == narrowest_activations(problem):
            return None
        reserved_bytes += math.ceil(excess_bytes)


def _measured(
    network: Network,
    problem: Problem,
    method: Method,
    accounting: Accounting,
    activation_bits: dict[str, Bits],
    weight_bits: list[Bits] | None,
) -> tuple[Allocation, MemoryReport]:
    """The allocation of these bits, weights at 2 bits if they are not chosen yet, and its report."""
    chosen = weight_bits or [NARROWEST_BITS] * len(problem.weights)
    allocation = Allocation(
        weight_bits={tensor.layer: bits for tensor, bits in zip(problem.weights, chosen, strict=True)},
        activation_bits={tensor: activation_bits[own] for tensor, own in accounting.same_bits(network).items()},
        schemes={
            tensor.layer: scheme_of(method, bits, activation_bits[tensor.output])
            for tensor, bits in zip(problem.weights, chosen, strict=True)
        },
    )
    return allocation, measure(network, allocation, accounting)
