"""The methods that the accuracy benchmark compares: how each one chooses bits under a budget, and how it trains.

    exact              the exact program on the fisher sensitivity of 256 training images, weights per channel
    uniform            the widest uniform bits that fit (`shares.UNIFORM_BITS`), with the scheme and training of exact
    mixpl, mixpc       the paper's rules with the paper's schemes, activations clipped at learned bounds (PACT)
    mixpl-bits, ...    the bits of these rules with the scheme and training of exact: the effect of the bits alone

These contenders use the bits of exact with other training:

    paper-per-layer, paper-per-channel      the paper's schemes and learned bounds
    brevitas                                Brevitas, with the bits set layer by layer; evaluated fake-quantized
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from benchmarks.shares import Share, budget_of, uniform, widest_uniform, with_scheme
from benchmarks.tasks import Task
from network.allocation import DEFAULT_WEIGHT_SCHEME, Allocation, Scheme, WeightScheme
from network.budget import Budget
from network.memory.accounting import Accounting
from network.memory.measure import measure
from network.network import Network
from network.sensitivity.table import SensitivityTable
from qat.options.chosen import ChosenOptions
from qat.options.sensitivity import SensitivityOptions
from qat.options.training import ActivationRange
from qat.sensitivity.measuring import measure_sensitivity
from solver.fit import fit
from solver.options import Method, SolveOptions
from solver.question import Question
from solver.rules.cuts import scheme_of
from solver.solution import Certificate, Solution

SENSITIVITY: Final = SensitivityOptions(samples=256)


class Name(StrEnum):
    """Name of a method that the accuracy benchmark compares."""

    EXACT = "exact"
    UNIFORM = "uniform"
    MIXPL = "mixpl"
    MIXPC = "mixpc"
    MIXPL_BITS = "mixpl-bits"
    MIXPC_BITS = "mixpc-bits"
    PAPER_PER_LAYER = "paper-per-layer"
    PAPER_PER_CHANNEL = "paper-per-channel"
    BREVITAS = "brevitas"


PEERS: Final = (Name.PAPER_PER_LAYER, Name.PAPER_PER_CHANNEL, Name.BREVITAS)
METHODS: Final = tuple(name for name in Name if name not in PEERS)


@dataclass(frozen=True, eq=False)
class Contender:
    """Bits that one method of the accuracy benchmark chooses under one memory budget, with its training options.

    Attributes:
        name: The name of the contender.
        share: The budget, as shares of the bytes that the network needs with 8 bits for every tensor.
        budget: The budget in bytes.
        network: The network, with its layers in the order in which they run.
        allocation: The chosen bits and schemes; None if nothing fits.
        shortage: The reason why nothing fits; None if an allocation was found.
        flash_bytes: The flash of the allocation in bytes; None without an allocation.
        ram_bytes: The RAM of the allocation in bytes; None without an allocation.
        objective: The summed sensitivity of the allocation; None without an allocation.
        options: The options of its training.
    """

    name: Name
    share: Share
    budget: Budget
    network: Network
    allocation: Allocation | None
    shortage: str | None
    flash_bytes: float | None
    ram_bytes: float | None
    objective: float | None
    options: ChosenOptions


def sensitivity_of(task: Task) -> SensitivityTable:
    """Measure on training images the sensitivities that the exact program minimizes."""
    return measure_sensitivity(task.network, task.dataset.train_x, task.dataset.train_y, SENSITIVITY)


def contenders(
    task: Task, table: SensitivityTable, shares: Sequence[Share], names: Sequence[Name], accounting: Accounting
) -> Iterator[Contender]:
    """Choose bits by each method of the accuracy benchmark under each memory budget."""
    network = task.network
    paper = task.options.replace(activation_range=ActivationRange.LEARNED)
    for share in shares:
        budget = budget_of(share, network, accounting, DEFAULT_WEIGHT_SCHEME)
        question = Question(network=network, budget=budget, accounting=accounting, sensitivity=table)
        for name in names:
            # Peers train the bits that exact chooses for the default scheme alone, because they have another one.
            scheme = DEFAULT_WEIGHT_SCHEME if name in PEERS else None
            solution = fit(replace(question, options=SolveOptions(method=_chooser(name), scheme=scheme)))
            allocation, shortage = solution.allocation, _shortage(solution)
            if name is Name.UNIFORM:
                allocation = widest_uniform(network, budget, accounting, DEFAULT_WEIGHT_SCHEME)
                shortage = None if allocation else _narrowest(network, accounting)
            elif allocation is not None:
                allocation = _with_schemes(name, allocation, network)
            runs_as = network if name is Name.UNIFORM else solution.network
            memory = None if allocation is None else measure(runs_as, allocation, accounting)
            yield Contender(
                name,
                share,
                budget,
                runs_as,
                allocation,
                shortage,
                flash_bytes=None if memory is None else memory.flash_bytes,
                ram_bytes=None if memory is None else memory.ram_bytes,
                objective=None if allocation is None else table.objective(allocation),
                options=paper if name in _AS_IN_THE_PAPER else task.options,
            )


_AS_IN_THE_PAPER: Final = frozenset({Name.MIXPL, Name.MIXPC, Name.PAPER_PER_LAYER, Name.PAPER_PER_CHANNEL})


def _chooser(name: Name) -> Method:
    match name:
        case Name.MIXPL | Name.MIXPL_BITS:
            return Method.MIXPL
        case Name.MIXPC | Name.MIXPC_BITS:
            return Method.MIXPC
        case _:
            return Method.EXACT


def _with_schemes(name: Name, chosen: Allocation, network: Network) -> Allocation:
    """Return the bits of a method with the weight quantization schemes with which the network is trained."""
    match name:
        case Name.EXACT | Name.MIXPL | Name.MIXPC:
            return chosen
        case Name.PAPER_PER_CHANNEL:
            return with_scheme(chosen, WeightScheme.PER_CHANNELS_ASYM_MIN_MAX)
        case Name.PAPER_PER_LAYER:
            return replace(chosen, schemes=_schemes_of_mixpl(chosen, network))
        case _:
            return with_scheme(chosen, DEFAULT_WEIGHT_SCHEME)


def _schemes_of_mixpl(chosen: Allocation, network: Network) -> dict[str, Scheme]:
    return {
        layer.name: scheme_of(Method.MIXPL, chosen.weight_bits[layer.name], chosen.activation_bits[layer.output])
        for layer in network.weight_layers
    }


def _narrowest(network: Network, accounting: Accounting) -> str:
    least = measure(network, uniform(network, 2, 2, accounting, DEFAULT_WEIGHT_SCHEME), accounting)
    return f"2 bits everywhere need {least.flash_bytes:,.0f} bytes of flash and {least.ram_bytes:,.0f} of RAM"


def _shortage(solution: Solution) -> str | None:
    return None if solution.certificate is None else shortage_of(solution.certificate)


def shortage_of(certificate: Certificate) -> str:
    """Return a certificate that no bits fit the budget as one line of text."""
    if certificate.least_bytes is None or certificate.available_bytes is None:
        return f"the budget {certificate.budget} is too small"
    memory = "RAM" if certificate.budget == "ram" else certificate.budget
    return (
        f"{memory}: at least {certificate.least_bytes:,.0f} bytes are needed, "
        f"{certificate.available_bytes:,} are available (most in '{certificate.layer}')"
    )
