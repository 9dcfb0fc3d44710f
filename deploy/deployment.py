"""What the emission of C needs beside an integer-only network, in the file `deployment.json` next to it.

The memory plan depends on which layers of the device overwrite their inputs, and the host's work is known from the
source network only. A folder without the file, from an earlier version, is emitted with the rules of no device, and
with real values in place of the outputs of the source file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.integer_network import IntegerNetwork
from deploy.structure import forms_of, structure_of
from network.errors import BitbudgetError, IntegerFileError
from network.host_graph import MAX_HOST_GRAPH_BYTES, HostGraph, check_host_graph
from network.json_reading.fields import Fields, load_object
from network.json_reading.host_steps import read_host_graph, write_host_graph
from network.kernel_functions import Form
from network.kernel_sizes.tables import Optimization, sizes_for
from network.kernels import IN_PLACE_KERNELS
from network.memory.accounting import Accounting
from network.memory.deployed import DeployedAccounting
from network.memory.pairs import layers_for_pairs

DEPLOYMENT_FILE: Final = "deployment.json"
FORMAT_VERSION: Final = 1

MAX_DEPLOYMENT_BYTES: Final = 2 * MAX_HOST_GRAPH_BYTES + 2**20
"""Largest size in bytes of the file that is read."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the emission of C needs beside an integer-only network.

    Attributes:
        core: Name of the core whose code the memory report counts; None for estimates for a core that is not known.
        optimization: Optimization flag with which the C is compiled.
        in_place: Names of the kernels that overwrite an input.
        reuses_input: Whether the memory of each input is free after the last layer that reads it.
        pairs: Names of the layers that multiply pairs of 2-bit codes at once.
        host_graph: Computation behind the network; None if it is not known.
    """

    core: str | None = None
    optimization: Optimization = Optimization.SPEED
    in_place: frozenset[str] = frozenset(IN_PLACE_KERNELS)
    reuses_input: bool = True
    pairs: frozenset[str] = frozenset()
    host_graph: HostGraph | None = None

    @classmethod
    def of(cls, accounting: Accounting, host_graph: HostGraph | None) -> Deployment:
        """Return the deployment of a network whose bytes were counted by given rules.

        Args:
            accounting: The rules; those of the paper know no memory plan, so that the one of no device is made.
            host_graph: Computation behind the network.
        """
        if isinstance(accounting, DeployedAccounting):
            sizes = accounting.sizes
            pairs = frozenset(name for name, form in accounting.forms.items() if form is Form.PAIRS)
            in_place, reuses_input = accounting.in_place, accounting.reuses_input
            return cls(sizes.core, sizes.optimization, in_place, reuses_input, pairs, host_graph)
        return cls(host_graph=host_graph)

    @property
    def accounting(self) -> DeployedAccounting:
        """Rules by which the memory is planned.

        Raises:
            RequestError: If a kernel cannot overwrite an input.
        """
        sizes = sizes_for(self.core, self.optimization)
        forms = dict.fromkeys(sorted(self.pairs), Form.PAIRS)
        return DeployedAccounting(sizes, self.in_place, reuses_input=self.reuses_input, forms=forms)


def deployment_bytes(deployment: Deployment) -> bytes:
    """Return the content of the file."""
    content = {
        "format_version": FORMAT_VERSION,
        "core": deployment.core,
        "optimization": deployment.optimization.value,
        "in_place": sorted(deployment.in_place),
        "reuses_input": deployment.reuses_input,
        "pairs": sorted(deployment.pairs),
        **({} if deployment.host_graph is None else {"host_graph": write_host_graph(deployment.host_graph)}),
    }
    return (json.dumps(content, indent=2) + "\n").encode("ascii")


def read_deployment(directory: Path, network: IntegerNetwork) -> Deployment:
    """Read the file of a directory, which may come from an untrusted source.

    Args:
        directory: The directory.
        network: The integer-only network of the directory.

    Returns:
        The deployment that the file describes. If there is no file, a deployment with default values and without a
            device.

    Raises:
        IntegerFileError: If the file is damaged, of an unknown version, or does not belong to the network.
    """
    path = directory / DEPLOYMENT_FILE
    try:
        with path.open("rb") as file:
            content = file.read(MAX_DEPLOYMENT_BYTES + 1)
    except FileNotFoundError:
        return Deployment()
    except OSError as error:
        raise IntegerFileError(f"the file {DEPLOYMENT_FILE} cannot be read: {error.strerror}") from error
    if len(content) > MAX_DEPLOYMENT_BYTES:
        raise IntegerFileError(f"the file {DEPLOYMENT_FILE} has more than {MAX_DEPLOYMENT_BYTES} bytes; save it again")
    known = ("format_version", "core", "optimization", "in_place", "reuses_input", "pairs", "host_graph")
    value = load_object(content, DEPLOYMENT_FILE, IntegerFileError)
    fields = Fields(value, DEPLOYMENT_FILE, known, error=IntegerFileError)
    if fields.raw("format_version") != FORMAT_VERSION:
        raise fields.refused("format_version", f"{FORMAT_VERSION}; use the version of bitbudget that wrote it")
    try:
        deployment = Deployment(
            None if fields.raw("core") is None else fields.text("core"),
            Optimization(fields.text("optimization")),
            frozenset(fields.texts("in_place", ())),
            fields.flag("reuses_input", default=True),
            frozenset(fields.texts("pairs", ())),
            read_host_graph(fields),
        )
        if deployment.host_graph is not None:
            shapes = {name: tensor.shape for name, tensor in network.tensors.items()}
            check_host_graph(deployment.host_graph, shapes, network.outputs, network.input_names)
        _ = deployment.accounting
        structure, allocation = structure_of(network)
        if unsuited := deployment.pairs.difference(layers_for_pairs(structure, allocation, forms_of(network))):
            raise IntegerFileError(f"the layer {min(unsuited)[:60]!r} cannot multiply pairs of 2-bit codes")
    except (BitbudgetError, ValueError) as error:
        raise IntegerFileError(f"{DEPLOYMENT_FILE} does not belong to the network: {error}") from error
    return deployment
