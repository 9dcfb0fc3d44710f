"""Fit a network into the memory of each of several microcontrollers."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

from api.operations.fit import latency_of, regions_of
from api.operations.question import left_of, terms_on
from api.schemas.answer import NetworkName
from api.schemas.devices import DeviceAnswer, DeviceFit, DevicesAnswer, DevicesRequest
from api.schemas.memory import BudgetAnswer
from network.allocation import Allocation
from network.devices.catalogue import catalogue
from network.devices.device import Device
from network.memory.books import optimization_of
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.fit import fit
from solver.question import Question
from solver.solution import Solution

LEAST_SECONDS: Final = 0.2
"""Smallest time limit of one solve in seconds, even after the time limit of the whole call."""


def device_answer(device: Device) -> DeviceAnswer:
    """Return the description of a microcontroller, as the service and the command line answer it."""
    return DeviceAnswer.model_validate(device)


def answer_devices(
    network: Network, network_name: NetworkName, request: DevicesRequest, table: SensitivityTable | None
) -> DevicesAnswer:
    """Fit a network into the memory of each of several microcontrollers, and return the results.

    Args:
        network: The network, with its layers in the order of its file.
        network_name: Identifier and name of the network in the answer.
        request: The devices, and how bits are chosen.
        table: Sensitivity table that the objective is computed from; None without one.

    Raises:
        RequestError: If the table or the allowed bits do not match the network.
        InvalidNetwork: If the network has no layer with weights.
    """
    solver = _Solver(time.perf_counter() + request.time_limit_seconds)
    devices = tuple(catalogue().values()) if request.devices is None else request.devices
    fits = []
    for device in devices:
        question = terms_on(request, device).question(network, table)
        left = left_of(request, device.flash_bytes, device.ram_bytes)
        fits.append(_fit_answer(device, left, question, solver.solution(question)))
    return DevicesAnswer(
        network=network_name,
        method=request.method,
        accounting=request.accounting,
        sensitivity=table.method if table else None,
        devices=fits,
    )


class _Solver:
    """Solver that computes bits once for each distinct memory budget, core and accounting, within one time limit."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._solved: dict[tuple[object, ...], Solution] = {}

    def solution(self, question: Question) -> Solution:
        device = question.device
        key = (question.budget, device and (device.core, device.in_place, device.reuses_input))
        if key not in self._solved:
            seconds = max(self._deadline - time.perf_counter(), LEAST_SECONDS)
            limited = question.options.replace(time_limit_seconds=seconds)
            self._solved[key] = fit(replace(question, options=limited))
        return self._solved[key]


def _fit_answer(device: Device, left: tuple[int, int], question: Question, solution: Solution) -> DeviceFit:
    network, allocation = question.network, solution.allocation
    return DeviceFit(
        device=device_answer(device),
        fits=allocation is not None,
        budget=BudgetAnswer(flash_bytes=left[0], ram_bytes=left[1]),
        regions=regions_of(solution.memory, *left),
        optimization=optimization_of(solution.accounting),
        objective=solution.objective,
        gap=solution.gap,
        mean_weight_bits=None if allocation is None else _mean_weight_bits(network, allocation),
        mean_activation_bits=None if allocation is None else _mean_activation_bits(network, allocation),
        latency=latency_of(question, solution),
    )


def _mean_weight_bits(network: Network, allocation: Allocation) -> float:
    owners = network.weight_owners
    sizes = {layer.name: network.weight_elements(layer) for layer in network.weight_layers if owners.stores(layer.name)}
    return sum(size * allocation.weight_bits[name] for name, size in sizes.items()) / sum(sizes.values())


def _mean_activation_bits(network: Network, allocation: Allocation) -> float:
    sizes = {name: shape.elements for name, shape in network.shapes.items()}
    return sum(size * allocation.activation_bits[name] for name, size in sizes.items()) / sum(sizes.values())
