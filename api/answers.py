"""The answer to "does it fit, and with which bits", as the command prints it and the service sends it.

One model and one builder: `bitbudget fit --json` and `POST /v1/networks/{id}/fit` give the same object.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from api.requests import FitRequest
from network.accounting import accounting_named
from network.allocation import NARROWEST_BITS
from network.memory import MemoryReport
from network.network import Network
from solver.fit import fit
from solver.solution import Solution, method_named

Bits = Literal[8, 4, 2]

Bytes = Annotated[
    float,
    PlainSerializer(lambda size: int(size) if float(size).is_integer() else size),
    WithJsonSchema({"type": "number"}),
]
"""A number of bytes. The accounting keeps fractions: 3 elements at 2 bits take 0.75 bytes."""


def format_bytes(size: float) -> str:
    """1234567.0 -> '1,234,567'; 0.75 -> '0.75'."""
    return f"{int(size):,}" if float(size).is_integer() else f"{size:,.2f}"


class Answer(BaseModel):
    """What all answers have."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class NetworkName(Answer):
    """Which network an answer is about."""

    id: str = Field(description="SHA-256 of the network file, in hexadecimal")
    name: str = Field(description="what reports call it; no key")


class BudgetAnswer(Answer):
    """What of the device's memory the network may take."""

    flash_bytes: int = Field(description="flash for weights and parameters, in bytes")
    ram_bytes: int = Field(description="RAM for activation tensors, in bytes")


class SharedMemory(Answer):
    """Something that the network takes once, whatever its layers are."""

    region: Literal["flash", "ram"] = Field(description="which memory")
    part: str = Field(description="what it is")
    size_bytes: int = Field(description="what it takes, in bytes")
    is_estimate: bool = Field(description="it cannot be known before linking")


class ArenaAnswer(Answer):
    """Where every activation tensor and scratch buffer lies in the arena."""

    arena_bytes: int = Field(description="how large the arena is, in bytes")
    lower_bound_bytes: int = Field(description="no plan is smaller, in bytes")
    offsets: dict[str, int] = Field(description="tensor name, or scratch of a layer -> bytes from the arena's start")


class LayerMemory(Answer):
    """What one layer takes of flash."""

    layer: str = Field(description="the layer's name")
    kind: str = Field(description="the layer's kind, e.g. convolution")
    weight_bits: Bits | None = Field(description="bits of each weight; null for a layer without weights")
    weight_bytes: Bytes = Field(description="packed weights, in bytes")
    parameter_bytes: Bytes = Field(description="biases and requantization constants, in bytes")
    flash_bytes: Bytes = Field(description="the sum of both, in bytes")


class StepMemory(Answer):
    """What one step of the schedule takes of RAM."""

    layer: str = Field(description="the layer that runs")
    output: str = Field(description="the tensor that it writes")
    input_bytes: Bytes = Field(description="the tensors that it reads, in bytes")
    output_bytes: Bytes = Field(description="the tensor that it writes, in bytes")
    waiting_bytes: Bytes = Field(description="tensors that a later step reads, in bytes")
    scratch_bytes: Bytes = Field(description="what the kernel takes beside, in bytes")
    ram_bytes: Bytes = Field(description="the sum of all, in bytes")


class Memory(Answer):
    """The memory report."""

    flash_bytes: Bytes = Field(description="of all layers and what they share, in bytes")
    ram_bytes: Bytes = Field(description="of the largest step, or of the arena, and what is shared, in bytes")
    peak_layer: str = Field(description="the first layer whose step takes the most RAM")
    layers: list[LayerMemory] = Field(description="flash by layer, in layer order")
    shared: list[SharedMemory] = Field(description="what is taken once, e.g. the kernels' code and the stack")
    arena: ArenaAnswer | None = Field(description="null where the rule book places no tensors")
    steps: list[StepMemory] = Field(description="RAM by step, in schedule order")


class CertificateAnswer(Answer):
    """Why nothing fits: even with 2 bits everywhere (the network's input and outputs keep 8) a budget is exceeded."""

    budget: Literal["flash", "ram"] = Field(description="the budget that is exceeded")
    layer: str = Field(description="ram: the layer at the peak; flash: the layer that takes the most")
    least_bytes: Bytes = Field(description="the least that would do, in bytes")
    available_bytes: int = Field(description="the budget, in bytes")
    missing_bytes: Bytes = Field(description="the difference, in bytes")
    other_least_bytes: Bytes | None = Field(
        description="the least of the other budget that would do, in bytes; null where the method does not look"
    )

    @property
    def sentence(self) -> str:
        """The certificate in words."""
        memory, where = {
            "ram": ("RAM", f"layer '{self.layer}' needs"),
            "flash": ("flash", f"the layers (the largest: '{self.layer}') need"),
        }[self.budget]
        return (
            f"with 2 bits everywhere {where} {format_bytes(self.least_bytes)} bytes of {memory}, "
            f"{format_bytes(self.available_bytes)} are available: {format_bytes(self.missing_bytes)} are missing"
        )


