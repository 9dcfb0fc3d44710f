"""Networks at 8 bits without training, compared with LiteRT: `python -m benchmarks.eight_bits FOLDER [--json]
[--constants wide]`.

For each `NAME_int8.tflite` of the folder: our 8-bit integer-only network of that file, whose output codes are compared
with LiteRT's at the tensors at which the network ends. If `NAME_float.tflite` is there, too: the signal-to-noise ratio
of our 8-bit network of the float file, and of the int8 file in LiteRT, both against LiteRT's float outputs on the same
samples.

Samples are uniform over the range of the int8 file's input; others calibrate our network. For an input of 32 x 32 x 3,
images of CIFAR-10 are used in addition.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks import cifar10
from benchmarks.agreement import float_outputs, saturated, snr_db
from benchmarks.litert_reference import LiteRTReference, with_bias_axes_mended
from benchmarks.markdown import markdown
from deploy.integer_network import IntegerNetwork
from deploy.interpreter import quantize_inputs, run
from deploy.narrow_constants import ConstantsForm
from network.allocation import Allocation, Folding, Scheme, WeightScheme
from network.joined_samples import joined, joined_input
from network.network import Network
from network.network_input import NetworkInput
from network.reading import read_network
from qat.conversion import convert
from qat.prepare import prepare

CALIBRATION_SAMPLES: Final = 64
"""Number of samples on which the ranges of a float network are measured."""

MIN_SAMPLES: Final = 8
MAX_SAMPLES: Final = 256
"""Smallest and largest number of samples on which a network is compared with its own float outputs."""
_ELEMENTS: Final = 2**17

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Agreement of one 8-bit network with LiteRT on one set of samples.

    Attributes:
        name: Name of the network, and of its samples.
        samples: Number of samples.
        largest_difference: Largest difference of an output code of our network of the int8 file from LiteRT's.
        within_two: Share of output codes that differ by at most 2 from LiteRT's, in percent.
        ours_db: Signal-to-noise ratio of our 8-bit network of the float file, in dB; None without such a file.
        litert_db: Signal-to-noise ratio of the int8 file in LiteRT, in dB; None without a float file.
    """

    name: str
    samples: int
    largest_difference: int
    within_two: float
    ours_db: float | None
    litert_db: float | None


def eight_bit_network(
    network: Network, calibration: Floats, constants: ConstantsForm = ConstantsForm.NARROW
) -> IntegerNetwork:
    """Return the integer-only network with 8 bits for every tensor, calibrated on samples and not trained."""
    scheme = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)
    allocation = Allocation(
        weight_bits={layer.name: 8 for layer in network.weight_layers},
        activation_bits=dict.fromkeys(network.tensors, 8),
        schemes={layer.name: scheme for layer in network.weight_layers},
    )
    return convert(prepare(network, allocation, calibration).eval(), constants=constants)


