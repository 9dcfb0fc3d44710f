"""Random tiny integer-only networks with every kind of layer, and a small fixed one, for the tests of `deploy`."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from deploy.arithmetic import CodeArray, Requantization, encode_factors, encode_factors_of_sum, top_code
from deploy.integer_network import (
    IntegerAdd,
    IntegerAveragePool,
    IntegerConcat,
    IntegerConvolution,
    IntegerFullyConnected,
    IntegerLayer,
    IntegerMaxPool,
    IntegerNetwork,
    IntegerPad,
    IntegerTensor,
)
from network.allocation import BITS, Bits, Folding, Scheme, WeightScheme
from network.layers import Axis, Flattening, Padding, Shape
from network.network_input import InputFormat, NetworkInput
from network.windows import window_divisors

SCHEMES = (
    Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.WEIGHTS),
    Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN),
)

NO_PADDING = Padding()

KINDS = (
    "convolution", "depthwise", "fully_connected", "add", "concat", "flattened_concat", "spatial_concat", "max_pool",
    "average_pool", "pad",
)  # fmt: skip


class Builder:
    """Builder of an integer network, layer by layer, with arrays from a seeded generator."""

    def __init__(self, generator: np.random.Generator, shape: Shape, bits: Bits = 8) -> None:
        self.generator = generator
        self.tensors: dict[str, IntegerTensor] = {}
        self.layers: list[IntegerLayer] = []
        self.inputs = [self.tensor("input", shape, bits)]

    def add_input(self, shape: Shape, bits: Bits | None = None) -> str:
        """Add another input; call it before the first layer."""
        name = self.tensor(f"input{len(self.inputs) + 1}", shape, bits)
        self.inputs.append(name)
        return name

    def tensor(self, name: str, shape: Shape, bits: Bits | None = None) -> str:
        bits = bits or BITS[self.generator.integers(3)]
        zero_point = (0, int(self.generator.integers(top_code(bits) + 1)), top_code(bits))[self.generator.integers(3)]
        scale = float(self.generator.uniform(0.001, 2.0))
        self.tensors[name] = IntegerTensor(name, shape, bits, scale, zero_point)
        return name

    def shape(self, name: str) -> Shape:
        return self.tensors[name].shape

    def factors(self, count: int, spread: float) -> Requantization:
        """Return factors that map sums of about `spread` steps to the range of codes; some are negative or zero."""
        factors = self.generator.uniform(-1, 1, count) * 8.0 ** self.generator.integers(-1, 3, count) * 10 / spread
        factors[self.generator.random(count) < 0.05] = 0.0
        return encode_factors(factors, "random")

    def convolution(
        self,
        source: str,
        output_channels: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        padding: Padding = NO_PADDING,
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
        weight_bits: Bits | None = None,
    ) -> str:
        shape = self.shape(source)
        top, left, bottom, right = padding
        height = (shape.height + top + bottom - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
        width = (shape.width + left + right - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
        name = f"convolution{len(self.layers)}"
        self.tensor(name, Shape(output_channels, height, width))
        self.layers.append(
            IntegerConvolution(
                name=name, inputs=(source,), output=name, stride=stride, padding=padding, dilation=dilation,
                groups=groups, **self.weights((output_channels, *kernel, shape.channels // groups), weight_bits),
            )
        )  # fmt: skip
        return name

    def fully_connected(self, source: str, output_channels: int, weight_bits: Bits | None = None) -> str:
        shape = self.shape(source)
        name = f"fully_connected{len(self.layers)}"
        self.tensor(name, Shape(output_channels))
        weights = self.weights((output_channels, shape.height, shape.width, shape.channels), weight_bits)
        self.layers.append(IntegerFullyConnected(name=name, inputs=(source,), output=name, **weights))
        return name

    def weights(self, shape: tuple[int, ...], bits: Bits | None) -> dict[str, Any]:
        generator, channels = self.generator, shape[0]
        bits = bits or BITS[generator.integers(3)]
        scheme = SCHEMES[generator.integers(2)]
        count = channels if scheme.weights.is_per_channel else 1
        taps = int(np.prod(shape[1:]))
        return {
            "codes": generator.integers(0, top_code(bits) + 1, shape).astype(np.uint8),
            "weight_bits": bits,
            "weight_zero_point": generator.integers(-3, top_code(bits) + 4, count).astype(np.int32),
            "bias": generator.integers(-100 * taps, 100 * taps + 1, channels).astype(np.int32),
            "requantization": self.factors(int(generator.choice([1, channels])), 20.0 * taps),
            "scheme": scheme,
            "weight_scale": generator.uniform(0.001, 0.1, count) * generator.choice([-1, 1], count),
        }

    def add(self, *sources: str) -> str:
        name = f"add{len(self.layers)}"
        self.tensor(name, self.shape(sources[0]))
        factors = encode_factors_of_sum(self.generator.uniform(-2, 2, len(sources)), name)
        self.layers.append(IntegerAdd(name=name, inputs=sources, output=name, requantization=factors))
        return name

    def concat(self, *sources: str, flattening: Flattening | None = None, axis: Axis = Axis.CHANNELS) -> str:
        name = f"concat{len(self.layers)}"
        shapes = [self.shape(source) for source in sources]
        whole = list(shapes[0])
        whole[axis.position] = sum(shape[axis.position] for shape in shapes)
        self.tensor(name, Shape(*whole) if flattening is None else Shape(sum(shape.elements for shape in shapes)))
        self.layers.append(
            IntegerConcat(
                name=name, inputs=sources, output=name, requantization=self.factors(len(sources), 10.0),
                flattening=flattening, axis=axis,
            )
        )  # fmt: skip
        return name

    def pool(
        self,
        source: str,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        padding: Padding = NO_PADDING,
        average: bool | None = None,
        count_includes_padding: bool = False,
    ) -> str:
        name = f"pool{len(self.layers)}"
        shape = self.shape(source)
        height = (shape.height + padding.top + padding.bottom - kernel[0]) // stride[0] + 1
        width = (shape.width + padding.left + padding.right - kernel[1]) // stride[1] + 1
        self.tensor(name, Shape(shape.channels, height, width))
        if not average:
            self.layers.append(
                IntegerMaxPool(
                    name=name, inputs=(source,), output=name, kernel=kernel, stride=stride, padding=padding,
                    requantization=self.factors(1, 10.0),
                )
            )  # fmt: skip
            return name
        divisors = window_divisors(shape, kernel, stride, padding, includes_padding=count_includes_padding)
        self.layers.append(
            IntegerAveragePool(
                name=name, inputs=(source,), output=name, kernel=kernel, stride=stride, padding=padding,
                count_includes_padding=count_includes_padding, divisors=divisors,
                requantization=self.factors(len(divisors), 10.0 * divisors[-1]),
            )
        )  # fmt: skip
        return name

    def pad(self, source: str, padding: Padding, before: int, after: int) -> str:
        name = f"pad{len(self.layers)}"
        channels, height, width = self.shape(source)
        top, left, bottom, right = padding
        self.tensor(name, Shape(channels + before + after, height + top + bottom, width + left + right))
        self.layers.append(
            IntegerPad(
                name=name, inputs=(source,), output=name, padding=padding, channels_before=before,
                channels_after=after, requantization=self.factors(1, 10.0),
            )
        )  # fmt: skip
        return name

    def network(self, name: str = "random") -> IntegerNetwork:
        """Return the network with all layers added so far; its outputs are the tensors that no layer reads."""
        read = {tensor for layer in self.layers for tensor in layer.inputs}
        outputs = tuple(tensor for tensor in self.tensors if tensor not in read)
        inputs = tuple(
            NetworkInput(each, self.shape(each), InputFormat(tuple(self.shape(each)))) for each in self.inputs
        )
        return IntegerNetwork(name, inputs, self.tensors, tuple(self.layers), outputs)

    def codes(self, images: int, name: str = "input") -> CodeArray:
        tensor = self.tensors[name]
        extents = (images, tensor.shape.height, tensor.shape.width, tensor.shape.channels)
        return self.generator.integers(0, top_code(tensor.bits) + 1, extents).astype(np.uint8)

    def input_codes(self, images: int) -> dict[str, CodeArray]:
        """Return random codes of every input."""
        return {name: self.codes(images, name) for name in self.inputs}


@st.composite
def builders(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> Builder:
    """Draw a builder with one or two inputs and one to four layers over images of at most 4x6x6."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = Shape(draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    builder = Builder(generator, shape, draw(st.sampled_from(BITS)))
    if draw(st.booleans()):
        builder.add_input(draw(st.sampled_from((shape, Shape(3)))))
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4)):
        _grow(draw, builder, kind, draw(st.sampled_from(list(builder.tensors))))
    return builder


