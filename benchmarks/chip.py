"""Benchmark of whole networks on an emulated Cortex-M4: instructions and modelled cycles of the generated C.

    python -m benchmarks.chip [--networks NAME ...] [--bits B ...] [--core CORE] [--write]

The networks are MLPerf Tiny's four, in `../shared`, with activations of 8 bits and weights of 8, 4 and 2 bits,
calibrated on random samples (the count does not depend on the values). The self-test of each network runs first on
the emulated chip. The cycles of the closed engines were measured on boards; ours are modelled, which favours neither
side in a known way (docs/benchmarks/cycles.md).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.counted_network import CountedNetwork, counted
from benchmarks.markdown import markdown
from deploy.building.cores import core_named
from deploy.integer_network import IntegerConvolution, IntegerNetwork
from network.allocation import BITS, Allocation, Bits, Folding, Scheme, WeightScheme
from network.network import Network
from network.reading import read_network
from qat.conversion import convert
from qat.prepare import prepare

PAGE: Final = Path("docs/benchmarks/chip.md")
BEGIN: Final = "<!-- table: python -m benchmarks.chip --write -->"
SHARED: Final = Path("../shared")
CALIBRATION_SAMPLES: Final = 16


@dataclass(frozen=True, slots=True)
class Rival:
    """Published figures of the fastest closed engine, and the goal for instructions.

    Attributes:
        file: Path of the network below `SHARED`.
        title: Name of the network.
        cycles: Cycles of the engine per multiply-accumulate, measured on a Cortex-M4 board (MLPerf Tiny, closed
            division: X-CUBE-AI 9.0; autoencoder: Plumerai).
        instructions_goal: Instructions per multiply-accumulate that we want at 8 bits.
    """

    file: str
    title: str
    cycles: float
    instructions_goal: float


RIVALS: Final[Mapping[str, Rival]] = {
    "wake_words": Rival("networks/vww_96_float.tflite", "visual wake words", 1.425, 1.25),
    "keywords": Rival("models/dscnn_fsdd.onnx", "keyword spotting (DS-CNN)", 1.952, 1.6),
    "resnet8": Rival("models/resnet8_cifar10.onnx", "image classification (ResNet8)", 1.585, 1.3),
    "autoencoder": Rival("models/toyadmos_ae.onnx", "anomaly detection (autoencoder)", 1.840, 1.5),
}


def network_of(name: str) -> Network:
    """Return a network of `RIVALS`, read from its file."""
    path = SHARED / RIVALS[name].file
    return read_network(path.read_bytes(), path.stem)


def integers(network: Network, weight_bits: Bits) -> IntegerNetwork:
    """Return the integer-only network with activations of 8 bits and weights of one number of bits, not trained."""
    scheme = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)
    allocation = Allocation(
        weight_bits={layer.name: weight_bits for layer in network.weight_layers},
        activation_bits=dict.fromkeys(network.tensors, 8),
        schemes={layer.name: scheme for layer in network.weight_layers},
    )
    shape = (CALIBRATION_SAMPLES, *network.only_input.format.dims)
    samples = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return convert(prepare(network, allocation, samples).eval())


def multiply_accumulates(network: IntegerNetwork) -> dict[str, int]:
    """Return the number of multiply-accumulate operations of each layer with weights, by its name."""
    positions = {name: tensor.shape.height * tensor.shape.width for name, tensor in network.tensors.items()}
    return {
        layer.name: positions[layer.output] * layer.codes.size
        for layer in network.layers
        if isinstance(layer, IntegerConvolution)
    }


def main() -> None:
    """Count the networks, print the tables, and write them to the page if that is asked for."""
    parser = argparse.ArgumentParser(description="Instructions and modelled cycles of whole networks.")
    parser.add_argument("--networks", nargs="+", choices=tuple(RIVALS), default=tuple(RIVALS))
    parser.add_argument("--bits", nargs="+", type=int, choices=BITS, default=BITS, help="bits of the weights")
    parser.add_argument("--core", default="cortex-m4", help="core whose C is counted")
    parser.add_argument("--write", action="store_true", help=f"write the tables to {PAGE}")
    arguments = parser.parse_args()
    core = core_named(arguments.core)
    totals: list[tuple[str, ...]] = []
    shares: list[str] = []
    for name in arguments.networks:
        network, rival = network_of(name), RIVALS[name]
        first: float | None = None
        for bits in arguments.bits:
            converted = integers(network, bits)
            count = counted(converted, core)
            operations = multiply_accumulates(converted)
            total = sum(operations.values())
            per_operation = count.total.instructions / total
            first = per_operation if first is None else first
            totals.append(
                (
                    rival.title, f"{bits}", f"{total:,}", f"{per_operation:.3f}",
                    f"{rival.instructions_goal}" if bits == arguments.bits[0] else f"{first:.3f}",
                    f"{count.total.cycles / total:.3f}", f"{rival.cycles}", f"{count.total.cycles:,}",
                )
            )  # fmt: skip
            print(*totals[-1], flush=True)
            if bits == arguments.bits[0]:
                shares.append(f"### {rival.title}, {bits}-bit weights\n\n{_shares(count, operations)}")
    columns = (
        "network", "weight bits", "multiply-accumulates", "instructions each", "goal", "modelled cycles each",
        "closed engine, measured", "modelled cycles",
    )  # fmt: skip
    tables = "\n\n".join((markdown(columns, totals), *shares))
    print(tables)
    if arguments.write:
        before, _, _ = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{tables}\n")


def _shares(count: CountedNetwork, operations: Mapping[str, int]) -> str:
    """Return the table of what each layer costs."""
    total = count.total
    lines = [
        (
            f"`{name}`",
            f"{operations[name]:,}" if name in operations else "",
            f"{each.instructions:,}",
            f"{each.instructions / operations[name]:.2f}" if name in operations else "",
            f"{each.cycles:,}",
            f"{each.cycles / total.cycles:.1%}",
        )
        for name, each in count.layers.items()
    ]
    return markdown(("layer", "multiply-accumulates", "instructions", "each", "modelled cycles", "share"), lines)


if __name__ == "__main__":
    main()
