"""Thresholds, compared with the multiplier form in Python integers, and in networks, files and byte counts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.arithmetic import Requantization, encode_factors
from deploy.consistency import check_consistency
from deploy.files import DESCRIPTION_FILE, WEIGHTS_FILE, load, save
from deploy.integer_network import IntegerConvolution, IntegerNetwork, IntegerTensor
from deploy.interpreter import run, trace
from deploy.proof import prove_accumulators
from deploy.requantization_form import RequantizationForm, form_of, in_form
from deploy.thresholds import Thresholds, reached_codes, thresholds_of
from network.allocation import BITS, Bits
from network.errors import ConversionError, IntegerFileError
from network.layers import Shape
from network.network_input import InputFormat, NetworkInput
from tests.deploy.naive_interpreter import interpret
from tests.deploy.random_networks import SCHEMES, Builder, builders
from tests.deploy.test_files import replace_weights

LARGEST_SUM = 2**31 - 2
WEIGHTED = ("convolution", "depthwise", "fully_connected")


def requantization(multiplier: int, shift: int) -> Requantization:
    return Requantization(np.array([multiplier], np.int32), np.array([shift], np.int8))


def code(total: int, bias: int, multiplier: int, shift: int, zero_point: int, bits: int) -> int:
    """Compute the code by its definition in Python integers: floor(p / 2^n + 1/2) = floor((2 p + 2^n) / 2^(n + 1))."""
    steps = (2 * (total + bias) * multiplier + 2**shift) // 2 ** (shift + 1)
    return int(min(max(zero_point + steps, 0), 2**bits - 1))


def test_the_example_of_the_text() -> None:
    found = thresholds_of(encode_factors([-0.75], "x"), np.array([2], np.int32), 1, 2)
    assert found.values.tolist() == [[2, 3, 4]]
    assert found.direction.tolist() == [-1]
    sums = np.array([[-5], [-4], [-3], [-2], [-1]], np.int64)
    assert reached_codes(sums, found).ravel().tolist() == [3, 3, 2, 1, 0]
    assert [code(total, 2, -3, 2, 1, 2) for total in sums.ravel().tolist()] == [3, 3, 2, 1, 0]


MULTIPLIERS = st.one_of(
    st.sampled_from([0, 1, -1, 2, 3, -3, 2**30, -(2**30), 2**31 - 1, -(2**31)]), st.integers(-(2**31), 2**31 - 1)
)


@settings(max_examples=120, deadline=None)
@given(MULTIPLIERS, st.integers(0, 62), st.integers(-(2**31), 2**31 - 1), st.sampled_from(BITS), st.data())
def test_every_code_begins_at_its_threshold(
    multiplier: int, shift: int, bias: int, bits: Bits, data: st.DataObject
) -> None:
    """The codes of both forms agree at each threshold, one below, one above, at both ends and in between."""
    zero_point = data.draw(st.integers(0, 2**bits - 1))
    found = thresholds_of(requantization(multiplier, shift), np.array([bias], np.int32), zero_point, bits)
    assert found.values.shape == (1, 2**bits - 1)
    assert (np.diff(found.values[0].astype(np.int64)) >= 0).all()
    direction = int(found.direction[0])
    near = {direction * (value + step) for value in set(found.values[0].tolist()) for step in (-1, 0, 1)}
    some = set(data.draw(st.lists(st.integers(-LARGEST_SUM, LARGEST_SUM), max_size=5)))
    sums = sorted({total for total in near | some if abs(total) <= LARGEST_SUM} | {-LARGEST_SUM, 0, LARGEST_SUM})
    codes = reached_codes(np.array(sums, np.int64)[:, None], found).ravel().tolist()
    assert codes == [code(total, bias, multiplier, shift, zero_point, bits) for total in sums]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(builders(kinds=WEIGHTED))
def test_a_network_with_thresholds_has_the_same_codes_and_survives_its_files(tmp_path: Path, builder: Builder) -> None:
    network, codes = builder.network(), builder.input_codes(2)
    compared = in_form(network, RequantizationForm.THRESHOLDS)
    traced = trace(compared, codes)
    for image in range(2):
        given = {name: each[image].tolist() for name, each in codes.items()}
        for name, expected in interpret(network, given).items():
            assert traced[name][image].tolist() == expected, name
    save(compared, tmp_path)
    first = [(tmp_path / name).read_bytes() for name in (DESCRIPTION_FILE, WEIGHTS_FILE)]
    loaded = load(tmp_path)
    for name, values in trace(loaded, codes).items():
        np.testing.assert_array_equal(values, traced[name])
    save(in_form(in_form(loaded, RequantizationForm.MULTIPLIER), RequantizationForm.THRESHOLDS), tmp_path)
    assert [(tmp_path / name).read_bytes() for name in (DESCRIPTION_FILE, WEIGHTS_FILE)] == first


def small(form: RequantizationForm = RequantizationForm.THRESHOLDS) -> IntegerNetwork:
    builder = Builder(np.random.default_rng(3), Shape(2, 4, 4))
    builder.add(builder.convolution("input", 3, (3, 3), weight_bits=4))
    return in_form(builder.network(), form)


def with_layer(network: IntegerNetwork, **fields: Any) -> IntegerNetwork:
    layer, *others = network.layers
    return dataclasses.replace(network, layers=(dataclasses.replace(layer, **fields), *others))


def test_the_form_of_a_network() -> None:
    assert form_of(small()) is RequantizationForm.THRESHOLDS
    assert form_of(small(RequantizationForm.MULTIPLIER)) is RequantizationForm.MULTIPLIER
    without_weights = Builder(np.random.default_rng(3), Shape(2, 4, 4))
    without_weights.add("input")
    assert form_of(in_form(without_weights.network(), RequantizationForm.THRESHOLDS)) is RequantizationForm.MULTIPLIER


def test_flash_holds_thresholds_instead_of_bias_multiplier_and_shift(tmp_path: Path) -> None:
    save(small(), tmp_path)
    arrays = safetensors.numpy.load((tmp_path / WEIGHTS_FILE).read_bytes())
    assert {name for name in arrays if name.startswith("0.")} == {
        "0.weights", "0.weight_zero_point", "0.thresholds", "0.direction",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("layers", 0, "thresholds_of", "bias"), [0, 0], "expected int32 of 3 elements"),
        (("layers", 0, "thresholds_of", "bias"), [0, 0, 2**31], "whole numbers from -2147483648 to 2147483647"),
        (("layers", 0, "thresholds_of", "shift"), [63], "one shift for each multiplier|a shift outside 0 to 62"),
        (("layers", 0, "thresholds_of", "shift"), [1, 1], "one shift for each multiplier"),
        (("layers", 0, "thresholds_of"), {}, "lacks its multiplier"),
        (("layers", 0, "thresholds", "array"), "0.weights", "has the type uint8; expected int32"),
        (("layers", 0, "bias"), [1, 2, 3], "has the unknown key 'bias'"),
        (("layers", 1, "thresholds_of"), {"bias": [], "multiplier": [1, 1, 1], "shift": [1, 1, 1]}, "layers.1.|add1"),
    ],
)  # fmt: skip
def test_a_description_that_was_tampered_with(
    tmp_path: Path, path: tuple[str | int, ...], value: Any, message: str
) -> None:
    save(small(), tmp_path)
    file = tmp_path / DESCRIPTION_FILE
    description = json.loads(file.read_text())
    holder = description
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value
    file.write_text(json.dumps(description))
    with pytest.raises(IntegerFileError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(("name", "step"), [("0.thresholds", 1), ("0.direction", 2)])
def test_other_thresholds_than_the_recorded_multipliers_give_are_refused(tmp_path: Path, name: str, step: int) -> None:
    save(small(), tmp_path)
    arrays = safetensors.numpy.load((tmp_path / WEIGHTS_FILE).read_bytes())
    arrays[name].flat[0] -= step
    replace_weights(tmp_path, safetensors.numpy.save(arrays))
    with pytest.raises(IntegerFileError, match="thresholds that do not follow from its bias, multipliers and shifts"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("values", "direction", "message"),
    [
        (np.zeros((3, 2), np.int32), np.ones(3, np.int8), r"thresholds of type .* expected int32 of shape \[3, \d+\]"),
        (np.zeros((3, 3), np.int64), np.ones(3, np.int8), "thresholds of type int64 .* expected int32 of shape"),
        (np.zeros((3, 3), np.int32), np.ones(1, np.int8), "a direction of type .* expected int8 of 3 elements"),
    ],
)
def test_thresholds_of_another_shape_or_type(values: Any, direction: Any, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        check_consistency(with_layer(small(), thresholds=Thresholds(values, direction)))


def test_thresholds_cannot_take_all_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.consistency.MAX_THRESHOLDS", 8)
    with pytest.raises(ConversionError, match=r"has \d+ thresholds; expected at most 8"):
        check_consistency(small())


def one_sum(codes: list[int], weight_zero_point: int, input_zero_point: int, bias: int = 0) -> IntegerNetwork:
    """Return a network in multiplier form with one output channel over the given number of input codes."""
    tensors = {
        "input": IntegerTensor("input", Shape(len(codes)), 8, 1.0, input_zero_point),
        "output": IntegerTensor("output", Shape(1), 8, 1.0, 0),
    }
    layer = IntegerConvolution(
        name="sum", inputs=("input",), output="output", codes=np.array(codes, np.uint8).reshape(1, 1, 1, -1),
        weight_bits=8, weight_zero_point=np.array([weight_zero_point], np.int32), bias=np.array([bias], np.int32),
        requantization=requantization(2**30, 38), scheme=SCHEMES[0], weight_scale=np.array([1.0]),
    )  # fmt: skip
    given = NetworkInput("input", Shape(len(codes)), InputFormat((len(codes),)))
    return IntegerNetwork("border", (given,), tensors, (layer,), ("output",))


def test_the_bias_is_no_part_of_the_sum_that_is_compared() -> None:
    bound = 255 * 255 * 33_024
    multiplied = one_sum([255] * 33_024, 0, 0, bias=40_000 - bound)
    assert prove_accumulators(multiplied) == {"sum": bound}
    compared = in_form(multiplied, RequantizationForm.THRESHOLDS)
    assert prove_accumulators(compared) == {"sum": bound}
    codes = np.full((1, 1, 1, 33_024), 255, np.uint8)
    assert run(compared, codes)["output"].item() == run(multiplied, codes)["output"].item() == 156  # 40000 / 256


def test_the_largest_int32_is_left_to_thresholds_that_nothing_reaches() -> None:
    """With input steps from -128 to 127 and weights whose sum is 2^24 - 1, a further weight of -1 gives 2^31 - 1."""
    weights = [255] * 66_052 + [8]
    assert sum(weights) - len(weights) == 2**24 - 1
    fits = in_form(one_sum(weights, 1, 128), RequantizationForm.THRESHOLDS)
    assert prove_accumulators(fits) == {"sum": 2**31 - 128}
    multiplied = one_sum([*weights, 0], 1, 128)
    assert prove_accumulators(multiplied) == {"sum": 2**31 - 1}
    with pytest.raises(
        ConversionError, match="reach a sum of 2147483647, but int32 with thresholds holds at most 2147483646"
    ):
        prove_accumulators(in_form(multiplied, RequantizationForm.THRESHOLDS))
