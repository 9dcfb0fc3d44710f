"""What else is asked of a network: which devices it fits, and the trade of sensitivity against bytes."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Literal

from pydantic import Field

from api.operations.fit import latency_of, regions_of
from api.schemas.answers import Answer, BudgetAnswer, Bytes, LatencyAnswer, NetworkName, RegionAnswer
from api.schemas.questions import DevicesRequest, ParetoRequest
from network.allocation import Allocation, Bits
from network.budget import Budget
from network.devices.core_speeds import SPEEDS
from network.devices.device import Device
from network.errors import RequestError
from network.memory.books import accounting_for
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.fit import fit
from solver.solution import Method, Solution, method_named

LEAST_SECONDS = 0.2
"""What a solve gets at least, however late it is."""


class SourceAnswer(Answer):
    """Where figures of a device were read."""

    figures: list[str] = Field(description="which figures")
    where: str = Field(description="a document and its section, or a repository and path")


class DeviceAnswer(Answer):
    """A microcontroller: what memory it has, and what of that one program can use."""

    name: str = Field(description="the key by which it is asked for")
    title: str = Field(description="its maker's name for it")
    core: str = Field(description="e.g. cortex-m7")
    clock_hz: int | None = Field(description="the core's highest clock; null where it is not known")
    flash_bytes: int = Field(description="flash that one program can use, in bytes")
    ram_bytes: int = Field(description="RAM that one program can use in one piece, in bytes")
    chip_flash_bytes: int = Field(description="flash that there is, in bytes")
    chip_ram_bytes: int = Field(description="RAM that there is, in bytes")
    flash_is_external: bool = Field(description="flash is a chip of its own, on the board that is named")
    note: str = Field(description="why less can be used than there is")
    sources: list[SourceAnswer] = Field(description="where each figure was read")


class DeviceFit(Answer):
    """How a network fits one device."""

    device: DeviceAnswer
    fits: bool = Field(description="whether the network fits")
    budget: BudgetAnswer
    regions: list[RegionAnswer] = Field(description="flash and RAM: required, available and excess bytes")
    objective: float | None = Field(description="the summed sensitivity; null without a measure, or when nothing fits")
    gap: float | None = Field(description="how far that may be above the least there is, as a share; null for rules")
    mean_weight_bits: float | None = Field(description="bits of a weight, on average; null when nothing fits")
    mean_activation_bits: float | None = Field(
        description="bits of an activation tensor's element, on average; null when nothing fits"
    )
    latency: LatencyAnswer | None = Field(description="null where the core's speed is not known, or nothing fits")


class DevicesAnswer(Answer):
    """Which devices a network fits, and how well."""

    network: NetworkName
    method: str = Field(description="the method that chose the bits")
    accounting: str = Field(description="the rule book that counted the bytes")
    sensitivity: str | None = Field(description="the measure of the objective; null where none was asked for")
    devices: list[DeviceFit] = Field(description="in the order in which they were named, or the catalogue's")


class ParetoPointAnswer(Answer):
    """One end of a trade: no bits within this budget have a smaller sum than `bound`."""

    budget: BudgetAnswer
    flash_bytes: Bytes = Field(description="what the bits take of flash, in bytes")
    ram_bytes: Bytes = Field(description="what they take of RAM, in bytes")
    objective: float = Field(description="their summed sensitivity")
    bound: float = Field(description="no bits within the budget have a smaller sum")
    gap: float = Field(
        description="how far the objective may be above the least there is, as a share; 0 is proven best"
    )
    weight_bits: dict[str, Bits] = Field(description="layer name -> bits of its weights, in layer order")
    activation_bits: dict[str, Bits] = Field(description="tensor name -> bits, the network's input first")


class ParetoAnswer(Answer):
    """The Pareto front: no point is worse than another in flash, RAM and objective alike."""

    network: NetworkName
    accounting: str = Field(description="the rule book that counted the bytes")
    sensitivity: str = Field(description="the measure of the objective")
    axis: Literal["flash", "ram", "both"] = Field(description="the budget that was varied")
    is_complete: bool = Field(description="false: the time ended before all budgets were solved")
    points: list[ParetoPointAnswer] = Field(description="from little memory to much; empty when nothing fits")


def device_answer(device: Device) -> DeviceAnswer:
    """A device as it is sent."""
    return DeviceAnswer.model_validate(device)


def answer_devices(
    network: Network, network_name: NetworkName, request: DevicesRequest, table: SensitivityTable | None
) -> DevicesAnswer:
    """Fit a network into each device.

    Raises:
        RequestError: an unknown name, or a table that does not fit the network.
        InvalidNetwork: the network has no layer with weights.
    """
    method = method_named(request.method)
    options = request.exact_options(network)
    deadline = time.perf_counter() + options.time_limit_seconds
    solved: dict[tuple[object, ...], Solution] = {}
    fits = []
    for device in request.chosen_devices():
        left = request.left_of(device.flash_bytes, device.ram_bytes)
        budget = Budget(*(max(size_bytes, 1) for size_bytes in left))  # a byte holds no network either
        book = accounting_for(request.accounting, device)
        key = (budget, device.in_place, device.reuses_input)
        if key not in solved:
            seconds = max(deadline - time.perf_counter(), LEAST_SECONDS)
            limited = replace(options, time_limit_seconds=seconds)
            solved[key] = fit(network, budget, method, book, table, limited)
        solution = solved[key]
        allocation = solution.allocation
        fits.append(
            DeviceFit(
                device=device_answer(device),
                fits=allocation is not None,
                budget=BudgetAnswer(flash_bytes=left[0], ram_bytes=left[1]),
                regions=regions_of(solution.memory, *left),
                objective=solution.objective,
                gap=solution.gap,
                mean_weight_bits=None if allocation is None else _mean_weight_bits(network, allocation),
                mean_activation_bits=None if allocation is None else _mean_activation_bits(network, allocation),
                latency=latency_of(solution, SPEEDS.get(device.core), device.clock_hz),
            )
        )
    return DevicesAnswer(
        network=network_name,
        method=str(method),
        accounting=request.accounting,
        sensitivity=table.method if table else None,
        devices=fits,
    )


def answer_pareto(
    network: Network, network_name: NetworkName, request: ParetoRequest, table: SensitivityTable | None
) -> ParetoAnswer:
    """The Pareto front of a network.

    Raises:
        RequestError: a rule in place of the exact program, or anything that makes no sense.
        InvalidNetwork: the network has no layer with weights.
    """
    from solver.pareto import pareto_front

    if method_named(request.method) is not Method.EXACT or table is None:
        raise RequestError("the Pareto front is that of the exact program; take method 'exact'")
    axis = request.chosen_axis()
    front = pareto_front(
        network,
        request.budget(),
        request.book(),
        table,
        request.exact_options(network),
        axis=axis,
        points=request.points,
    )
    points = []
    for point in front.points:
        solution = point.solution
        assert solution.allocation is not None  # noqa: S101  # a point of the front fits
        points.append(
            ParetoPointAnswer(
                budget=BudgetAnswer.model_validate(point.budget),
                flash_bytes=solution.memory.flash_bytes,
                ram_bytes=solution.memory.ram_bytes,
                objective=solution.objective or 0.0,
                bound=solution.bound or 0.0,
                gap=solution.gap or 0.0,
                weight_bits=dict(solution.allocation.weight_bits),
                activation_bits=dict(solution.allocation.activation_bits),
            )
        )
    return ParetoAnswer(
        network=network_name,
        accounting=request.accounting,
        sensitivity=table.method,
        axis=axis.value,
        is_complete=front.is_complete,
        points=points,
    )


def _mean_weight_bits(network: Network, allocation: Allocation) -> float:
    sizes = {layer.name: network.weight_elements(layer) for layer in network.weight_layers}
    return sum(size * allocation.weight_bits[name] for name, size in sizes.items()) / sum(sizes.values())


def _mean_activation_bits(network: Network, allocation: Allocation) -> float:
    sizes = {name: shape.elements for name, shape in network.shapes.items()}
    return sum(size * allocation.activation_bits[name] for name, size in sizes.items()) / sum(sizes.values())
