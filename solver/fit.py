"""A network and a budget in, a judged answer out."""

from __future__ import annotations

from network.allocation import NARROWEST_BITS, Allocation, Bits
from network.budget import Budget
from network.memory import Accounting, MemoryReport, measure
from network.network import Network
from solver.problem import Problem, problem_of
from solver.rules import cut_activations, cut_weights, narrowest_activations, scheme_of
from solver.solution import Certificate, Method, Solution
from solver.validator import violations


def fit(network: Network, budget: Budget, method: Method, accounting: Accounting) -> Solution:
    """Choose the bits of every tensor, or show that none do.

    Raises:
        InvalidNetwork: the network has no layer with weights.
        RuntimeError: the answer breaks a rule that the validator knows: a fault of ours, never an answer.
    """
    problem = problem_of(network, budget, accounting)
    narrow_weights: list[Bits] = [NARROWEST_BITS] * len(problem.weights)
    narrow = _allocation(network, problem, method, narrowest_activations(problem), narrow_weights)
    narrowest = measure(network, narrow, accounting)
    if narrowest.ram_bytes > budget.ram_bytes:
        certificate = Certificate("ram", narrowest.peak_layer, narrowest.ram_bytes, budget.ram_bytes)
        return Solution(method, None, certificate, narrowest)
    activation_bits = cut_activations(problem)
    weight_bits, fits = cut_weights(problem, method, activation_bits)
    if not fits:  # the rule ended with all weights at 2 bits: their bytes depend on no activation any more
        return Solution(method, None, _flash_certificate(narrowest, budget), narrowest)
    allocation = _allocation(network, problem, method, activation_bits, weight_bits)
    report = measure(network, allocation, accounting)
    broken = violations(network, budget, method, accounting, allocation)
    if broken:
        raise RuntimeError(f"{method} broke its own rules on '{network.name}': {'; '.join(broken)}")
    return Solution(method, allocation, None, report)


def _flash_certificate(report: MemoryReport, budget: Budget) -> Certificate:
    largest = max(report.layers, key=lambda layer: layer.flash_bytes)
    return Certificate("flash", largest.layer, report.flash_bytes, budget.flash_bytes)


def _allocation(
    network: Network, problem: Problem, method: Method, activation_bits: dict[str, Bits], weight_bits: list[Bits]
) -> Allocation:
    same_bits = problem.accounting.same_bits(network)
    bits = {tensor: activation_bits[source] for tensor, source in same_bits.items()}
    return Allocation(
        weight_bits={tensor.layer.name: each for tensor, each in zip(problem.weights, weight_bits, strict=True)},
        activation_bits=bits,
        schemes={
            tensor.layer.name: scheme_of(method, each, activation_bits[tensor.output])
            for tensor, each in zip(problem.weights, weight_bits, strict=True)
        },
    )
