"""The function `fit`, which chooses the bits of a network under a memory budget, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Unpack

from api.cli.text.columns import plain
from api.cli.text.fit import fit_text
from api.errors import DoesNotFit
from api.operations.fit import describe_fit, prices_of
from api.operations.question import terms_of
from api.schemas.answer import format_bytes
from api.schemas.fit import CertificateAnswer, FitAnswer, FitRequest
from api.schemas.keywords import BudgetOptions, DeviceLike, Size, request_of
from bitbudget._budgets import DatasetLike, table_for
from bitbudget._reading import name_of
from network.allocation import Allocation, Bits
from network.network import Network
from qat.progress import Report
from solver.fit import fit as solve
from solver.question import Question
from solver.solution import Solution


@dataclass(frozen=True, eq=False, repr=False)
class FitResult:
    """Bits of every tensor of a network, or the certificate that nothing fits; `print` shows them as text.

    Attributes:
        answer: The answer with the memory report, as the service sends it; `answer.model_dump_json()` is its JSON.
        question: The network, the budget and the options that were given to the solver.
        solution: The solver's solution of the question.
    """

    answer: FitAnswer
    question: Question
    solution: Solution

    @property
    def fits(self) -> bool:
        """Whether the network fits the memory budget."""
        return self.answer.fits

    @property
    def network(self) -> Network:
        """The network, with its layers in the order in which they run."""
        return self.solution.network

    @property
    def allocation(self) -> Allocation:
        """Bits of every tensor of the network, and quantization scheme of every weight tensor.

        Raises:
            DoesNotFit: If the network does not fit the budget.
        """
        if self.solution.allocation is None:
            raise DoesNotFit(self.answer)
        return self.solution.allocation

    @property
    def weight_bits(self) -> Mapping[str, Bits]:
        """Mapping of each layer with weights to the bits of its weights; empty if nothing fits."""
        return self.answer.weight_bits

    @property
    def activation_bits(self) -> Mapping[str, Bits]:
        """Mapping of each activation tensor to its bits, the network's input first; empty if nothing fits."""
        return self.answer.activation_bits

    @property
    def flash_bytes(self) -> float:
        """Flash in bytes that the network requires with the chosen bits; with the fewest bits if nothing fits."""
        return self.answer.memory.flash_bytes

    @property
    def ram_bytes(self) -> float:
        """RAM in bytes that the network requires with the chosen bits; with the fewest bits if nothing fits."""
        return self.answer.memory.ram_bytes

    @property
    def objective(self) -> float | None:
        """Summed sensitivity of the chosen bits; None without a sensitivity measure, or if nothing fits."""
        return self.answer.objective

    @property
    def gap(self) -> float | None:
        """Largest possible excess of the objective over the minimum, as a share; 0: proven optimal; None for rules."""
        return self.answer.gap

    @property
    def certificate(self) -> CertificateAnswer | None:
        """Certificate that nothing fits: the exceeded budget, a layer and the missing bytes; None if the bits fit."""
        return self.answer.certificate

    def __str__(self) -> str:
        return plain(fit_text(self.answer))

    def __repr__(self) -> str:
        budget = self.answer.budget
        return (
            f"<FitResult of {self.answer.network.name}: {'fits' if self.fits else 'does not fit'}, "
            f"{format_bytes(self.flash_bytes)} of {budget.flash_bytes:,} bytes of flash, "
            f"{format_bytes(self.ram_bytes)} of {budget.ram_bytes:,} bytes of RAM>"
        )


def fit(
    network: Network,
    *,
    flash: Size | None = None,
    ram: Size | None = None,
    device: DeviceLike | None = None,
    data: DatasetLike | None = None,
    progress: Report | None = None,
    **options: Unpack[BudgetOptions],
) -> FitResult:
    """Choose the bits of every tensor of a network so that it fits a memory budget.

    Args:
        network: The network, from `read` or `read_module`.
        flash: Flash that the network may take, in bytes or as a text such as "60kB". None uses that of the device.
        ram: RAM that the network may take, in the same form. None uses that of the device.
        device: The device: its name in the catalogue, a `Device`, or the description of a custom one.
        data: Samples on whose training set sensitivities are measured. None estimates them from the weights.
        progress: Callback that receives the progress of the measurement.
        options: Further options: those of `BudgetOptions`, which docs/python-api.md lists.

    Returns:
        The bits, or the certificate that nothing fits.

    Raises:
        RequestError: If a budget is missing, or an option is invalid or contradicts another one.
        InvalidNetwork: If the network has no layer with weights, or no weights where samples are given.
        DatasetError: If the samples cannot be read or do not match the network.
    """
    name = name_of(network)
    request = request_of(FitRequest, {"flash": flash, "ram": ram, "device": device, **options})
    terms = terms_of(request)  # contradicting options are rejected before anything is measured
    question = terms.question(network, table_for(request, network, data, progress))
    solution = solve(question)
    answer = describe_fit(name, question, solution, prices_of(request, question, solution))
    return FitResult(answer, question, solution)
