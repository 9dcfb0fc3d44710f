"""The memory that the byte accounting predicts for an integer-only network, with the form that each layer has."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.emission.constants import constants_of
from deploy.integer_network import IntegerAdd, IntegerConvolution, IntegerNetwork
from deploy.narrow_constants import is_int32_sum
from deploy.structure import structure_of
from network.kernel_functions import Form
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.memory.report import MemoryReport


def predicted_memory(network: IntegerNetwork, accounting: DeployedAccounting) -> MemoryReport:
    """Return the memory report of an integer-only network: what the accounting says of the C files before a link.

    Args:
        network: The integer-only network.
        accounting: The rules by which bytes are counted; the forms of the layers are those of the network.

    Raises:
        ConversionError: if the network is inconsistent.
        InvalidNetwork: if the network has no layer with weights.
    """
    structure, allocation = structure_of(network)
    return measure(structure, allocation, accounting.with_forms(forms_of(network)))


def forms_of(network: IntegerNetwork) -> Mapping[str, Form]:
    """Return how each layer of an integer-only network requantizes: name of the layer -> form.

    Args:
        network: The integer-only network.

    Raises:
        ConversionError: if a layer cannot be written as C.
    """
    forms = {}
    for layer in network.layers:
        inputs = [network.tensors[each] for each in layer.inputs]
        output = network.tensors[layer.output]
        if isinstance(layer, IntegerConvolution):
            forms[layer.name] = constants_of(layer, 1, 1, inputs[0], output).form
        elif isinstance(layer, IntegerAdd) and not is_int32_sum(layer, inputs, output):
            forms[layer.name] = Form.WIDE
    return forms
