"""Fusion passes over the translated layers, after which each layer is one step that a device executes.

    1  remove_dead_layers      requires nothing
                               ensures that an output depends on every layer
    2  fold_into_input_format  requires nothing
                               ensures that no per-channel affine layer scales the input before its only reader
    3  fold_into_weights       requires 2
                               ensures that no `PerChannelAffine` layer is left: each is folded into the weight layer
                               before it, or has become a depthwise convolution
    4  fuse_activations        requires 3 (a batch norm after a ReLU cannot move before the ReLU)
                               ensures that an `Activation` is a layer of its own only if its input has other readers
    5  fuse_padding            requires 4 (zeros can be fused into a max pool only if its input is never negative)
                               ensures that a spatial `Pad` is a layer of its own only if it cannot be fused

Each pass reads tuples and returns new ones, in time linear in the number of layers. A layer into which another one is
fused keeps its position and name, and writes the tensor of the other one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from network.errors import UnsupportedOperator
from network.layers import Activation, ActivationFunction, AveragePool, Convolution, Layer, MaxPool, Pad, Padding

Layers = tuple[Layer, ...]


def remove_dead_layers(layers: Layers, outputs: Iterable[str]) -> Layers:
    """Remove the layers on which no output depends.

    Requires: nothing.
    Ensures: An output depends on every remaining layer; their order does not change.

    Args:
        layers: The layers, each after the layers that it reads.
        outputs: Names of the network's output tensors.
    """
    needed = set(outputs)
    kept = []
    for layer in reversed(layers):
        if layer.output in needed:
            needed.update(layer.inputs)
            kept.append(layer)
    return tuple(reversed(kept))


def read_inputs(names: Iterable[str], layers: Layers, outputs: Iterable[str]) -> tuple[str, ...]:
    """Return the inputs of a network that a layer reads or that are outputs; the first input if there are none.

    Args:
        names: Names of the inputs.
        layers: The layers that remain.
        outputs: Names of the network's output tensors.
    """
    names = tuple(names)
    read = {*outputs, *(tensor for layer in layers for tensor in layer.inputs)}
    return tuple(name for name in names if name in read) or names[:1]


def fuse_activations(layers: Layers, outputs: Iterable[str]) -> Layers:
    """Fuse each clamp into the layer before it.

    Requires: `fold_into_weights`, because a batch norm after a clamp cannot be folded into the layer before the clamp.
    Ensures: An `Activation` is a layer of its own only if it reads the network's input or if its input tensor has other
    readers.

    Args:
        layers: The layers, each after the layers that it reads.
        outputs: Names of the network's output tensors.

    Raises:
        UnsupportedOperator: If two successive clamps leave only zero.
    """

    def fuse(writer: Layer, clamp: Layer) -> Layer | None:
        if not isinstance(clamp, Activation):
            return None
        low, high = max(writer.activation.low, clamp.activation.low), min(writer.activation.high, clamp.activation.high)
        if low == high:
            raise UnsupportedOperator(
                f"layer '{clamp.name[:80]}' together with the clamp before it gives zero for every input; "
                "expected clamps whose intervals share more than zero: remove one of them"
            )
        return replace(writer, activation=ActivationFunction(low, high))

    return fuse_neighbours(layers, outputs, fuse)


def fuse_padding(layers: Layers, outputs: Iterable[str]) -> Layers:
    """Fuse zero padding around an image into the convolution or pool that is its only reader.

    Requires: `fuse_activations`, because the clamp of a layer says whether its output is never negative.
    Ensures: A `Pad` of rows and columns is a layer of its own only if its output has other readers or no window, or if
    the fused layer would compute something else: padding of 0 equals the padding of a max pool only if the input is
    never negative, and that of an average pool only if the pool counts its padding.

    Args:
        layers: The layers, each after the layers that it reads.
        outputs: Names of the network's output tensors.
    """
    never_negative = {layer.output for layer in layers if layer.activation.low >= 0}

    def fuse(pad: Layer, window: Layer) -> Layer | None:
        if not isinstance(pad, Pad) or pad.channels_before or pad.channels_after or not pad.activation.is_linear:
            return None
        return _padded(window, pad, never_negative)

    return fuse_neighbours(layers, outputs, fuse, keeps_writer=False)


def _padded(window: Layer, pad: Pad, never_negative: set[str]) -> Layer | None:
    """Return the window layer with the padding of `pad` added to its own; None if its result would differ.

    Args:
        window: The only reader of the padded tensor.
        pad: The layer that pads rows and columns with zeros.
        never_negative: Names of the tensors whose elements are all 0 or more.
    """
    if not isinstance(window, Convolution | MaxPool | AveragePool) or min(pad.padding) < 0:
        return None
    top, left, bottom, right = padding = Padding(*map(sum, zip(window.padding, pad.padding, strict=True)))
    padded = replace(window, inputs=pad.inputs, padding=padding)
    if isinstance(padded, Convolution):
        return padded
    if max(top, bottom) >= window.kernel[0] or max(left, right) >= window.kernel[1]:
        return None
    if isinstance(padded, AveragePool):
        counts_all = padded.count_includes_padding or not any(window.padding)
        return replace(padded, count_includes_padding=True) if counts_all else None
    return padded if pad.inputs[0] in never_negative else None


def reader_counts(layers: Layers, outputs: Iterable[str]) -> Counter[str]:
    """Count the readers of each tensor: layers, and the caller for an output."""
    return Counter(tensor for layer in layers for tensor in layer.inputs) + Counter(outputs)


def fuse_neighbours(
    layers: Layers,
    outputs: Iterable[str],
    fuse: Callable[[Layer, Layer], Layer | None],
    replace_unfused: Callable[[Layer], Layer] = lambda layer: layer,
    *,
    keeps_writer: bool = True,
) -> Layers:
    """Fuse pairs of layers of which the second is the only reader of the first and reads nothing else.

    Args:
        layers: The layers, each after the layers that it reads.
        outputs: Names of the network's output tensors.
        fuse: Function of the first and the second layer that returns one layer that computes both, or None.
        replace_unfused: Function that returns the layer to keep for a layer that is not fused into the one before it.
        keeps_writer: Whether the fused layer has the position of the first layer, otherwise that of the second.
    """
    readers = reader_counts(layers, outputs)
    positions: dict[str, int] = {}  # position of the layer that writes a tensor
    fused: list[Layer | None] = []
    for layer in layers:
        tensor = layer.inputs[0]
        position = positions.get(tensor)
        writer = fused[position] if position is not None else None
        both = fuse(writer, layer) if writer is not None and readers[tensor] == 1 and len(layer.inputs) == 1 else None
        if both is None or position is None:
            positions[layer.output] = len(fused)
            fused.append(replace_unfused(layer))
        elif keeps_writer:
            fused[position] = replace(both, output=layer.output)
            positions[layer.output] = position
        else:
            fused[position] = None
            positions[layer.output] = len(fused)
            fused.append(both)
    return tuple(layer for layer in fused if layer is not None)
