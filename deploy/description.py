"""Writing of an integer-only network as a JSON description (`network.json`) and the arrays that the description refers
to.

This module lists the parameters of each kind of layer once; `deploy.description_reading` is the inverse. Fields that
follow from other fields (byte counts, bounds, the schedule) are written to help implementers. A reader computes them
again and compares.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any, Final

from deploy.description_weights import Arrays, weight_fields
from deploy.input_codes import codes_of_bytes, has_table, is_identity
from deploy.integer_network import (
    IntegerAdd,
    IntegerAveragePool,
    IntegerConcat,
    IntegerConvolution,
    IntegerLayer,
    IntegerMaxPool,
    IntegerNetwork,
    IntegerPad,
)
from deploy.proof import prove_accumulators
from network.layers import Axis
from network.network_input import NetworkInput

FORMAT: Final = "bitbudget integer-only network"
VERSIONS: Final = (1, 2, 3, 4)
"""Versions of network.json; version 2 adds thresholds, version 3 weights that several layers share, several inputs and
new forms of concat, version 4 narrow constants and the order of weights on a chip. A network is written in version 4;
versions 1 to 3 were the lowest sufficient one."""

ARITHMETIC: Final = {
    "activation": "code q in [0, 2^bits - 1]; real value = scale * (q - zero_point)",
    "layout": "activations: height, width, channel, the channel varies fastest; padding is top, left, bottom, right, "
    "and adds the code zero_point",
    "input": "x = (sample - subtract) * multiply, q = clamp(floor(x / scale + 1/2 + 2^-12) + zero_point, 0, "
    "2^bits - 1); for bytes q = codes_of_bytes[row][byte], row 0 or that of the channel, and q = byte if 'identity'",
    "requantization": "R(p, n, z, bits) = clamp(z + floor(p / 2^n + 1/2), 0, 2^bits - 1), p in 64 bits; "
    "floor(p / 2^n + 1/2) is (p + 2^(n-1)) >> n with an arithmetic shift, and p if n = 0",
    "convolution": "a = bias + sum of (q_x - z_x) * (q_w - z_w), in int32; y = R(a * m, n, z_y, bits)",
    "thresholds": "if a layer has them, they replace bias, m and n: y = number of k with direction * (a - bias) >= "
    "thresholds[k]; the same codes",
    "fully_connected": "a convolution whose kernel is its whole input",
    "add": "y = R(sum over inputs i of (q_i - z_i) * m_i, n, z_y, bits): one shift, one rounding",
    "concat": "y = R((q_i - z_i) * m_i, n_i, z_y, bits) for each input i, concatenated along the channels, or along "
    "axis; with flattening, each input is a vector first, in the order channel, height, width (channels_first) or "
    "height, width, channel (channels_last)",
    "max_pool": "y = R((largest q of the window - z_x) * m, n, z_y, bits); padding is never the largest",
    "average_pool": "y = R(sum of (q - z_x) over the window * m_d, n_d, z_y, bits); d is the index in divisors of the "
    "window's number of elements, without its padding unless count_includes_padding",
    "pad": "y = R((q - z_x) * m, n, z_y, bits) inside the image, z_y around it",
    "narrow constants": "m int16, n = shift + 16 - e with e = 8 - bits of the input, bias = offset * 2^offset_shift + "
    "z_x * sum of (q_w - z_w)",
    "packing": "by the order of weights: words of 4 bytes, permuted, in pairs of rows; or rows of bytes, the first "
    "code in the least significant bits; unused bits are 0",
    "byte order": "little-endian",
}

CODES_OF_BYTES: Final = "codes_of_bytes"
"""Key of the exact table from bytes to input codes; only a network whose samples are bytes has it."""

IDENTITY: Final = "identity"
"""Value of `CODES_OF_BYTES` if each byte is its own code."""


def describe(network: IntegerNetwork, *, as_old: bool = False) -> tuple[dict[str, Any], Arrays]:
    """Return the content of `network.json` that describes an integer-only network, and the network's arrays by name.

    Args:
        network: The network.
        as_old: Whether to describe it in the lowest sufficient of the versions 1 to 3, as old files are.

    Returns:
        The content of `network.json` without the entry of the weights file, and the arrays by the names that the
        description gives them.

    Raises:
        ConversionError: if an accumulator could overflow.
    """
    arrays: Arrays = {}
    version = _old_version(network) if as_old else VERSIONS[-1]
    bounds = prove_accumulators(network)
    indices = {layer.name: index for index, layer in enumerate(network.layers)}
    layers = []
    for index, layer in enumerate(network.layers):
        described: dict[str, Any] = {
            "name": layer.name,
            "kind": layer.kind,
            "inputs": list(layer.inputs),
            "output": layer.output,
        }
        fields, own = _constants(layer, network, version)
        described |= _parameters(layer) | fields
        for what, array in own.items():
            name = f"{indices[_owner(layer)] if what == 'weights' else index}.{what}"
            arrays.setdefault(name, array)
            reference = {"array": name, "type": str(array.dtype), "shape": list(array.shape), "bytes": array.nbytes}
            described[what] = reference | described.get(what, {})
        if layer.name in bounds:
            described["accumulator_bound"] = bounds[layer.name]
        layers.append(described)
    inputs = [_input(network, each) for each in network.inputs]
    return {
        "format": FORMAT,
        "version": version,
        "name": network.name,
        "arithmetic": ARITHMETIC,
        **({"input": inputs[0]} if len(inputs) == 1 else {"inputs": inputs}),
        "tensors": [
            {
                "name": tensor.name,
                "shape": [tensor.shape.height, tensor.shape.width, tensor.shape.channels],
                "bits": tensor.bits,
                "scale": tensor.scale,
                "zero_point": tensor.zero_point,
            }
            for tensor in network.tensors.values()
        ],
        "layers": layers,
        "schedule": [layer.name for layer in network.layers],
        "outputs": list(network.outputs),
        **_host_steps(network),
    }, arrays


def _input(network: IntegerNetwork, given: NetworkInput) -> dict[str, Any]:
    described: dict[str, Any] = {
        "tensor": given.name,
        "sample_extents": list(given.format.dims),
        "channels_last": given.format.channels_last,
        "subtract": list(given.format.subtract),
        "multiply": list(given.format.multiply),
    }
    if has_table(given.format):
        described[CODES_OF_BYTES] = _codes_of_bytes(network, given)
    return described


def _is_new_concat(layer: IntegerLayer) -> bool:
    """Return whether a layer is a concatenation that version 2 of network.json cannot describe."""
    return isinstance(layer, IntegerConcat) and (layer.flattening is not None or layer.axis is not Axis.CHANNELS)


def _host_steps(network: IntegerNetwork) -> dict[str, Any]:
    """Return the field of what the caller's program computes behind the network; empty if it computes nothing."""
    steps = [
        {"output": each.output, "tensors": list(each.tensors), "operators": list(each.operators)}
        for each in network.host_steps
    ]
    return {"host_steps": steps} if steps else {}


