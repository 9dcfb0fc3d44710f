"""The function `build`: compile and link a trained network for a chip, and compare it with the prediction."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from api.cli.text.build import build_text
from api.cli.text.columns import plain
from api.operations.build import BuildJob, build_network
from api.schemas.build import BuildAnswer
from api.schemas.keywords import DeviceLike
from bitbudget._integers import InputSamples, codes_of_inputs
from deploy.arithmetic import CodeArray
from deploy.deployment import Deployment, read_deployment
from deploy.files import load
from deploy.integer_network import IntegerNetwork
from deploy.sample_codes import read_vectors
from network.devices.catalogue import device_named, device_of
from network.devices.device import Device
from network.errors import RequestError
from network.kernel_sizes.tables import Optimization


@dataclass(frozen=True, eq=False, repr=False)
class BuildResult:
    """Result of a build: predicted and linked bytes, stack, audit and self-test; `print` shows it as text.

    Attributes:
        report: The whole report; `report.model_dump_json()` is its JSON.
    """

    report: BuildAnswer

    @property
    def is_good(self) -> bool:
        """Whether the network fits, is as predicted, keeps the audit's rules and passes the self-test if it ran."""
        return self.report.is_good

    @property
    def fits(self) -> bool:
        """Whether the linker placed the network into the flash and RAM of the device; True without a device."""
        return not self.report.excess_bytes

    @property
    def is_as_predicted(self) -> bool:
        """Whether the linked bytes keep the prediction."""
        return self.report.is_as_predicted

    @property
    def flash_bytes(self) -> int:
        """Linked flash of the network, in bytes."""
        return self.report.flash_bytes

    @property
    def ram_bytes(self) -> int:
        """Linked RAM of the network, in bytes: its arena and the reserved stack."""
        return self.report.ram_bytes

    def __str__(self) -> str:
        return plain(build_text(self.report))

    def __repr__(self) -> str:
        report = self.report
        verdict = "good" if report.is_good else "not good"
        return (
            f"<BuildResult of {report.network} for {report.device or report.core}: {verdict}, {report.flash_bytes:,} "
            f"bytes of flash, {report.ram_bytes:,} bytes of RAM>"
        )


def build(
    source: str | os.PathLike[str] | IntegerNetwork,
    *,
    device: DeviceLike | None = None,
    core: str | None = None,
    optimization: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    run: bool = False,
    samples: InputSamples | None = None,
) -> BuildResult:
    """Compile and link a network for a chip, and compare the linked bytes with the predicted ones.

    The compiler for the core must be installed: docs/building.md. A network that does not fit, or differs from the
    prediction, is an answer and not an error.

    Args:
        source: The folder that `train` has written; or an integer-only network, from `convert` or `load`.
        device: Device into whose flash and RAM the linker places the network: its name in the catalogue, a `Device`, or
            the description of a custom one. None: a build for a core, without a budget.
        core: Core such as "cortex-m4" or "rv32imac". None takes that of the device.
        optimization: Optimization flag of the compiler: "O2", "Os" or "O3". None takes that of the folder, or "O2".
        folder: Folder for the C files, object files, map and program. None keeps none of them.
        run: Whether the self-test runs on the emulated chip, which also measures the stack.
        samples: Samples for the self-test of an integer-only network, as for `codes_of_inputs`; at most 10 are used.
            None takes pseudo-random codes. A folder has its own samples.

    Returns:
        The report: predicted and linked bytes by section, layer and function, stack, audit and self-test.

    Raises:
        IntegerFileError: If a file of the folder is missing or damaged.
        RequestError: If neither a device nor a core is given, or the device, core or optimization is unknown.
        ConversionError: If a number of the network does not fit into the C structures.
        BuildError: If the compiler or the emulator is missing, or the C does not compile or link.
        DatasetError: If the samples have another shape.
    """
    if optimization is not None and optimization not in {each.value for each in Optimization}:
        raise RequestError(f"the optimization {optimization!r} is unknown; expected one of {', '.join(Optimization)}")
    if isinstance(source, IntegerNetwork):
        network, deployment = source, Deployment()
        codes = None if samples is None else codes_of_inputs(network, samples)
    elif samples is not None:
        raise RequestError(
            "samples were given with a folder, which has its own; give them with an integer-only network"
        )
    else:
        network, deployment, codes = _of_folder(Path(source))
    chosen = deployment.optimization if optimization is None else Optimization(optimization)
    job = BuildJob.of(network, _device(device), core, chosen, pairs=deployment.pairs, codes=codes, is_run=run)
    return BuildResult(build_network(job, None if folder is None else Path(folder)))


def _of_folder(folder: Path) -> tuple[IntegerNetwork, Deployment, dict[str, CodeArray] | None]:
    network = load(folder)
    return network, read_deployment(folder, network), read_vectors(folder, network)


def _device(device: DeviceLike | None) -> Device | None:
    if device is None or isinstance(device, Device):
        return device
    return device_named(device) if isinstance(device, str) else device_of({**device})
