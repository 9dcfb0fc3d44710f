"""MixPL and MixPC as answers: bits by the rules of `cuts.py`, with a memory report or a certificate."""

from __future__ import annotations

import math

from network.allocation import NARROWEST_BITS, Allocation, Bits
from network.memory.measure import measure
from network.memory.report import MemoryReport
from solver.problem import BITS_PER_BYTE, Problem, problem_of
from solver.question import Question
from solver.rules.cuts import cut_activations, cut_weights, narrowest_activations, scheme_of
from solver.solution import Certificate, Solution, largest_layer


def answer_by_rule(question: Question) -> Solution:
    """Choose bits by one of the paper's rules, or certify that the rule finds none.

    Raises:
        InvalidNetwork: If the network has no layer with weights.
    """
    return _Rule(question).answer()


class _Rule:
    def __init__(self, question: Question) -> None:
        self._question = question
        self._problem: Problem = problem_of(question)
        _, self._narrowest = self._measured(narrowest_activations(self._problem), None)

    def answer(self) -> Solution:
        network, budget, method = self._question.network, self._question.budget, self._question.method
        activation_bits = self._activation_bits()
        if activation_bits is None:
            certificate = Certificate(
                "ram",
                self._narrowest.peak_layer,
                self._narrowest.ram_bytes,
                budget.ram_bytes,
                conflicting=("ram",),
                least_ram_bytes=self._narrowest.ram_bytes,
            )
            return Solution(method, None, certificate, self._narrowest, network)
        weight_bits, fits = cut_weights(self._problem, method, activation_bits)
        allocation, report = self._measured(activation_bits, weight_bits)
        if fits:
            return Solution(method, allocation, None, report, network, given_order_ram_bytes=report.ram_bytes)
        # Code that is linked only for some activation bits can make this last allocation larger than the narrowest.
        end = self._narrowest if self._narrowest.flash_bytes == report.flash_bytes else report
        certificate = Certificate(
            "flash",
            largest_layer(end),
            end.flash_bytes,
            budget.flash_bytes,
            conflicting=("flash",),
            least_flash_bytes=end.flash_bytes,
            least_ram_bytes=self._narrowest.ram_bytes,
        )
        return Solution(method, None, certificate, end, network)

    def _activation_bits(self) -> dict[str, Bits] | None:
        """Apply the rule, holding back as much RAM as the arena needs beyond its largest step.

        Returns:
            The bits of each tensor; None if RAM does not suffice: a step that the rule cannot make fit has the fewest
            bits, as in the narrowest allocation. Where outputs are written onto inputs of the same bits, more bits can
            fit although the fewest do not.
        """
        budget, problem = self._question.budget, self._problem
        if self._narrowest.ram_bytes > budget.ram_bytes and not problem.has_steps_in_place:
            return None
        reserved_bytes = 0
        while True:
            bits = cut_activations(problem, reserved=BITS_PER_BYTE * reserved_bytes)
            _, report = self._measured(bits, None)
            excess_bytes = report.ram_bytes - budget.ram_bytes
            if excess_bytes <= 0:
                return bits
            undone = reserved_bytes == 0 and any(step.taken(bits) > step.limit for step in problem.steps)
            if undone or bits == narrowest_activations(problem):
                return None
            reserved_bytes += math.ceil(excess_bytes)

    def _measured(
        self, activation_bits: dict[str, Bits], weight_bits: list[Bits] | None
    ) -> tuple[Allocation, MemoryReport]:
        """Return the allocation of these bits, with weights at 2 bits if they are not chosen yet, and its report."""
        question, weights = self._question, self._problem.weights
        chosen = weight_bits or [NARROWEST_BITS] * len(weights)
        same_bits = question.accounting.same_bits(question.network)
        allocation = Allocation(
            weight_bits={tensor.layer: bits for tensor, bits in zip(weights, chosen, strict=True)},
            activation_bits={tensor: activation_bits[own] for tensor, own in same_bits.items()},
            schemes={
                tensor.layer: scheme_of(question.method, bits, activation_bits[tensor.output])
                for tensor, bits in zip(weights, chosen, strict=True)
            },
        )
        return allocation, measure(question.network, allocation, question.accounting)
