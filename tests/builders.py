"""Networks that many tests need, built in code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from deploy.integer_network import IntegerNetwork
from network.budget import Budget
from network.devices.latency import Latency
from network.layers import (
    RELU,
    RELU6,
    AveragePool,
    BatchNorm,
    Convolution,
    Float32Array,
    FullyConnected,
    Layer,
    Padding,
    Shape,
)
from network.memory.accounting import Accounting
from network.network import Network
from network.network_input import InputFormat, NetworkInput
from network.sensitivity.table import SensitivityTable
from solver.exact.choices import Choices
from solver.options import LayerOrder, Method, SolveOptions
from solver.question import Question

MOBILENET_V1_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)  # fmt: skip
"""Output channels of the pointwise and stride of the depthwise convolution, at width 1."""


def network_of(
    layers: Sequence[Layer],
    input_shape: Shape,
    name: str = "tiny",
    outputs: Sequence[str] = (),
    other_inputs: Mapping[str, Shape] | None = None,
) -> Network:
    """A network over samples that have the layout of the input tensors; it ends with its last layer."""
    inputs = {"input": input_shape, **(other_inputs or {})}
    return Network(
        name=name,
        inputs=tuple(NetworkInput(each, shape, InputFormat(dims=tuple(shape))) for each, shape in inputs.items()),
        layers=tuple(layers),
        outputs=tuple(outputs) or (layers[-1].output,),
    )


T = TypeVar("T", Network, IntegerNetwork)


def with_input_format(network: T, input_format: InputFormat) -> T:
    """The same network, whose only input has another format."""
    return replace(network, inputs=(replace(network.only_input, format=input_format),))


def question_of(
    network: Network,
    budget: Budget,
    method: Method,
    accounting: Accounting,
    table: SensitivityTable | None = None,
    *,
    choices: Choices | None = None,
    latency: Latency | None = None,
    chooses_schedule: bool = True,
    **options: Any,
) -> Question:
    """The question of a test: `choices` and `latency` as the solver's own data, other options by name."""
    if choices is not None:
        options |= {
            "allowed_schemes": list(choices.schemes),
            "allowed_weight_bits": {name: list(bits) for name, bits in choices.allowed_weight_bits.items()},
            "allowed_activation_bits": {name: list(bits) for name, bits in choices.allowed_activation_bits.items()},
        }
    schedule = LayerOrder.BEST if chooses_schedule else LayerOrder.GIVEN
    return Question(
        network=network,
        budget=budget,
        accounting=accounting,
        sensitivity=table,
        options=SolveOptions(method=method, schedule=schedule, **options),
        speed=None if latency is None else latency.speed,
        max_cycles=None if latency is None else latency.most_cycles,
    )


def mobilenet_v1(width: float = 1.0, resolution: int = 224, classes: int = 1000, *, seed: int | None = None) -> Network:
    """MobileNetV1 of 28 layers (`width` of the channels, square images), with random weights if a seed is given."""
    layers: list[Layer] = []
    rng = None if seed is None else np.random.default_rng(seed)
    channels = 3
    source = "input"

    def convolution(name: str, outputs: int, kernel: int, stride: int, groups: int) -> None:
        nonlocal channels, source
        weight_shape = (outputs, channels // groups, kernel, kernel)
        layers.append(
            Convolution(
                name=name,
                inputs=(source,),
                output=f"{name}_relu6",
                activation=RELU6,
                output_channels=outputs,
                kernel=(kernel, kernel),
                stride=(stride, stride),
                padding=Padding(*(kernel // 2,) * 4),
                groups=groups,
                weight=None if rng is None else _random(rng, weight_shape),
                batch_norm=None if rng is None else random_batch_norm(rng, outputs),
            )
        )
        channels, source = outputs, f"{name}_relu6"

    convolution("conv0", int(32 * width), 3, 2, 1)
    for index, (outputs, stride) in enumerate(MOBILENET_V1_BLOCKS, start=1):
        convolution(f"conv{index}_dw", channels, 3, stride, channels)
        convolution(f"conv{index}_pw", int(outputs * width), 1, 1, 1)
    side = network_of(layers, Shape(3, resolution, resolution)).shapes[source].height
    layers.append(AveragePool(name="pool", inputs=(source,), output="pool", kernel=(side, side)))
    layers.append(
        FullyConnected(
            name="fc",
            inputs=("pool",),
            output="logits",
            output_channels=classes,
            weight=None if rng is None else _random(rng, (classes, channels)),
            bias=None if rng is None else np.zeros(classes, dtype=np.float32),
        )
    )
    return network_of(layers, Shape(3, resolution, resolution), name=f"mobilenet_v1_{width}_{resolution}")


def chain_of(description: Mapping[str, Any]) -> Network:
    """The network of a golden row of kind `layers`: convolutions, a pool over the image, a fully connected layer."""
    layers: list[Layer] = []
    source = "input"
    channels, height, width = description["input"]
    for index, each in enumerate(description["layers"]):
        name = f"layer{index}"
        if each["op"] == "conv":
            layers.append(
                Convolution(
                    name=name,
                    inputs=(source,),
                    output=name,
                    activation=RELU,
                    output_channels=each["cout"],
                    kernel=(each["k"], each["k"]),
                    stride=(each["stride"], each["stride"]),
                    padding=Padding(*(each["pad"],) * 4),
                    groups=each["groups"],
                )
            )
        else:
            shape = network_of(layers, Shape(channels, height, width)).shapes[source]
            layers.append(AveragePool(name="pool", inputs=(source,), output="pool", kernel=(shape.height, shape.width)))
            layers.append(FullyConnected(name=name, inputs=("pool",), output=name, output_channels=each["cout"]))
        source = layers[-1].output
    return network_of(layers, Shape(channels, height, width))


def random_batch_norm(rng: np.random.Generator, channels: int) -> BatchNorm:
    def uniform(low: float, high: float) -> Float32Array:
        return rng.uniform(low, high, channels).astype(np.float32)

    return BatchNorm(uniform(0.5, 1.5), uniform(-0.5, 0.5), uniform(-0.5, 0.5), uniform(0.5, 1.5), 1e-3)


def _random(rng: np.random.Generator, shape: tuple[int, ...]) -> Float32Array:
    fan_in = int(np.prod(shape[1:]))
    weight: Float32Array = (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)
    return weight