def own_signal_to_noise(network: Network, seed: int = 0) -> float:
    """Return the signal-to-noise ratio in dB of a network's 8-bit integer-only form against its own float outputs.

    The samples are seeded: uniform over the input's range in a quantized file, else normal; `MIN_SAMPLES` to
    `MAX_SAMPLES` by the size of the input. As many others calibrate the network, or give it the ranges that the file
    does not have. Of several outputs, the lowest ratio counts.

    Args:
        network: The network, with weights.
        seed: Seed of the samples.
    """
    elements = sum(each.shape.elements for each in network.inputs)
    count = max(MIN_SAMPLES, min(MAX_SAMPLES, _ELEMENTS // elements))
    rng = np.random.default_rng(seed)
    drawn = [_drawn(network, each, (2 * count, *each.format.dims), rng) for each in network.inputs]
    samples = drawn[0] if len(drawn) == 1 else joined(drawn)
    integers = eight_bit_network(network, samples[count:])
    found = run(integers, quantize_inputs(integers, joined_input(samples[:count], network.inputs)))
    ratios = []
    for name, expected in zip(
        network.outputs, float_outputs(saturated(network), samples[:count], channels_last=True), strict=True
    ):
        tensor = integers.tensors[name]
        values = (found[name].reshape(count, -1).astype(np.float64) - tensor.zero_point) * tensor.scale
        ratios.append(snr_db(expected, values))
    return min(ratios)


def _drawn(network: Network, given: NetworkInput, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Return random samples of an input: uniform over its range in a quantized file, else normal."""
    low, high = network.ranges.get(given.name, (0.0, 0.0))
    drawn = rng.uniform(low, high, shape) if high > low else rng.standard_normal(shape)
    return drawn.astype(np.float32)


def codes_of(integers: IntegerNetwork, network: Network, samples: Floats) -> npt.NDArray[np.int64]:
    """Return the codes of the first output for samples, int64 [n, values], channels last as in LiteRT."""
    given = quantize_inputs(integers, joined_input(samples, network.inputs))
    found = run(integers, given)[network.outputs[0]]
    return found.reshape(len(samples), -1).astype(np.int64)


def compared(
    name: str, folder: Path, samples: Floats, calibration: Floats, kind: str, constants: ConstantsForm
) -> Comparison:
    """Compare the int8 file, and the float file if there is one, with LiteRT on samples.

    Args:
        name: Name of the files without `_int8.tflite`.
        folder: Folder of the files.
        samples: Samples as the files take them, float32 [n, *dims].
        calibration: Samples on which the float network is calibrated.
        kind: Name of the samples.
        constants: Form of the constants of our networks.
    """
    content = with_bias_axes_mended((folder / f"{name}_int8.tflite").read_bytes())
    network, oracle = read_network(content, name), LiteRTReference(content)
    integers = eight_bit_network(network, samples[:CALIBRATION_SAMPLES], constants)
    tensor = integers.tensors[network.outputs[0]]
    theirs = np.array([oracle.run(sample.reshape(oracle.input_dims), network) for sample in samples])
    expected = np.round(theirs / tensor.scale).astype(np.int64) + tensor.zero_point
    differences = np.abs(codes_of(integers, network, samples) - expected)
    ours_db = litert_db = None
    of_float = folder / f"{name}_float.tflite"
    if of_float.exists():
        ours_db, litert_db = _signal_to_noise(of_float, theirs, samples, calibration, constants)
    within = 100 * float((differences <= 2).mean())
    return Comparison(f"{name}, {kind}", len(samples), int(differences.max()), within, ours_db, litert_db)


def _signal_to_noise(
    path: Path, of_int8: npt.NDArray[np.float64], samples: Floats, calibration: Floats, constants: ConstantsForm
) -> tuple[float, float]:
    content = path.read_bytes()
    network, oracle = read_network(content, path.stem), LiteRTReference(content)
    reference = np.array([oracle.run(sample.reshape(oracle.input_dims), network) for sample in samples])
    integers = eight_bit_network(network, calibration, constants)
    tensor = integers.tensors[network.outputs[0]]
    ours = (codes_of(integers, network, samples) - tensor.zero_point) * tensor.scale
    return snr_db(reference, ours), snr_db(reference, of_int8)


def comparisons(folder: Path, count: int, images: int, constants: ConstantsForm) -> list[Comparison]:
    """Compare every int8 file of a folder with LiteRT.

    Args:
        folder: The folder.
        count: Number of random samples.
        images: Number of images of CIFAR-10, for networks that take them.
        constants: Form of the constants of our networks.
    """
    found = []
    for path in sorted(folder.glob("*_int8.tflite")):
        name = path.name.removesuffix("_int8.tflite")
        oracle = LiteRTReference(with_bias_axes_mended(path.read_bytes()))
        dims = oracle.input_dims[1:] or (1,)
        drawn = np.stack([each.reshape(dims) for each in oracle.samples(count + CALIBRATION_SAMPLES)])
        samples, calibration = drawn[:count], drawn[count:]
        found.append(compared(name, folder, samples, calibration, "random samples", constants))
        if dims == (32, 32, 3) and cifar10.FILE.exists():
            taken = cifar10.load().test_x[: 2 * images].astype(np.float32)
            found.append(compared(name, folder, taken[:images], taken[images:], "images of CIFAR-10", constants))
    return found


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare networks at 8 bits without training with LiteRT.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--constants", type=ConstantsForm, default=ConstantsForm.NARROW, help="narrow or wide")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args(given)
    rows = comparisons(arguments.folder, arguments.samples, arguments.images, arguments.constants)
    if not rows:
        parser.error(f"'{arguments.folder}' has no files NAME_int8.tflite")
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    lines = [
        (
            row.name, f"{row.samples:,}", str(row.largest_difference), f"{row.within_two:.3f} %",
            *("" if each is None else f"{each:.1f} dB" for each in (row.ours_db, row.litert_db)),
        )
        for row in rows
    ]  # fmt: skip
    columns = ("network", "samples", "largest difference", "within 2 codes", "SNR here", "SNR in LiteRT")
    print(markdown(columns, lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
