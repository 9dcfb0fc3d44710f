"""Solution of a question by the rules MixPL or MixPC: bits with a memory report, or a certificate of infeasibility."""

from __future__ import annotations

import math

from network.allocation import NARROWEST_BITS, Allocation, Bits
from network.memory.measure import measure
from network.memory.report import MemoryReport
from solver.problem import BITS_PER_BYTE, Problem
from solver.problem_building import problem_of
from solver.question import Question
from solver.rules.cuts import cut_activations, cut_weights, narrowest_activations, scheme_of
from solver.solution import Certificate, Solution, largest_layer


def solve_by_rule(question: Question) -> Solution:
    """Choose the bits of a network by MixPL or MixPC, or certify that this rule finds no bits that fit.

    Args:
        question: A question for one of the rules.

    Raises:
        InvalidNetwork: If the network has no layer with weights.
    """
    return _Rule(question).solve()


class _Rule:
    """One of the rules MixPL and MixPC of arXiv 1905.13082, applied to one network and budget."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._problem: Problem = problem_of(question)
        _, self._narrowest = self._measured(narrowest_activations(self._problem), None)

    def solve(self) -> Solution:
        """Return the bits that MixPL or MixPC chooses, or a certificate that the rule finds none that fit."""
        network, budget, method = self._question.network, self._question.budget, self._question.method
        accounting = self._question.accounting
        allocation, report, fits = self._cut()
        if report.ram_bytes > budget.ram_bytes:
            # A larger stack of kernels for fewer bits can make the narrowest allocation larger than this one.
            closest = min(self._narrowest, report, key=lambda each: each.ram_bytes)
            if closest.ram_bytes <= budget.ram_bytes:
                closest = report
            certificate = Certificate(
                "ram",
                closest.peak_layer,
                closest.ram_bytes,
                budget.ram_bytes,
                conflicting=("ram",),
                least_ram_bytes=closest.ram_bytes,
            )
            return Solution(method, None, certificate, closest, network, accounting)
        if fits:
            return Solution(
                method, allocation, None, report, network, accounting, given_order_ram_bytes=report.ram_bytes
            )
        # Code that is needed only for some activation bits can make this allocation larger than the narrowest one.
        smallest = self._narrowest if self._narrowest.flash_bytes == report.flash_bytes else report
        certificate = Certificate(
            "flash",
            largest_layer(smallest),
            smallest.flash_bytes,
            budget.flash_bytes,
            conflicting=("flash",),
            least_flash_bytes=smallest.flash_bytes,
            least_ram_bytes=self._narrowest.ram_bytes,
        )
        return Solution(method, None, certificate, smallest, network, accounting)

    def _cut(self) -> tuple[Allocation, MemoryReport, bool]:
        """Choose bits by MixPL or MixPC, reserving RAM for gaps in the arena and for a stack that only some bits need.

        Returns:
            The bits with their memory report, which exceeds the RAM budget if the rule finds no bits that fit; and
            whether they fit the flash budget.
        """
        budget, problem = self._question.budget, self._problem
        may_fit = problem.has_steps_in_place or bool(problem.ram_features)
        reserved_bytes = 0
        while True:
            bits = cut_activations(problem, reserved=BITS_PER_BYTE * reserved_bytes)
            weight_bits, fits = cut_weights(problem, self._question.method, bits)
            allocation, report = self._measured(bits, weight_bits)
            excess_bytes = report.ram_bytes - budget.ram_bytes
            if excess_bytes <= 0 or (self._narrowest.ram_bytes > budget.ram_bytes and not may_fit):
                return allocation, report, fits
            is_step_too_large = reserved_bytes == 0 and any(step.size(bits) > step.limit for step in problem.steps)
            if is_step_too_large or bits == narrowest_activations(problem):
                return allocation, report, fits
            reserved_bytes += math.ceil(excess_bytes)

    def _measured(
        self, activation_bits: dict[str, Bits], weight_bits: list[Bits] | None
    ) -> tuple[Allocation, MemoryReport]:
        """Return an allocation of given bits, and its memory report.

        Args:
            activation_bits: Name of each activation tensor that decides bits -> its bits.
            weight_bits: Bits of each weight tensor; None if they are not chosen yet, and 2 bits are assumed.
        """
        question, weights = self._question, self._problem.weights
        chosen = weight_bits or [NARROWEST_BITS] * len(weights)
        same_bits = question.accounting.same_bits(question.network)
        allocation = Allocation(
            weight_bits={tensor.layer: bits for tensor, bits in zip(weights, chosen, strict=True)},
            activation_bits={tensor: activation_bits[own] for tensor, own in same_bits.items()},
            schemes={
                tensor.layer: scheme_of(
                    question.method,
                    bits,
                    activation_bits[tensor.output],
                    is_shared=question.network.weight_owners.is_shared(tensor.layer),
                )
                for tensor, bits in zip(weights, chosen, strict=True)
            },
        )
        return allocation, measure(question.network, allocation, question.accounting)
