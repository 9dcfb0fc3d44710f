"""A network: layers in the order in which they run, over activation tensors that are written once each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from network.errors import InvalidNetwork
from network.layers import FloatArray, Layer, Shape, WeightLayer

MAX_TENSOR_ELEMENTS = 2**31 - 1
"""More than any microcontroller addresses, and few enough that every byte count stays exact."""

MAX_LAYERS = 200_000


@dataclass(frozen=True, eq=False)
class InputFormat:
    """How a caller's sample becomes the network's input tensor: x = (sample - subtract) * multiply, then transposed.

    Attributes:
        dims: one sample's extents as the caller has it, without the batch, e.g. (32, 32, 3) or (640,).
        channels_last: the sample is height, width, channels; else channels come first.
        subtract: float64 [1] or [channels].
        multiply: float64 [1] or [channels].
    """

    dims: tuple[int, ...]
    channels_last: bool = False
    subtract: tuple[float, ...] = (0.0,)
    multiply: tuple[float, ...] = (1.0,)

    @property
    def is_normalised_already(self) -> bool:
        return set(self.subtract) == {0.0} and set(self.multiply) == {1.0}

    def to_input_tensor(self, samples: npt.NDArray[np.generic], shape: Shape) -> FloatArray:
        """[n, *dims] as the caller has them -> float32 [n, channels, height, width] as the first layer takes them."""
        values = np.asarray(samples, dtype=np.float32)
        if self.channels_last:
            # [n, length, channels] is an image of height 1
            values = values.reshape(len(values), shape.height, shape.width, shape.channels).transpose(0, 3, 1, 2)
        else:
            values = values.reshape(len(values), *shape)
        if not self.is_normalised_already:
            per_channel = (1, -1, 1, 1)
            subtract = np.asarray(self.subtract, dtype=np.float32).reshape(per_channel)
            multiply = np.asarray(self.multiply, dtype=np.float32).reshape(per_channel)
            values = (values - subtract) * multiply
        return np.ascontiguousarray(values, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Network:
    """A float network. Building one infers every shape and refuses what contradicts itself.

    Attributes:
        name: what reports call it.
        input: the name of the tensor that the caller writes.
        input_shape: its shape.
        layers: in schedule order: each reads tensors that are written before it.
        outputs: the tensors that the caller reads.
        input_format: how the caller's samples become the input tensor.
        ends_in_softmax: the file applied softmax to its output; it changes no ranking and is not deployed.
        shapes: every tensor's shape, the input first, then in the order in which they are written.

    Raises:
        InvalidNetwork: a dangling tensor, a tensor written twice, shapes that do not fit; names the layer.
    """

    name: str
    input: str
    input_shape: Shape
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    input_format: InputFormat
    ends_in_softmax: bool = False
    shapes: Mapping[str, Shape] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", MappingProxyType(_infer_shapes(self)))

    @property
    def tensors(self) -> tuple[str, ...]:
        """Activation tensors in the order in which they are written, the input first."""
        return tuple(self.shapes)

    @property
    def weight_layers(self) -> tuple[WeightLayer, ...]:
        return tuple(layer for layer in self.layers if isinstance(layer, WeightLayer))

    @property
    def has_weights(self) -> bool:
        return all(layer.weight is not None for layer in self.weight_layers)

    def input_shapes(self, layer: Layer) -> tuple[Shape, ...]:
        return tuple(self.shapes[tensor] for tensor in layer.inputs)

    def weight_elements(self, layer: WeightLayer) -> int:
        return int(np.prod(layer.weight_shape(self.input_shapes(layer)), dtype=object))

    def readers(self) -> Mapping[str, tuple[Layer, ...]]:
        """The layers that read each tensor, in schedule order."""
        readers: dict[str, list[Layer]] = {tensor: [] for tensor in self.shapes}
        for layer in self.layers:
            for tensor in dict.fromkeys(layer.inputs):
                readers[tensor].append(layer)
        return {tensor: tuple(layers) for tensor, layers in readers.items()}

    @property
    def is_chain(self) -> bool:
        """Each layer reads the tensor that the layer before it wrote, and nothing else is read."""
        written = [self.input, *(layer.output for layer in self.layers)]
        return self.outputs == (written[-1],) and all(
            layer.inputs == (tensor,) for layer, tensor in zip(self.layers, written, strict=False)
        )


def in_schedule_order(layers: Iterable[Layer], given: Iterable[str]) -> tuple[Layer, ...]:
    """The layers in an order in which each reads only what is written before it: the given order wherever that does.

    Args:
        layers: in any order.
        given: tensors that stand before the first layer (the network's input).

    Raises:
        InvalidNetwork: a tensor that nobody writes, two layers that write one tensor, or a cycle; names the layers.
    """
    layers = tuple(layers)
    writers: dict[str, Layer] = {}
    for layer in layers:
        if layer.output in writers:
            raise InvalidNetwork(
                f"tensor '{layer.output}' is written twice, by layer '{writers[layer.output].name}' "
                f"and by layer '{layer.name}'; every tensor is written once"
            )
        writers[layer.output] = layer
    known = set(given)
    for layer in layers:
        for tensor in layer.inputs:
            if tensor not in writers and tensor not in known:
                raise InvalidNetwork(f"layer '{layer.name}' reads tensor '{tensor}', which no layer writes")

    ordered: list[Layer] = []
    state: dict[str, bool] = {}  # output -> finished; False while its inputs are being placed
    for root in layers:
        # Depth first, inputs before the layer; a stack of our own, because networks are deeper than Python's.
        stack: list[tuple[Layer, bool]] = [(root, False)]
        while stack:
            layer, inputs_placed = stack.pop()
            if inputs_placed:
                state[layer.output] = True
                ordered.append(layer)
                continue
            if layer.output in state:
                continue
            state[layer.output] = False
            stack.append((layer, True))
            for tensor in reversed(layer.inputs):
                writer = writers.get(tensor)
                if writer is None or state.get(tensor) is True:
                    continue
                if state.get(tensor) is False:
                    raise InvalidNetwork(
                        f"layer '{layer.name}' and layer '{writer.name}' lie on a cycle: "
                        f"'{writer.name}' cannot run before '{layer.name}' has, nor after; remove the loop"
                    )
                stack.append((writer, False))
    return tuple(ordered)


def _infer_shapes(network: Network) -> dict[str, Shape]:
    if not network.layers:
        raise InvalidNetwork("the network has no layer: nothing is computed from its input")
    if len(network.layers) > MAX_LAYERS:
        raise InvalidNetwork(f"the network has {len(network.layers)} layers; at most {MAX_LAYERS} are taken")
    shapes: dict[str, Shape] = {}
    _add_shape(shapes, network.input, network.input_shape, "the network's input")
    names: set[str] = set()
    read: set[str] = set(network.outputs)
    for layer in network.layers:
        if layer.name in names:
            raise InvalidNetwork(f"two layers are named '{layer.name}'; names are unique")
        names.add(layer.name)
        for tensor in layer.inputs:
            if tensor not in shapes:
                raise InvalidNetwork(f"layer '{layer.name}' reads tensor '{tensor}', which is not written before it")
        read.update(layer.inputs)
        if layer.output in shapes:
            raise InvalidNetwork(f"layer '{layer.name}' writes tensor '{layer.output}', which is written already")
        shape = layer.output_shape(tuple(shapes[tensor] for tensor in layer.inputs))
        _add_shape(shapes, layer.output, shape, f"layer '{layer.name}'")
    if not network.outputs:
        raise InvalidNetwork("the network has no output")
    for output in network.outputs:
        if output not in shapes:
            raise InvalidNetwork(f"the network's output '{output}' is written by no layer")
    for layer in network.layers:
        if layer.output not in read:
            raise InvalidNetwork(
                f"tensor '{layer.output}' of layer '{layer.name}' is dangling: nothing reads it and it is no output"
            )
    return shapes


def _add_shape(shapes: dict[str, Shape], tensor: str, shape: Shape, writer: str) -> None:
    if min(shape) < 1:
        raise InvalidNetwork(f"{writer} has the shape {shape}; every extent must be 1 or more")
    if shape.elements > MAX_TENSOR_ELEMENTS:
        raise InvalidNetwork(
            f"{writer} has {shape.elements} elements ({shape}); at most {MAX_TENSOR_ELEMENTS} fit a microcontroller"
        )
    shapes[tensor] = shape
