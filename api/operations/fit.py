"""From a request to its answer: the same for the command, the service and its jobs."""

from __future__ import annotations

from typing import Literal

from api.schemas.answers import (
    ArenaAnswer,
    BudgetAnswer,
    CertificateAnswer,
    FitAnswer,
    LatencyAnswer,
    LayerMemory,
    Memory,
    NetworkName,
    RegionAnswer,
    ShadowPricesAnswer,
    SharedMemory,
    StepMemory,
)
from api.schemas.fit import FitRequest
from network.allocation import NARROWEST_BITS
from network.devices.latency import CoreSpeed, network_cycles
from network.errors import RequestError
from network.memory.report import MemoryReport
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.fit import fit
from solver.solution import Solution, method_named


def answer_fit(
    network: Network, network_name: NetworkName, request: FitRequest, table: SensitivityTable | None
) -> tuple[FitAnswer, Solution]:
    """Fit a network and tell the answer.

    Args:
        network: in the file's order.
        network_name: how the answer calls it.
        request: the budget, and how to spend it.
        table: what the answer is judged by (`request.measure`).

    Raises:
        RequestError: an unknown method, accounting or other name, or a sensitivity table that does not fit the network.
        InvalidNetwork: the network has no layer with weights.
    """
    budget = request.budget()
    book = request.book()
    method = method_named(request.method)
    options = request.exact_options(network)
    solution = fit(network, budget, method, book, table, options)
    prices = None
    if request.shadow_prices and solution.allocation is not None:
        prices = _shadow_prices(network, request, table, solution)
    return answer_of(network_name, request, table, solution, prices), solution


def answer_of(
    network_name: NetworkName,
    request: FitRequest,
    table: SensitivityTable | None,
    solution: Solution,
    prices: ShadowPricesAnswer | None = None,
) -> FitAnswer:
    """What is told about a solution."""
    budget, book, allocation = request.budget(), request.book(), solution.allocation
    return FitAnswer(
        fits=allocation is not None,
        method=solution.method,
        accounting=book.name,
        network=network_name,
        device=request.device_name(),
        budget=BudgetAnswer.model_validate(budget),
        regions=regions_of(solution.memory, budget.flash_bytes, budget.ram_bytes),
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
        latency=latency_of(solution, request.speed(), request.clock_hz()),
        shadow_prices=prices,
        certificate=CertificateAnswer.model_validate(solution.certificate) if solution.certificate else None,
    )


def regions_of(report: MemoryReport, flash_bytes: int, ram_bytes: int) -> list[RegionAnswer]:
    """Required, available and excess bytes of both memories."""
    largest = max(report.layers, key=lambda layer: layer.flash_bytes).layer
    return [
        _region("flash", report.flash_bytes, flash_bytes, largest),
        _region("ram", report.ram_bytes, ram_bytes, report.peak_layer),
    ]


def _region(region: Literal["flash", "ram"], required: float, available: int, layer: str) -> RegionAnswer:
    return RegionAnswer(
        region=region,
        required_bytes=required,
        available_bytes=available,
        excess_bytes=max(required - available, 0),
        layer=layer,
    )


def latency_of(solution: Solution, speed: CoreSpeed | None, clock_hz: int | None) -> LatencyAnswer | None:
    """How long the allocation takes, where that can be told."""
    if speed is None or solution.allocation is None:
        return None
    cycles = network_cycles(solution.network, solution.allocation, speed)
    milliseconds = None if clock_hz is None else 1000 * cycles / clock_hz
    return LatencyAnswer(core=speed.core, cycles=cycles, milliseconds=milliseconds, is_estimate=True)


def _shadow_prices(
    network: Network, request: FitRequest, table: SensitivityTable | None, solution: Solution
) -> ShadowPricesAnswer:
    from solver.pareto import shadow_prices

    if table is None or solution.bound is None or solution.objective is None:
        raise RequestError("shadow_prices are those of the exact program; take method 'exact'")
    prices = shadow_prices(
        network, request.budget(), request.book(), table, request.exact_options(network), solution.objective
    )
    return ShadowPricesAnswer.model_validate(prices)


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
                overwrites=each.overwrites,
            )
            for each in report.steps
        ],
        shared=[SharedMemory.model_validate(each) for each in report.shared],
        arena=ArenaAnswer.model_validate(report.arena) if report.arena else None,
    )
