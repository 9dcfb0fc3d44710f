"""The example of docs/integer-network.md shows what the program writes and computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors.numpy

from deploy.arithmetic import Requantization, pack_rows
from deploy.files import DESCRIPTION_FILE, WEIGHTS_FILE, load, save
from deploy.integer_network import IntegerConvolution, IntegerNetwork, IntegerTensor
from deploy.interpreter import run
from network.allocation import Folding, Scheme, WeightScheme
from network.layers import Shape
from network.network_input import InputFormat, NetworkInput

MANUAL = Path(__file__).parents[2] / "docs" / "integer-network.md"


def example() -> IntegerNetwork:
    tensors = {
        "image": IntegerTensor("image", Shape(3, 1, 2), 4, 0.5, 2),
        "classes": IntegerTensor("classes", Shape(2), 2, 0.25, 0),
    }
    layer = IntegerConvolution(
        name="filter",
        inputs=("image",),
        output="classes",
        codes=np.array([[0, 1, 2, 3, 1, 0], [3, 3, 0, 1, 2, 1]], np.uint8).reshape(2, 1, 2, 3),
        weight_bits=2,
        weight_zero_point=np.array([1], np.int32),
        bias=np.array([10, -4], np.int32),
        requantization=Requantization(np.array([9830, -16384], np.int32), np.array([16, 16], np.int8)),
        scheme=Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.ICN),
        weight_scale=np.array([0.125]),
    )
    given = NetworkInput("image", Shape(3, 1, 2), InputFormat((3, 1, 2)))
    return IntegerNetwork("example", (given,), tensors, (layer,), ("classes",))


def test_the_description_in_the_manual_is_the_one_that_is_written(tmp_path: Path) -> None:
    save(example(), tmp_path)
    assert f"```json\n{(tmp_path / DESCRIPTION_FILE).read_text()}```" in MANUAL.read_text()


def test_the_weights_in_the_manual_are_those_that_are_written(tmp_path: Path) -> None:
    save(example(), tmp_path)
    arrays = safetensors.numpy.load((tmp_path / WEIGHTS_FILE).read_bytes())
    text = MANUAL.read_text()
    for name, array in arrays.items():
        assert f"| `{name}` | `{array.tobytes().hex(' ')}` |" in text, name


def test_the_inference_in_the_manual_is_the_interpreters(tmp_path: Path) -> None:
    save(example(), tmp_path)
    codes = np.array([[2, 5, 15], [0, 7, 2]], np.uint8)
    assert pack_rows(codes, 4).tobytes().hex(" ") == "52 0f 70 02"
    assert run(load(tmp_path), codes.reshape(1, 1, 2, 3))["classes"].ravel().tolist() == [3, 2]
    assert pack_rows(np.array([[3, 2]], np.uint8), 2).tobytes().hex(" ") == "0b"
    text = MANUAL.read_text()
    for line in (
        "a[0] = 10 + 0*-1 + 3*0 + 13*1 + -2*2 + 5*0 + 0*-1 = 19",
        "a[1] = -4 + 0*2 + 3*2 + 13*-1 + -2*0 + 5*1 + 0*0  = -6",
        "(19 * 9830 + 2^15) >> 16 = 3",
        "(-6 * -16384 + 2^15) >> 16 = 2",
        "A[0] = (8 << 4) + 16 * 42 - 1 * 16 * 31 = 304",
        "A[1] = (-12 << 4) + 16 * 37 - 1 * 16 * 31 = -96",
        "((304 * 9830 >> 16) + 2^3) >> 4 = 3",
        "((-96 * -16384 >> 16) + 2^3) >> 4 = 2",
    ):
        assert line in text
    assert 10 + 0 * -1 + 3 * 0 + 13 * 1 + -2 * 2 + 5 * 0 + 0 * -1 == 19
    assert -4 + 0 * 2 + 3 * 2 + 13 * -1 + -2 * 0 + 5 * 1 + 0 * 0 == -6
    assert (19 * 9830 + 2**15) >> 16 == 3
    assert (-6 * -16384 + 2**15) >> 16 == 2
    assert (8 << 4) + 16 * 42 - 16 * 31 == 304
    assert (-12 << 4) + 16 * 37 - 16 * 31 == -96
    assert ((304 * 9830 >> 16) + 2**3) >> 4 == 3
    assert ((-96 * -16384 >> 16) + 2**3) >> 4 == 2