def _codes_of_bytes(network: IntegerNetwork, given: NetworkInput) -> str | list[list[int]]:
    """Return the code of each byte as JSON: `IDENTITY`, or a row of 256 codes for each normalisation."""
    table = codes_of_bytes(given.format, network.tensors[given.name])
    return IDENTITY if is_identity(table) else table.tolist()


@singledispatch
def _parameters(layer: IntegerLayer) -> dict[str, Any]:
    """Return the JSON fields of an integer layer that are not arrays; a field with an array's name extends that array's
    entry.
    """
    raise TypeError(f"layer '{layer.name}' is of kind {layer.kind}, which cannot be written to network.json")


@_parameters.register
def _(_layer: IntegerAdd) -> dict[str, Any]:
    return {}


@_parameters.register
def _(layer: IntegerConcat) -> dict[str, Any]:
    written = {} if layer.flattening is None else {"flattening": layer.flattening.value}
    return written if layer.axis is Axis.CHANNELS else {**written, "axis": layer.axis.value}


@_parameters.register
def _(layer: IntegerConvolution) -> dict[str, Any]:
    return {
        "kernel": list(layer.kernel),
        "stride": list(layer.stride),
        "padding": list(layer.padding),
        "dilation": list(layer.dilation),
        "groups": layer.groups,
    }


def _old_version(network: IntegerNetwork) -> int:
    """Return the lowest of the versions 1 to 3 of network.json that can describe a network."""
    if len(network.inputs) > 1 or any(_is_new_concat(layer) or _owner(layer) != layer.name for layer in network.layers):
        return 3
    return 2 if any(map(_has_thresholds, network.layers)) else 1


def _owner(layer: IntegerLayer) -> str:
    """Return the name of the layer that stores the weights of a layer: its own name, unless it shares them."""
    return (isinstance(layer, IntegerConvolution) and layer.shares_weights_of) or layer.name


def _has_thresholds(layer: IntegerLayer) -> bool:
    return isinstance(layer, IntegerConvolution) and layer.thresholds is not None


@_parameters.register
def _(layer: IntegerMaxPool) -> dict[str, Any]:
    return {"kernel": list(layer.kernel), "stride": list(layer.stride), "padding": list(layer.padding)}


@_parameters.register
def _(layer: IntegerAveragePool) -> dict[str, Any]:
    return {
        "kernel": list(layer.kernel),
        "stride": list(layer.stride),
        "padding": list(layer.padding),
        "count_includes_padding": layer.count_includes_padding,
        "divisors": list(layer.divisors),
    }


@_parameters.register
def _(layer: IntegerPad) -> dict[str, Any]:
    return {
        "padding": list(layer.padding),
        "channels_before": layer.channels_before,
        "channels_after": layer.channels_after,
    }


def _constants(layer: Any, network: IntegerNetwork, version: int) -> tuple[dict[str, Any], Arrays]:
    """Return the JSON fields of a layer's weights and constants, and its arrays by the name of the field."""
    if isinstance(layer, IntegerConvolution):
        return weight_fields(layer, network, version)
    return {}, {"multiplier": layer.requantization.multiplier, "shift": layer.requantization.shift}
