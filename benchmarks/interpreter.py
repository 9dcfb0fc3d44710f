"""Benchmark of the reference interpreter's speed, compared with the time of its matrix products alone.

    python -m benchmarks.interpreter [--images N] [--json]

The network has the shape of MLPerf Tiny's ResNet8 (12.5 million multiply-accumulate operations for each image) with
random 8-bit codes. The lower bound is the time of numpy's float32 matrix products of the same sizes, without gathering
windows and without requantization, measured in the same run on the same cores. The ratio of both times is comparable
between machines.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable

import numpy as np

from deploy.arithmetic import CodeArray, encode_factors, encode_factors_of_sum
from deploy.blocks import blocks
from deploy.integer_network import (
    IntegerAdd,
    IntegerAveragePool,
    IntegerConvolution,
    IntegerFullyConnected,
    IntegerLayer,
    IntegerNetwork,
    IntegerTensor,
)
from deploy.interpreter import run
from deploy.workers import core_count, run_on_all_cores
from network.allocation import Folding, Scheme, WeightScheme
from network.layers import Padding, Shape
from network.network_input import InputFormat, NetworkInput

COLUMN_BLOCK_ELEMENTS = 2**19

ROUNDS = 3
"""Number of rounds; the fastest one counts, because other processes may use the machine."""


class Resnet8:
    """Builder of an integer-only ResNet8 with random 8-bit codes."""

    def __init__(self, seed: int = 0) -> None:
        self._generator = np.random.default_rng(seed)
        self._layers: list[IntegerLayer] = []
        self._tensors: dict[str, IntegerTensor] = {}
        self._tensor("input", Shape(3, 32, 32))
        trunk = self._convolution("stem", "input", 16, 3, 1)
        for name, channels, stride in (("block1", 16, 1), ("block2", 32, 2), ("block3", 64, 2)):
            first = self._convolution(f"{name}_first", trunk, channels, 3, stride)
            second = self._convolution(f"{name}_second", first, channels, 3, 1)
            if stride > 1:
                trunk = self._convolution(f"{name}_shortcut", trunk, channels, 1, stride)
            trunk = self._add(f"{name}_add", trunk, second)
        self._classify(trunk)

    def network(self) -> IntegerNetwork:
        given = NetworkInput("input", Shape(3, 32, 32), InputFormat((3, 32, 32)))
        return IntegerNetwork("resnet8", (given,), self._tensors, tuple(self._layers), ("classes",))

    def _tensor(self, name: str, shape: Shape) -> str:
        self._tensors[name] = IntegerTensor(name, shape, 8, 0.05, 3)
        return name

    def _convolution(self, name: str, source: str, channels: int, kernel: int, stride: int) -> str:
        shape = self._tensors[source].shape
        around = Padding(0, 0, 1, 1) if stride > 1 else Padding(1, 1, 1, 1)
        self._layers.append(
            self._weighted(
                IntegerConvolution, name, source, (channels, kernel, kernel, shape.channels),
                stride=(stride, stride), padding=around if kernel > 1 else Padding(),
            )
        )  # fmt: skip
        return self._tensor(name, Shape(channels, shape.height // stride, shape.width // stride))

    def _weighted(
        self, kind: type[IntegerConvolution], name: str, source: str, shape: tuple[int, int, int, int],
        *, stride: tuple[int, int] = (1, 1), padding: Padding = Padding(),  # noqa: B008  an immutable tuple
    ) -> IntegerConvolution:  # fmt: skip
        channels = shape[0]
        codes = np.clip(self._generator.normal(128, 30, shape), 0, 255).astype(np.uint8)
        factors = self._generator.uniform(0.5, 1.5, channels) / (200.0 * math.sqrt(math.prod(shape[1:])))
        return kind(
            name=name, inputs=(source,), output=name, codes=codes, weight_bits=8,
            weight_zero_point=np.full(channels, 128, np.int32), bias=np.full(channels, 1000, np.int32),
            requantization=encode_factors(factors, name),
            scheme=Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN),
            weight_scale=np.full(channels, 0.01), stride=stride, padding=padding,
        )  # fmt: skip

    def _add(self, name: str, *sources: str) -> str:
        factors = encode_factors_of_sum([0.7, 0.6], name)
        self._layers.append(IntegerAdd(name=name, inputs=sources, output=name, requantization=factors))
        return self._tensor(name, self._tensors[sources[0]].shape)

    def _classify(self, trunk: str) -> None:
        shape = self._tensors[trunk].shape
        area = shape.height * shape.width
        self._layers.append(
            IntegerAveragePool(
                name="mean", inputs=(trunk,), output="mean", kernel=(shape.height, shape.width), stride=(1, 1),
                padding=Padding(), count_includes_padding=False, divisors=(area,),
                requantization=encode_factors([1.0 / area], "mean"),
            )
        )  # fmt: skip
        self._tensor("mean", Shape(shape.channels))
        self._layers.append(self._weighted(IntegerFullyConnected, "classes", "mean", (10, 1, 1, shape.channels)))
        self._tensor("classes", Shape(10))


def products(network: IntegerNetwork) -> list[tuple[int, int, int]]:
    """Return the matrix product size of each weight layer: output positions, terms of a sum, output channels."""
    return [
        (math.prod(network.tensors[layer.output].shape[1:]), layer.codes[0].size, len(layer.codes))
        for layer in network.layers
        if isinstance(layer, IntegerConvolution)
    ]


def fastest_seconds(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def bound_seconds(network: IntegerNetwork, images: int) -> float:
    """Compute the float32 matrix products of a network for some images, and return the time in seconds."""
    shapes = products(network)

    def multiply(part: slice) -> None:
        for positions, terms, channels in shapes:
            images_per_block = max(1, COLUMN_BLOCK_ELEMENTS // (positions * terms))
            columns = np.ones((images_per_block * positions, terms), np.float32)
            weights = np.ones((terms, channels), np.float32)
            sums = np.empty((len(columns), channels), np.float32)
            for block in blocks(part.stop - part.start, images_per_block):
                used = (block.stop - block.start) * positions
                np.matmul(columns[:used], weights, out=sums[:used])

    parts = list(blocks(images, math.ceil(images / core_count())))
    return fastest_seconds(lambda: run_on_all_cores(multiply, parts))


def measure(images: int) -> dict[str, float]:
    network = Resnet8().network()
    codes: CodeArray = np.random.default_rng(1).integers(0, 256, (images, 32, 32, 3)).astype(np.uint8)
    multiply_accumulates = sum(math.prod(sizes) for sizes in products(network))
    interpreter_seconds = fastest_seconds(lambda: run(network, codes))
    least_seconds = bound_seconds(network, images)
    return {
        "images": images,
        "multiply_accumulates_per_image": multiply_accumulates,
        "images_per_second": images / interpreter_seconds,
        "multiply_accumulates_per_second": images * multiply_accumulates / interpreter_seconds,
        "seconds_per_10000_images": 10_000 * interpreter_seconds / images,
        "bound_multiply_accumulates_per_second": images * multiply_accumulates / least_seconds,
        "ratio_to_bound": interpreter_seconds / least_seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the speed of the interpreter and of its matrix products.")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    if arguments.images < 1:
        parser.error(f"expected --images of at least 1, got {arguments.images}")
    figures = measure(arguments.images)
    if arguments.json:
        print(json.dumps(figures))
        return
    print(f"interpreter   {figures['images_per_second']:10,.0f} images/s", end="")
    print(f"   {figures['multiply_accumulates_per_second'] / 1e9:7.2f} GMAC/s", end="")
    print(f"   10,000 images in {figures['seconds_per_10000_images']:.1f} s")
    print(f"sgemm alone   {'':10}          ", end="")
    print(f"   {figures['bound_multiply_accumulates_per_second'] / 1e9:7.2f} GMAC/s")
    print(f"ratio         {figures['ratio_to_bound']:10.2f} times the products' own time")


if __name__ == "__main__":
    main()
