"""The memory that the byte accounting predicts for an integer-only network, with the form that each layer has."""

from __future__ import annotations

from deploy.integer_network import IntegerNetwork
from deploy.structure import forms_on_chip, structure_of
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.memory.report import MemoryReport


def predicted_memory(network: IntegerNetwork, accounting: DeployedAccounting) -> MemoryReport:
    """Return the memory report of an integer-only network: what the accounting says of the C files before a link.

    Args:
        network: The integer-only network.
        accounting: The rules by which bytes are counted; its forms say only which layers multiply pairs of
            2-bit codes, the others are those of the network.

    Raises:
        ConversionError: if the network is inconsistent.
        InvalidNetwork: if the network has no layer with weights.
    """
    structure, allocation = structure_of(network)
    return measure(structure, allocation, accounting.with_forms(forms_on_chip(network, accounting)))
