"""The linked report of a trained network, where the compiler for the core of its device is installed."""

from __future__ import annotations

from collections.abc import Mapping

from api.schemas.build import BuildAnswer
from deploy.arithmetic import CodeArray
from deploy.building.cores import Core, core_named
from deploy.building.toolchains import has_compiler
from deploy.deployment import Deployment
from deploy.integer_network import IntegerNetwork
from network.budget import Budget
from network.devices.device import Device
from network.errors import RequestError


def linked_report(
    network: IntegerNetwork,
    device: Device | None,
    budget: Budget,
    deployment: Deployment,
    codes: Mapping[str, CodeArray] | None = None,
) -> BuildAnswer | None:
    """Compile and link a network for the core of a device, and return predicted and linked bytes.

    Args:
        network: The integer-only network.
        device: The device of the request; None without one.
        budget: Flash and RAM that the network may use.
        deployment: Optimization flag of the compiler, and the functions that the network uses.
        codes: Codes of real samples for the self-test; None for pseudo-random ones.

    Returns:
        The report; None if there is no device, or if the compiler for its core is not installed.

    Raises:
        BuildError: If the C files do not compile or link.
        ConversionError: If the network cannot be written as C.
    """
    core = None if device is None else _core_of(device)
    if device is None or core is None or not has_compiler(core):
        return None
    from api.operations.build import BuildJob, build_network

    job = BuildJob(
        network=network, core=core, device=device, budget=budget, optimization=deployment.optimization,
        pairs=deployment.pairs, codes=codes,
    )  # fmt: skip
    return build_network(job)


def _core_of(device: Device) -> Core | None:
    """Return the core for which C is built for a device; None if there is no compiler for it."""
    try:
        return core_named(device.core)
    except RequestError:
        return None
