"""The exact table from bytes to input codes, compared with a computation in fractions, and its place in the files."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
import pytest

from deploy.files import DESCRIPTION_FILE, load, save
from deploy.input_codes import codes_of_bytes, codes_of_samples, distance_from_half, is_identity
from deploy.integer_network import IntegerNetwork, IntegerTensor
from network.allocation import Bits
from network.errors import DatasetError, IntegerFileError
from network.layers import Shape
from network.network_input import InputFormat, NetworkInput
from tests.deploy.test_manual import example

TOLERANCE = Fraction(1, 2**12)


def by_fractions(given: InputFormat, tensor: IntegerTensor) -> list[list[int]]:
    rows = max(len(given.subtract), len(given.multiply))
    subtract, multiply = (list(each) * (rows // len(each)) for each in (given.subtract, given.multiply))
    return [
        [
            min(max(floor((b - Fraction(m)) * Fraction(s) / Fraction(tensor.scale) + Fraction(1, 2) + TOLERANCE)
                    + tensor.zero_point, 0), 2**tensor.bits - 1)
            for b in range(256)
        ]
        for m, s in zip(subtract, multiply, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("subtract", "multiply", "bits", "scale", "zero_point"),
    [
        ((127.5,), (1 / 127.5,), 8, 1 / 127.5, 127),
        ((127.5,), (1 / 127.5,), 8, 1 / 127.5, 128),
        ((127.5,), (1 / 127.5,), 4, 17 / 127.5, 8),
        ((123.675, 116.28, 103.53), (1 / 58.395, 1 / 57.12, 1 / 57.375), 8, 0.0186, 114),
        ((123.675, 116.28, 103.53), (1.0,), 8, 1.0774, 115),
        ((0.0,), (2.0, -1.0, 1e30), 2, 85.0, 3),
        ((0.5,), (1e-300,), 8, 1e300, 9),
    ],
)
def test_the_table_is_exact(
    subtract: tuple[float, ...], multiply: tuple[float, ...], bits: Bits, scale: float, zero_point: int
) -> None:
    given = InputFormat((3, 4, 5), subtract=subtract, multiply=multiply)
    tensor = IntegerTensor("x", Shape(3, 4, 5), bits, scale, zero_point)
    assert codes_of_bytes(given, tensor).tolist() == by_fractions(given, tensor)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("subtract", [(127.5,), (3.0, 5.0, 7.0)])
def test_samples_are_looked_up_in_the_row_of_their_channel(*, channels_last: bool, subtract: tuple[float, ...]) -> None:
    dims = (4, 5, 3) if channels_last else (3, 4, 5)
    given = InputFormat(dims, channels_last, subtract, (1.0,))
    tensor = IntegerTensor("x", Shape(3, 4, 5), 8, 1.0, 100)
    samples = np.random.default_rng(0).integers(0, 256, (2, *dims)).astype(np.uint8)
    table = by_fractions(given, tensor)
    codes = codes_of_samples(samples, given, tensor)
    assert codes.shape == (2, 4, 5, 3)
    images = samples if channels_last else samples.transpose(0, 2, 3, 1)
    for place in np.ndindex(*codes.shape):
        assert codes[place] == table[place[-1] % len(table)][images[place]]
    with pytest.raises(DatasetError, match="expected \\[n, "):
        codes_of_samples(samples[:, 1:], given, tensor)


def network_of_bytes(subtract: tuple[float, ...], scale: float, *, are_bytes: bool = True) -> IntegerNetwork:
    whole = example()
    shape = whole.tensors["image"].shape
    tensors = {**whole.tensors, "image": IntegerTensor("image", shape, 8, scale, 127)}
    given = InputFormat(tuple(shape), subtract=subtract, multiply=(1 / 127.5,), samples_are_bytes=are_bytes)
    return IntegerNetwork("bytes", (NetworkInput("image", shape, given),), tensors, whole.layers, whole.outputs)


@pytest.mark.parametrize("subtract", [(127.5,), (120.0, 127.0, 134.0)])
def test_the_saved_network_has_the_table(subtract: tuple[float, ...], tmp_path: Path) -> None:
    network = network_of_bytes(subtract, 1 / 127.5)
    save(network, tmp_path)
    written = json.loads((tmp_path / DESCRIPTION_FILE).read_text())
    table = codes_of_bytes(network.only_input.format, network.tensors["image"])
    assert is_identity(table) == (len(subtract) == 1)
    assert written["input"]["codes_of_bytes"] == ("identity" if len(subtract) == 1 else table.tolist())
    assert load(tmp_path).only_input.format.samples_are_bytes
    if len(subtract) > 1:
        written["input"]["codes_of_bytes"][2][200] += 1
    else:
        written["input"]["codes_of_bytes"] = table.tolist()
    (tmp_path / DESCRIPTION_FILE).write_text(json.dumps(written))
    with pytest.raises(IntegerFileError, match="codes_of_bytes"):
        load(tmp_path)


def test_a_network_of_other_samples_has_no_table(tmp_path: Path) -> None:
    save(network_of_bytes((127.5,), 1 / 127.5, are_bytes=False), tmp_path)
    assert "codes_of_bytes" not in json.loads((tmp_path / DESCRIPTION_FILE).read_text())["input"]
    assert not load(tmp_path).only_input.format.samples_are_bytes


def test_each_of_several_inputs_has_its_table(tmp_path: Path) -> None:
    whole = network_of_bytes((127.5,), 1 / 127.5)
    image = whole.only_input
    other = NetworkInput("other", image.shape, InputFormat(tuple(image.shape), multiply=(0.5,), samples_are_bytes=True))
    plain = NetworkInput("plain", image.shape, InputFormat(tuple(image.shape)))
    tensors = {"image": whole.tensors["image"], "other": IntegerTensor("other", image.shape, 8, 1.0, 0),
               "plain": IntegerTensor("plain", image.shape, 8, 1.0, 0)}  # fmt: skip
    network = replace(whole, inputs=(image, other, plain), tensors=tensors | dict(whole.tensors))
    save(network, tmp_path)
    written = json.loads((tmp_path / DESCRIPTION_FILE).read_text())
    tables = [each.get("codes_of_bytes") for each in written["inputs"]]
    assert tables[0] == "identity"
    assert tables[1] == codes_of_bytes(other.format, tensors["other"]).tolist()
    assert tables[2] is None
    assert [each.format.samples_are_bytes for each in load(tmp_path).inputs] == [True, True, False]


def test_distance_from_half() -> None:
    assert distance_from_half(InputFormat((1,), subtract=(127.5,), multiply=(1 / 127.5,)), 1 / 127.5) < 1e-9
    assert distance_from_half(InputFormat((1,), subtract=(127.0,)), 1.0) == 0.5
    assert distance_from_half(InputFormat((1,), subtract=(127.25,)), 1.0) == 0.25
