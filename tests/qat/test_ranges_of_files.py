"""Ranges of a quantized file: an 8-bit integer-only network computes LiteRT's codes without any training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.litert_reference import LiteRTReference, with_bias_axes_mended
from deploy.interpreter import quantize_input, run
from deploy.narrow_constants import ConstantsForm
from network.allocation import Bits, Folding, Scheme, WeightScheme
from network.joined_samples import joined_input
from network.network import Network
from network.reading import read_network
from qat.conversion import convert
from qat.options.names import RangeSetting, TensorOverride
from qat.options.training import TrainingOptions
from qat.post_training.equalization import equalized
from qat.prepare import prepare
from tests.network.tflite_reading.tflite_models import (
    SHARED,
    Op,
    T,
    build,
    constant,
)
from tests.qat.zoo import allocation_of

WIDE = ConstantsForm.WIDE
SCHEME = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)

# file -> largest difference of an output code from LiteRT's
LARGEST_DIFFERENCE = {
    "ad01_int8": 2,
    "hello_world_int8": 2,
    "kws_int8": 2,
    "micro_speech_int8": 2,
    "person_detect_int8": 2,
    "resnet8_int8": 3,  # averages of random images are between codes above the middle, which LiteRT rounds up
    "streaming_wakeword": 2,
    "vww_96_int8": 2,
}


def small() -> Network:
    rng = np.random.default_rng(0)
    tensors = [
        T((1, 4, 4, 2), kind="INT8", scales=(0.02,), zero_points=(-3,), name="image"),
        constant(rng.integers(-127, 128, (4, 3, 3, 2)), "int8", scales=(0.01, 0.02, 0.03, 0.015)),
        T((1, 4, 4, 4), kind="INT8", scales=(0.05,), zero_points=(-128,), name="hidden"),
        constant(rng.integers(-90, 91, (3, 64)), "int8", scales=(0.01,)),
        T((1, 3), kind="INT8", scales=(0.4,), zero_points=(7,), name="scores"),
    ]
    operators = [
        Op("CONV_2D", (0, 1), (2,), {"StrideH": 1, "StrideW": 1, "FusedActivationFunction": 1}),
        Op("FULLY_CONNECTED", (2, 3), (4,)),
    ]
    return read_network(build(tensors, operators), "small")


def samples_for(network: Network) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(1)
    return rng.uniform(-0.3, 0.3, (16, *network.only_input.format.dims)).astype(np.float32)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published networks are beside the project, not in it")
@pytest.mark.parametrize("name", LARGEST_DIFFERENCE)
def test_codes_are_those_of_litert(name: str) -> None:
    content = with_bias_axes_mended((SHARED / f"{name}.tflite").read_bytes())
    network, oracle = read_network(content, name), LiteRTReference(content)
    samples = np.concatenate([each.reshape(1, *network.only_input.format.dims) for each in oracle.samples(16)])
    expected = np.array([oracle.run(sample.reshape(oracle.input_dims), network) for sample in samples])
    # LiteRT has multipliers of 31 bits
    integers = convert(prepare(network, allocation_of(network, 8, SCHEME), samples).eval(), constants=WIDE)
    output = network.outputs[0]
    codes = run(integers, quantize_input(integers, joined_input(samples, network.inputs)))
    tensor = integers.tensors[output]
    low, high = network.ranges[output]
    assert tensor.scale == pytest.approx((high - low) / 255)
    theirs = np.round(expected / tensor.scale) + tensor.zero_point
    assert np.abs(codes[output].reshape(theirs.shape) - theirs).max() <= LARGEST_DIFFERENCE[name]


def grid_of(network: Network, tensor: str, bits: Bits, options: TrainingOptions | None = None) -> tuple[float, int]:
    allocation = allocation_of(network, bits, SCHEME)
    integers = convert(prepare(network, allocation, samples_for(network), options).eval())
    return integers.tensors[tensor].scale, integers.tensors[tensor].zero_point


def test_tensors_of_8_bits_start_with_the_ranges_of_the_file() -> None:
    network = small()
    for tensor, (scale, zero_point) in {"image": (0.02, 125), "hidden": (0.05, 0), "scores": (0.4, 135)}.items():
        found = grid_of(network, tensor, 8)
        assert found[0] == pytest.approx(scale)
        assert found[1] == zero_point


def test_tensors_of_fewer_bits_and_overrides_start_with_ranges_from_samples() -> None:
    network = small()
    # The input keeps its range: the samples that are measured are clipped to it.
    without = replace(network, ranges={"image": network.ranges["image"]})
    assert grid_of(network, "hidden", 4) == grid_of(without, "hidden", 4)
    override = TensorOverride(range_setting=RangeSetting.MIN_MAX)
    options = TrainingOptions(overrides={"hidden": override})
    assert grid_of(network, "hidden", 8, options)[0] != pytest.approx(0.05)


def test_equalization_drops_the_ranges() -> None:
    assert equalized(small()).ranges == {}
