"""TFLite files that people publish: the state of each, and what the networks compute beside LiteRT."""

from __future__ import annotations

import time

import numpy as np
import pytest

from benchmarks.agreement import saturated, snr_db
from benchmarks.litert_reference import LiteRTReference, with_bias_axes_mended
from network.errors import UnsupportedOperator
from network.layers import AveragePool, Shape
from network.network import Network
from network.reading import read_network
from tests.network.float_reference import evaluate
from tests.network.tflite_reading.tflite_models import SHARED

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the published networks are beside the project, not in it")

# file -> input shape, number of layers, whether it ends in softmax, number of ranges
READ = {
    "ad01_float": (Shape(640), 10, False, 0),
    "ad01_int8": (Shape(640), 10, False, 11),
    "hello_world_float": (Shape(1), 3, False, 0),
    "hello_world_int8": (Shape(1), 3, False, 4),
    "kws_float": (Shape(1, 49, 10), 11, True, 0),
    "kws_int8": (Shape(1, 49, 10), 11, True, 12),
    "micro_speech_int8": (Shape(1, 49, 40), 2, True, 3),
    "mnist_cnn": (Shape(1, 28, 28), 5, True, 0),
    "person_detect_int8": (Shape(1, 96, 96), 29, True, 30),
    "resnet8_float": (Shape(3, 32, 32), 14, True, 0),
    "resnet8_int8": (Shape(3, 32, 32), 14, True, 15),
    "streaming_wakeword": (Shape(40, 30, 1), 9, True, 10),
    "tinymaix_cifar10": (Shape(3, 32, 32), 4, True, 0),
    "vww_96_float": (Shape(3, 96, 96), 29, True, 0),
    "vww_96_int8": (Shape(3, 96, 96), 29, True, 30),
}

REFUSED = {
    "mnist_lstm": ("1 of 4 operators stands in the way: 1 UNIDIRECTIONAL_SEQUENCE_LSTM",),
    "slimnet_portrait": ("108 of 267 operators", "100 PRELU", "5 TRANSPOSE_CONV", "3 RESIZE_BILINEAR"),
}

DYNAMIC = ("kws_float",)
"""Files with int8 weights and float activations, which LiteRT rounds to 8 bits while it runs."""


def content(name: str) -> bytes:
    return (SHARED / f"{name}.tflite").read_bytes()


def network(name: str) -> Network:
    return read_network(content(name), name)


def test_every_file_has_an_expectation() -> None:
    assert {path.stem for path in SHARED.glob("*.tflite")} == READ.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", READ)
def test_structure(name: str) -> None:
    began = time.process_time()
    read = network(name)
    assert time.process_time() - began < 2
    assert (read.only_input.shape, len(read.layers), read.ends_in_softmax, len(read.ranges)) == READ[name]
    assert read.has_weights


@pytest.mark.parametrize("name", REFUSED)
def test_all_causes_of_a_refusal_are_named(name: str) -> None:
    with pytest.raises(UnsupportedOperator) as error:
        network(name)
    positions = [str(error.value).index(part) for part in REFUSED[name]]
    assert positions == sorted(positions)


@pytest.mark.parametrize("name", [name for name, row in READ.items() if not row[3] and name not in DYNAMIC])
def test_float_files_compute_what_litert_computes(name: str) -> None:
    read, oracle = network(name), LiteRTReference(content(name))
    for sample in oracle.samples(3):
        expected = oracle.run(sample, read)
        ours = evaluate(read, sample)[read.outputs[0]].transpose(0, 2, 3, 1).ravel()
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4 * float(np.ptp(expected) or abs(expected).max()))


@pytest.mark.parametrize("amplitude", [1.0, 0.3])
@pytest.mark.parametrize("name", [name for name, row in READ.items() if row[3] or name in DYNAMIC])
def test_quantized_files_compute_what_litert_computes(name: str, amplitude: float) -> None:
    """Random inputs leave the ranges of some hidden tensors, so that the float network is clamped to them."""
    read, oracle = network(name), LiteRTReference(with_bias_axes_mended(content(name)))
    clamped = saturated(read)
    samples = oracle.samples(4, amplitude)
    expected = np.array([oracle.run(sample, read) for sample in samples])
    ours = np.array([evaluate(clamped, sample)[read.outputs[0]].transpose(0, 2, 3, 1).ravel() for sample in samples])
    assert snr_db(expected, ours) > 25


def test_ranges_are_those_of_the_codes() -> None:
    read = network("resnet8_int8")
    assert read.ranges[read.only_input.name] == (0.0, 255.0)
    assert read.ranges.keys() == set(read.tensors)
    for layer in read.layers:
        low, high = read.ranges[layer.output]
        assert low < high
        if not isinstance(layer, AveragePool):
            assert (low == 0) == (layer.activation.low == 0)
