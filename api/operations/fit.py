"""Fit a network into a memory budget, for the command line, the service and its jobs."""

from __future__ import annotations

from typing import Literal

from api.operations.question import terms_of
from api.schemas.answer import NetworkName
from api.schemas.fit import CertificateAnswer, FitAnswer, FitRequest, HostStepsAnswer, LatencyAnswer, ShadowPricesAnswer
from api.schemas.memory import ArenaAnswer, BudgetAnswer, LayerMemory, Memory, RegionAnswer, SharedMemory, StepMemory
from network.allocation import NARROWEST_BITS
from network.devices.latency import network_cycles
from network.memory.books import BookName, optimization_of
from network.memory.report import MemoryReport
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.fit import fit
from solver.prices import shadow_prices
from solver.question import Question
from solver.solution import Solution


def answer_fit(
    network: Network, network_name: NetworkName, request: FitRequest, table: SensitivityTable | None
) -> FitAnswer:
    """Choose the bits of a network under a memory budget, and return the answer with memory report or certificate.

    Args:
        network: The network, with its layers in the order of its file.
        network_name: Identifier and name of the network in the answer.
        request: The budget, and how bits are chosen under it.
        table: Sensitivity table that the objective is computed from; None without one.

    Raises:
        RequestError: If parts of the request contradict each other, or do not suit the network.
        InvalidNetwork: If the network has no layer with weights.
    """
    question = terms_of(request).question(network, table)
    solution = fit(question)
    return describe_fit(network_name, question, solution, prices_of(request, question, solution))


def prices_of(request: FitRequest, question: Question, solution: Solution) -> ShadowPricesAnswer | None:
    """Return the shadow prices of flash and RAM; None if the request does not require them, or if nothing fits."""
    if not request.shadow_prices or solution.allocation is None:
        return None
    return ShadowPricesAnswer.model_validate(shadow_prices(question, solution))


def describe_fit(
    network_name: NetworkName, question: Question, solution: Solution, prices: ShadowPricesAnswer | None = None
) -> FitAnswer:
    """Return the answer to a fit request: bits, memory report, and the certificate if nothing fits.

    Args:
        network_name: Name of the network in the answer.
        question: The question.
        solution: Solution of the question.
        prices: Shadow prices of the budgets; None if they were not requested.
    """
    budget, allocation, device = question.budget, solution.allocation, question.device
    table = question.sensitivity
    return FitAnswer(
        fits=allocation is not None,
        method=solution.method,
        accounting=BookName(solution.accounting.name),
        optimization=optimization_of(solution.accounting),
        network=network_name,
        device=None if device is None else device.name,
        budget=BudgetAnswer.model_validate(budget),
        regions=regions_of(solution.memory, budget.flash_bytes, budget.ram_bytes),
        weight_bits=dict(allocation.weight_bits) if allocation else {},
        activation_bits=dict(allocation.activation_bits) if allocation else {},
        schemes={layer: each.weights for layer, each in allocation.schemes.items()} if allocation else {},
        foldings={layer: each.folding for layer, each in allocation.schemes.items()} if allocation else {},
        memory=memory_answer(solution),
        schedule=[layer.name for layer in solution.network.layers] if allocation else [],
        host_steps=[HostStepsAnswer.model_validate(steps) for steps in solution.network.host_steps],
        given_order_ram_bytes=solution.given_order_ram_bytes,
        sensitivity=table.method if table else None,
        objective=solution.objective,
        sensitivity_is_zero=table is not None and table.is_zero,
        bound=solution.bound,
        gap=solution.gap,
        latency=latency_of(question, solution),
        shadow_prices=prices,
        certificate=CertificateAnswer.model_validate(solution.certificate) if solution.certificate else None,
    )


def regions_of(report: MemoryReport, flash_bytes: int, ram_bytes: int) -> list[RegionAnswer]:
    """Return the required, available and excess bytes of flash and of RAM.

    Args:
        report: Memory report of the network.
        flash_bytes: Number of available bytes of flash.
        ram_bytes: Number of available bytes of RAM.
    """
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


def latency_of(question: Question, solution: Solution) -> LatencyAnswer | None:
    """Estimate the latency of one inference with the chosen bits; None if no bits fit or the core speed is unknown."""
    speed, device = question.speed, question.device
    if speed is None or solution.allocation is None:
        return None
    optimization = optimization_of(solution.accounting)
    cycles = network_cycles(solution.network, solution.allocation, speed.compiled(optimization))
    clock_hz = None if device is None else device.clock_hz
    milliseconds = None if clock_hz is None else 1000 * cycles / clock_hz
    return LatencyAnswer(
        core=speed.core, optimization=optimization, cycles=cycles, milliseconds=milliseconds, is_estimate=True
    )


def memory_answer(solution: Solution) -> Memory:
    """Return the memory report of a solution, as an answer shows it."""
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
                reuses_weights_of=each.reuses_weights_of,
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
