"""The structure of an integer-only network as a `network.network.Network` without weights.

With it and the bits, schemes and forms of the layers, the byte accounting counts the bytes of an integer-only network
and plans its arena:

    structure, allocation = structure_of(network)
    report = measure(structure, allocation, accounting.with_forms(forms_of(network)))
"""

from __future__ import annotations

from dataclasses import replace

from deploy.consistency import check_consistency
from deploy.counterparts import counterpart
from deploy.integer_network import IntegerAdd, IntegerConvolution, IntegerLayer, IntegerNetwork
from deploy.narrow_constants import is_int32_sum, narrow_constants_of
from network.allocation import Allocation
from network.kernel_functions import Form
from network.layers import Layer, WeightLayer
from network.memory.deployed import DeployedAccounting
from network.network import Network


def structure_of(network: IntegerNetwork) -> tuple[Network, Allocation]:
    """Return the structure of an integer-only network: the same layers and tensors in the same order, by the same
    names, without weights; and the bits and schemes that the network has.

    Args:
        network: The integer-only network. It is checked first.

    Returns:
        The network, whose weights are None, and the allocation of its bits and schemes.

    Raises:
        ConversionError: if the network is inconsistent.
        InvalidNetwork: if a layer writes a tensor that is neither read nor an output.
    """
    check_consistency(network)
    convolutions = [layer for layer in network.layers if isinstance(layer, IntegerConvolution)]
    shared = {layer.shares_weights_of for layer in convolutions if layer.shares_weights_of is not None}
    structure = Network(
        name=network.name,
        inputs=network.inputs,
        layers=tuple(_layer(layer, shared) for layer in network.layers),
        outputs=network.outputs,
        host_steps=network.host_steps,
    )
    return structure, Allocation(
        weight_bits={layer.name: layer.weight_bits for layer in convolutions},
        activation_bits={name: tensor.bits for name, tensor in network.tensors.items()},
        schemes={layer.name: layer.scheme for layer in convolutions},
    )


def forms_of(network: IntegerNetwork) -> dict[str, Form]:
    """Return how each layer of an integer-only network requantizes on a chip, by the name of the layer."""
    return {layer.name: _form(network, layer) for layer in network.layers}


def forms_on_chip(network: IntegerNetwork, accounting: DeployedAccounting) -> dict[str, Form]:
    """Return the forms by which a network is written as C: those of its values, with functions for pairs of 2-bit codes
    where the accounting counts them.

    Args:
        network: The integer-only network.
        accounting: The rules by which bytes are counted.
    """
    return {
        name: Form.PAIRS if form is Form.NARROW and accounting.forms.get(name) is Form.PAIRS else form
        for name, form in forms_of(network).items()
    }


def _form(network: IntegerNetwork, layer: IntegerLayer) -> Form:
    inputs, output = tuple(network.tensors[each] for each in layer.inputs), network.tensors[layer.output]
    if isinstance(layer, IntegerConvolution):
        if layer.thresholds is not None:
            return Form.THRESHOLDS
        return Form.WIDE if narrow_constants_of(layer, inputs[0], output) is None else Form.NARROW
    is_wide = isinstance(layer, IntegerAdd) and not is_int32_sum(layer, inputs, output)
    return Form.WIDE if is_wide else Form.NARROW


def _layer(layer: IntegerLayer, shared: set[str]) -> Layer:
    """Return the layer with the parameters of an integer layer, without weights.

    Args:
        layer: The integer layer.
        shared: Names of the layers whose weights later layers share.
    """
    made = counterpart(layer)
    if isinstance(layer, IntegerConvolution) and isinstance(made, WeightLayer):
        owner = layer.shares_weights_of or layer.name
        return replace(made, shared_weight=owner if owner in shared else None)
    return made
