"""Bytes of code that the C functions of a network need, by the bits of its tensors.

`network.kernel_functions` names the functions of a layer. A function is linked once, however many layers use it:

    driver of a layer, and the function that runs the steps    always
    widen                                                      if the input of a layer that calls it has its bits
    dot                                                        if the weights of such a layer have its bits
    pack                                                       if the output of such a layer has its bits
    library function of the compiler                           if a function that calls it is needed

The table of steps ends with an empty step, so that the code that runs them does not depend on their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from network.allocation import BITS, NARROWEST_BITS, Bits
from network.kernel_functions import (
    RUN_FUNCTION,
    Form,
    calls_dot,
    dot_function,
    driver_of,
    is_depthwise_3x3,
    pack_function,
    widen_function,
)
from network.kernel_sizes.tables import KernelSizes
from network.kernels import kernel_of
from network.layers import Convolution, Layer
from network.memory.accounting import Feature
from network.memory.report import Region, Shared
from network.network import Network

_PREFIX: Final = "bb_"


@dataclass
class Users:
    """Bits of tensors that need a function.

    Attributes:
        always: Whether the network needs the function at all bits.
        weights: Pairs of a layer with weights and the bits of its weights that need the function.
        activations: Pairs of an activation tensor and the bits that need the function.
    """

    always: bool = False
    weights: set[tuple[str, Bits]] = field(default_factory=set)
    activations: set[tuple[str, Bits]] = field(default_factory=set)


def code_of(
    network: Network, sizes: KernelSizes, forms: Mapping[str, Form]
) -> tuple[tuple[Shared, ...], tuple[Feature, ...]]:
    """Return the code that a network always needs, and the code that it needs only if certain bits are in use.

    Args:
        network: The network.
        sizes: Code and stack of each function.
        forms: Name of a layer -> how it requantizes; a missing layer is narrow.

    Raises:
        InvalidNetwork: if the class of a layer is not registered.
    """
    always, features = [], []
    for function, users in sorted(_users(network, sizes, forms).items()):
        part = f"kernel code: {function.removeprefix(_PREFIX)}"
        shared = Shared(Region.FLASH, part, sizes.functions[function].code_bytes, is_estimate=sizes.is_estimate)
        if users.always:
            always.append(shared)
        else:
            features.append(Feature(shared, frozenset(users.weights), frozenset(users.activations)))
    return tuple(always), tuple(features)


def _users(network: Network, sizes: KernelSizes, forms: Mapping[str, Form]) -> dict[str, Users]:
    """Return, for each C function that a network can need, the bits that need it."""
    found: dict[str, Users] = {}
    uses = [(RUN_FUNCTION, Users(always=True))]
    for layer in network.layers:
        uses.append((driver_function(network, layer, forms), Users(always=True)))
        uses += called_functions(network, layer, forms)
    for function, users in uses:
        for each in sizes.with_calls((function,)):
            known = found.setdefault(each, Users())
            known.always |= users.always
            known.weights |= users.weights
            known.activations |= users.activations
    return found


def driver_function(network: Network, layer: Layer, forms: Mapping[str, Form]) -> str:
    """Return the C function that runs a layer.

    Args:
        network: The network that contains the layer.
        layer: The layer.
        forms: Name of a layer -> how it requantizes; a missing layer is narrow.

    Raises:
        InvalidNetwork: if the class of the layer is not registered.
    """
    (shape, *_) = network.input_shapes(layer)
    kernel = kernel_of(layer, shape)
    is_3x3 = isinstance(layer, Convolution) and is_depthwise_3x3(
        layer.kernel, layer.stride, layer.dilation, layer.output_channels // layer.groups
    )
    return driver_of(kernel, forms.get(layer.name, Form.NARROW), is_3x3=is_3x3)


def called_functions(network: Network, layer: Layer, forms: Mapping[str, Form]) -> Iterator[tuple[str, Users]]:
    """Yield each C function that the driver of a layer calls, and the bits of the layer's tensors that need it.

    Args:
        network: The network that contains the layer.
        layer: The layer.
        forms: Name of a layer -> how it requantizes; a missing layer is narrow.

    Raises:
        InvalidNetwork: if the class of the layer is not registered.
    """
    (shape, *_) = network.input_shapes(layer)
    kernel = kernel_of(layer, shape)
    if not calls_dot(kernel):
        return
    form = forms.get(layer.name, Form.NARROW)
    for bits in BITS:
        if form is not Form.PAIRS or bits == NARROWEST_BITS:
            yield widen_function(bits, form), Users(activations={(layer.inputs[0], bits)})
            yield dot_function(kernel, bits, form), Users(weights={(layer.name, bits)})
        pack = pack_function(bits)
        if pack is not None:
            yield pack, Users(activations={(layer.output, bits)})