class FitAnswer(Answer):
    """Bits for every tensor, or the certificate that none fit."""

    fits: bool = Field(description="whether the network fits the budget")
    method: str = Field(description="the method that chose the bits")
    accounting: str = Field(description="the rule book that counted the bytes")
    network: NetworkName
    budget: BudgetAnswer
    weight_bits: dict[str, Bits] = Field(
        description="layer name -> bits of its weights, in layer order; empty when nothing fits"
    )
    activation_bits: dict[str, Bits] = Field(
        description="tensor name -> bits, in the order in which they are written, the network's input first; "
        "empty when nothing fits"
    )
    schemes: dict[str, str] = Field(description="layer name -> how its weights are quantized; empty when nothing fits")
    foldings: dict[str, str] = Field(
        description="layer name -> where its batch norm goes: folding_weights or ICN; empty when nothing fits"
    )
    memory: Memory = Field(description="the memory report; when nothing fits, that of the fewest bits")
    schedule: list[str] = Field(description="the layers in the order in which they run; empty when nothing fits")
    given_order_ram_bytes: Bytes | None = Field(
        description="RAM of the same bits in the file's own order, in bytes; null when nothing fits"
    )
    sensitivity: str | None = Field(description="the measure of the objective; null where none was asked for")
    objective: float | None = Field(description="the summed sensitivity of the bits; null without one or without bits")
    bound: float | None = Field(description="no bits in any order have a smaller sum; null where nothing is proven")
    gap: float | None = Field(
        description="how far the objective may be above the least there is, as a share of it; 0 is proven best"
    )
    certificate: CertificateAnswer | None = Field(description="null when the network fits")


def answer_fit(network: Network, network_name: NetworkName, request: FitRequest) -> tuple[FitAnswer, Solution]:
    """Fit a network and tell the answer.

    Raises:
        RequestError: an unknown method, accounting or other name, or a sensitivity table that does not fit the network.
        InvalidNetwork: the network has no layer with weights.
    """
    budget = request.budget()
    book = accounting_named(request.accounting)
    method = method_named(request.method)
    table = request.table(network)
    solution = fit(network, budget, method, book, table, request.exact_options())
    allocation = solution.allocation
    answer = FitAnswer(
        fits=allocation is not None,
        method=solution.method,
        accounting=book.name,
        network=network_name,
        budget=BudgetAnswer.model_validate(budget),
        weight_bits=dict(allocation.weight_bits) if allocation else {},
        activation_bits=dict(allocation.activation_bits) if allocation else {},
        schemes={layer: str(each.weights) for layer, each in allocation.schemes.items()} if allocation else {},
        foldings={layer: str(each.folding) for layer, each in allocation.schemes.items()} if allocation else {},
        memory=_memory(solution),
        schedule=[layer.name for layer in solution.network.layers] if allocation else [],
        given_order_ram_bytes=solution.given_order_ram_bytes,
        sensitivity=table.method if table else None,
        objective=solution.objective,
        bound=solution.bound,
        gap=solution.gap,
        certificate=CertificateAnswer.model_validate(solution.certificate) if solution.certificate else None,
    )
    return answer, solution


def _memory(solution: Solution) -> Memory:
    report: MemoryReport = solution.memory
    network = solution.network
    outputs = {layer.name: layer.output for layer in network.layers}
    kinds = {layer.name: layer.kind for layer in network.layers}
    narrow = dict.fromkeys((layer.name for layer in network.weight_layers), NARROWEST_BITS)
    bits = solution.allocation.weight_bits if solution.allocation else narrow
    return Memory(
        flash_bytes=report.flash_bytes,
        ram_bytes=report.ram_bytes,
        peak_layer=report.peak_layer,
        layers=[
            LayerMemory(
                layer=each.layer,
                kind=kinds[each.layer],
                weight_bits=bits.get(each.layer),
                weight_bytes=each.weight_bytes,
                parameter_bytes=each.parameter_bytes,
                flash_bytes=each.flash_bytes,
            )
            for each in report.layers
        ],
        steps=[
            StepMemory(
                layer=each.layer,
                output=outputs[each.layer],
                input_bytes=each.input_bytes,
                output_bytes=each.output_bytes,
                waiting_bytes=each.waiting_bytes,
                scratch_bytes=each.scratch_bytes,
                ram_bytes=each.ram_bytes,
            )
            for each in report.steps
        ],
        shared=[SharedMemory.model_validate(each) for each in report.shared],
        arena=ArenaAnswer.model_validate(report.arena) if report.arena else None,
    )