def _grow(draw: st.DrawFn, builder: Builder, kind: str, source: str) -> None:
    shape = builder.shape(source)
    padding = Padding(*(draw(st.integers(0, 2)) for _ in range(4)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    match kind:
        case "convolution" | "depthwise":
            groups = shape.channels
            if kind == "convolution":
                groups = draw(st.sampled_from([n for n in range(1, shape.channels + 1) if shape.channels % n == 0]))
            dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
            around = (shape.height + padding.top + padding.bottom, shape.width + padding.left + padding.right)
            kernel = tuple(
                draw(st.integers(1, min(3, (size - 1) // d + 1))) for size, d in zip(around, dilation, strict=True)
            )
            channels = groups * draw(st.integers(1, 3))
            builder.convolution(
                source, channels, (kernel[0], kernel[1]), stride=stride, padding=padding, dilation=dilation,
                groups=groups,
            )  # fmt: skip
        case "fully_connected":
            builder.fully_connected(source, draw(st.integers(1, 4)))
        case "add" | "concat":
            # The inputs of an add have the same shape; those of a concat only the same height and width.
            shared = slice(0, 3) if kind == "add" else slice(1, 3)
            alike = [name for name in builder.tensors if builder.shape(name)[shared] == shape[shared]]
            sources = draw(st.lists(st.sampled_from(alike), min_size=1, max_size=3))
            (builder.add if kind == "add" else builder.concat)(*sources)
        case "spatial_concat":
            axis = draw(st.sampled_from((Axis.HEIGHT, Axis.WIDTH)))
            others = [each.position for each in Axis if each is not axis]
            alike = [
                name for name in builder.tensors if all(builder.shape(name)[each] == shape[each] for each in others)
            ]
            builder.concat(*draw(st.lists(st.sampled_from(alike), min_size=1, max_size=3)), axis=axis)
        case "flattened_concat":
            sources = draw(st.lists(st.sampled_from(list(builder.tensors)), min_size=1, max_size=3))
            builder.concat(*sources, flattening=draw(st.sampled_from(Flattening)))
        case "max_pool" | "average_pool":
            kernel = (draw(st.integers(1, min(3, shape.height))), draw(st.integers(1, min(3, shape.width))))
            limits = (kernel[0] - 1, kernel[1] - 1) * 2
            padding = Padding(*(min(size, limit) for size, limit in zip(padding, limits, strict=True)))
            builder.pool(source, kernel, stride, padding, kind == "average_pool", draw(st.booleans()))
        case _:
            builder.pad(source, padding, draw(st.integers(0, 2)), draw(st.integers(0, 2)))
