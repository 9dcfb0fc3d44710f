"""A saved network is loaded byte by byte the same; a damaged file is an error that gives the reason."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings

from deploy.files import DESCRIPTION_FILE, MEMORY_FILE, WEIGHTS_FILE, load, save
from deploy.integer_network import IntegerConvolution
from deploy.interpreter import trace
from deploy.weight_packing import pack_weights
from network.allocation import BITS, Bits
from network.errors import ConversionError, IntegerFileError
from network.host_steps import HostSteps
from network.layers import Flattening, Padding, Shape
from tests.deploy.random_networks import Builder, builders


def every_kind(weight_bits: Bits = 4) -> Builder:
    """Return a builder with one layer of each kind; the names of the arrays start with the index of the layer."""
    builder = Builder(np.random.default_rng(7), Shape(4, 8, 8))
    wide = builder.convolution("input", 16, (3, 3), padding=Padding(1, 1, 1, 1), weight_bits=weight_bits)
    deep = builder.convolution(wide, 16, (3, 3), groups=16, padding=Padding(1, 1, 1, 1), weight_bits=weight_bits)
    total = builder.add(wide, deep)
    both = builder.concat(total, deep)
    around = builder.pad(both, Padding(0, 0, 1, 2), 1, 2)
    largest = builder.pool(around, (2, 2), (2, 2), Padding(1, 0, 0, 0))
    mean = builder.pool(largest, (3, 3), (1, 1), Padding(1, 1, 1, 1), average=True)
    builder.fully_connected(mean, 10, weight_bits=weight_bits)
    return builder


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(builders())
def test_a_loaded_network_computes_the_same_and_saves_to_the_same_bytes(tmp_path: Path, builder: Builder) -> None:
    network = builder.network()
    assert save(network, tmp_path) == [DESCRIPTION_FILE, WEIGHTS_FILE]
    first = [(tmp_path / name).read_bytes() for name in (DESCRIPTION_FILE, WEIGHTS_FILE)]
    loaded = load(tmp_path)
    codes = builder.input_codes(2)
    again = trace(loaded, codes)
    for name, values in trace(network, codes).items():
        np.testing.assert_array_equal(again[name], values)
    save(loaded, tmp_path)
    assert [(tmp_path / name).read_bytes() for name in (DESCRIPTION_FILE, WEIGHTS_FILE)] == first


def test_everything_comes_back(tmp_path: Path) -> None:
    steps = (HostSteps("p", ("out", "input"), ("Sub", "Sigmoid")), HostSteps("q", ("out",), ()))
    network = replace(every_kind().network("every kind \N{SNOWMAN}"), host_steps=steps)
    assert save(network, tmp_path, memory={"flash_bytes": 12.5}) == [MEMORY_FILE, DESCRIPTION_FILE, WEIGHTS_FILE]
    assert json.loads((tmp_path / MEMORY_FILE).read_text()) == {"flash_bytes": 12.5}
    assert sorted(path.name for path in tmp_path.iterdir()) == [MEMORY_FILE, DESCRIPTION_FILE, WEIGHTS_FILE]
    loaded = load(tmp_path)
    assert loaded.name == "every kind \N{SNOWMAN}"
    assert loaded.tensors == network.tensors
    assert loaded.outputs == network.outputs
    assert loaded.host_steps == steps
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in network.layers]
    for layer, original in zip(loaded.layers, network.layers, strict=True):
        for field, expected in vars(original).items():
            value = vars(layer)[field]
            if isinstance(expected, np.ndarray):
                assert value.dtype == expected.dtype, field
                np.testing.assert_array_equal(value, expected)
            elif field == "requantization":
                np.testing.assert_array_equal(value.multiplier, expected.multiplier)
                np.testing.assert_array_equal(value.shift, expected.shift)
            else:
                assert value == expected, field
    save(loaded, tmp_path)
    assert not (tmp_path / MEMORY_FILE).exists(), "the report of an earlier saving"


def test_files_shrink_with_the_bits(tmp_path: Path) -> None:
    sizes: dict[int, int] = {}
    for bits in BITS:
        builder = Builder(np.random.default_rng(8), Shape(64, 4, 4))
        builder.convolution("input", 64, (3, 3), weight_bits=bits)
        (layer,) = builder.layers
        assert isinstance(layer, IntegerConvolution)
        save(builder.network(), tmp_path)
        sizes[bits] = (tmp_path / WEIGHTS_FILE).stat().st_size
        overhead = sizes[bits] - pack_weights(layer).nbytes
        assert pack_weights(layer).nbytes == 64 * 3 * 3 * 64 * bits // 8
        assert 0 < overhead < 2000, "the header and 64 channels of constants"
    assert sizes[4] < 0.54 * sizes[8]
    assert sizes[2] < 0.31 * sizes[8]


def test_a_network_that_contradicts_itself_is_not_saved(tmp_path: Path) -> None:
    builder = every_kind()
    layer = builder.layers[0]
    assert isinstance(layer, IntegerConvolution)
    layer.codes[0, 0, 0, 0] = 16
    with pytest.raises(ConversionError, match="weight code of 16; expected at most 15 for 4 bits"):
        save(builder.network(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_saving_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(every_kind().network(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(_descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save(every_kind(weight_bits=2).network(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_two_savings_cannot_be_mixed(tmp_path: Path) -> None:
    save(every_kind(4).network(), tmp_path)
    weights = (tmp_path / WEIGHTS_FILE).read_bytes()
    save(every_kind(2).network(), tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes(weights)
    message = "weights.safetensors is not the file with which network.json was saved"
    with pytest.raises(IntegerFileError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format",), "onnx", "as its format; expected the text 'bitbudget integer-only network'"),
        (("version",), 5, "has the number 5 as its version; expected one of 1, 2, 3, 4, the versions"),
        (("version",), 3, "need packed bytes of type uint8 and shape"),
        (("version",), True, "network.json has true as its version; expected a whole number"),
        (("name",), 5, "network.json has the number 5 as its name; expected a text"),
        (("tensors", 1, "bits"), 3, "'convolution0' of .* has the number 3 as its bits; expected one of 8, 4, 2"),
        (("tensors", 1, "shape"), [8, 8], "has a list of 2 as its shape; expected 3 whole numbers"),
        (("tensors", 1, "shape"), [2**24, 2**24, 2**24], "expected channels, height and width of at least 1"),
        (("tensors", 1, "shape"), [8, 8, 17], "layer 'convolution0' .*computes an output of shape 16x8x8"),
        (("tensors", 1, "scale"), 0, "scale 0.0; expected a finite number above 0"),
        (("tensors", 1, "scale"), "0.5", "expected a finite number"),
        (("tensors", 1, "scale"), 10**400, "expected a finite number"),
        (("tensors", 0, "zero_point"), 256, "whole number from 0 to 255"),
        (("tensors", 1, "name"), "input", "expected its inputs and then the output of each layer once"),
        (("input", "tensor"), "convolution0", "expected its inputs and then the output of each layer once"),
        (("input", "sample_extents"), [3, 8, 8], "do not fill its input tensor"),
        (("input", "subtract"), [1.0, 2.0], "expected 1 or 4 finite numbers"),
        (("outputs",), ["nothing"], "expected at least one tensor, each of which a layer writes"),
        (("outputs",), [], "expected at least one tensor, each of which a layer writes"),
        (("layers",), {}, "network.json has an object as its layers; expected a list"),
        (("layers", 0, "kind"), "softmax", "expected one of convolution, fully_connected"),
        (("layers", 0, "inputs"), ["fully_connected7"], "which is not written before it"),
        (("layers", 0, "inputs"), [], "reads no tensor; expected at least one input"),
        (("layers", 0, "name"), "add2", "two layers of the same name"),
        (("layers", 0, "groups"), 3, "the weights of layers.0. 'convolution0'|groups"),
        (("layers", 0, "groups"), 2, "groups|expected uint8 of shape"),
        (("layers", 0, "stride"), [0, 1], "expected 2 whole numbers from 1"),
        (("layers", 0, "padding"), [2**24] * 4, "padding|pads its input|computes an output"),
        (("layers", 0, "kernel"), [5, 5], r"layers\[0\].kernel\[0\] must be the number 3, is the number 5"),
        (("layers", 0, "weights", "bits"), 2, "at 2 bits need packed bytes of type uint8 and shape"),
        (("layers", 0, "weights", "codes_shape"), [16, 3, 3, 5], "need packed bytes of type uint8 and shape"),
        (("layers", 0, "weights", "codes_shape"), [2**24] * 4, "need packed bytes of type uint8 and shape"),
        (("layers", 0, "weights", "array"), "../../etc/passwd", "which the weights file lacks"),
        (("layers", 0, "weights", "array"), "0.bias", "array '0.bias' of .* has the type int32; expected uint8"),
        (("layers", 0, "weights", "bytes"), 1, r"layers\[0\].weights.bytes must be the number 320, is the number 1"),
        (("layers", 0, "bias", "array"), "1.bias", r"layers\[0\].bias.array must be the text '0.bias'"),
        (("layers", 0, "accumulator_bound"), 1, r"accumulator_bound must be the number \d+, is the number 1"),
        (("layers", 0, "scheme", "folding"), "ironing", "expected one of folding_weights, ICN"),
        (("layers", 0, "weight_scale"), [0.0], "weight scale that is 0 or not finite"),
        (("layers", 0, "weight_scale"), [1.0] * 5, "a weight scale of type .* expected float64 of 1 or 16 elements"),
        (("layers", 0, "surprise"), 1, "has the unknown key 'surprise'"),
        (("layers", 4, "channels_after"), -1, "whole number from 0"),
        (("layers", 6, "divisors"), [9], r"has the divisors \[9\]; expected the numbers of .*, \[4, 6, 9\]"),
        (("layers", 6, "count_includes_padding"), 1, "expected true or false"),
        (("layers", 7, "padding"), [0, 0, 0, 1], "expected none, because a fully connected layer has a single window"),
        (("schedule",), ["add2"], "schedule must be"),
        (("weights_file", "bytes"), 1, "weights_file.bytes must be"),
        (("weights_file", "sha256"), "0" * 64, "weights_file.sha256 must be"),
        (("weights_file", "name"), "/etc/passwd", "weights_file.name must be"),
    ],
)  # fmt: skip
def test_a_description_that_was_tampered_with(
    tmp_path: Path, path: tuple[str | int, ...], value: Any, message: str
) -> None:
    save(every_kind().network(), tmp_path)
    file = tmp_path / DESCRIPTION_FILE
    description = json.loads(file.read_text())
    holder = description
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value
    file.write_text(json.dumps(description))
    with pytest.raises(IntegerFileError, match=message):
        load(tmp_path)


def test_several_inputs_and_flattened_tensors(tmp_path: Path) -> None:
    builder = Builder(np.random.default_rng(2), Shape(3, 4, 5))
    vector = builder.add_input(Shape(7))
    builder.fully_connected(builder.concat("input", vector, flattening=Flattening.CHANNELS_FIRST), 2)
    network = builder.network()
    save(network, tmp_path)
    file = tmp_path / DESCRIPTION_FILE
    description = json.loads(file.read_text())
    assert description["version"] == 4
    assert "input" not in description
    assert [each["tensor"] for each in description["inputs"]] == ["input", vector]
    assert description["layers"][0]["flattening"] == "channels_first"
    assert load(tmp_path).input_names == network.input_names
    for fault, message in (
        ({"inputs": description["inputs"][::-1]}, "expected its inputs and then"),
        ({"inputs": description["inputs"][:1]}, "expected its inputs and then"),
        ({"inputs": []}, "0 inputs; expected 1 to 100"),
        ({"inputs": description["inputs"][:1] * 101}, "101 inputs; expected at most 100"),
    ):
        file.write_text(json.dumps(description | fault))
        with pytest.raises(IntegerFileError, match=message):
            load(tmp_path)


def test_no_field_can_be_missing(tmp_path: Path) -> None:
    save(every_kind().network(), tmp_path)
    file = tmp_path / DESCRIPTION_FILE
    original = json.loads(file.read_text())
    places = [(), ("input",), ("tensors", 0), *(("layers", index) for index in range(8)), ("layers", 0, "weights")]
    for place in places:
        holder = original
        for name in place:
            holder = holder[name]
        for field in holder:
            if field == "arithmetic":  # prose
                continue
            description = json.loads(json.dumps(original))
            target = description
            for name in place:
                target = target[name]
            del target[field]
            file.write_text(json.dumps(description))
            with pytest.raises(IntegerFileError, match=f"lacks its {field}$"):
                load(tmp_path)


@pytest.mark.parametrize("name", [DESCRIPTION_FILE, WEIGHTS_FILE])
def test_files_that_are_not_there_or_too_large(tmp_path: Path, name: str) -> None:
    save(every_kind().network(), tmp_path)
    with (tmp_path / name).open("ab") as file:
        file.truncate(2**40)  # a sparse file: it needs no disk space, and reading it must not need memory
    with pytest.raises(IntegerFileError, match=f"{name} has 1099511627776 bytes"):
        load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(IntegerFileError, match=f"has no file {name}"):
        load(tmp_path)
    (tmp_path / name).mkdir()
    with pytest.raises(IntegerFileError, match=f"has no file {name}"):
        load(tmp_path)
    with pytest.raises(IntegerFileError, match="has no file"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not valid JSON"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"[" * 200_000, "nested too deeply|is not valid JSON"),
        (b"[1, 2]", "network.json contains a list of 2; expected an object"),
        (b'{"version": NaN}', "network.json contains NaN"),
        (b'{"version": 1, "version": 1}', "the key 'version' twice"),
        (b'{"version": ' + b"9" * 5000 + b"}", "a number with too many digits"),
    ],
)
def test_what_is_no_description(tmp_path: Path, content: bytes, message: str) -> None:
    save(every_kind().network(), tmp_path)
    (tmp_path / DESCRIPTION_FILE).write_bytes(content)
    with pytest.raises(IntegerFileError, match=message):
        load(tmp_path)


def replace_weights(directory: Path, content: bytes) -> None:
    """Replace the weights, with the matching SHA-256 and size in the description, as an attacker would."""
    (directory / WEIGHTS_FILE).write_bytes(content)
    file = directory / DESCRIPTION_FILE
    description = json.loads(file.read_text())
    description["weights_file"] |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    file.write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("0.shift", lambda array: array + np.int8(70), "has a shift outside 0 to 62"),
        ("0.shift", lambda array: array.astype(np.int32), "array '0.shift' of .* has the type int32; expected int8"),
        ("0.shift", lambda array: np.resize(array, 7), "expected one dimension with one shift for each multiplier"),
        ("0.bias", lambda array: array[:5], "a bias of type .* expected int32 of 16 elements"),
        ("0.bias", lambda array: array + (2**31 - 10**4), "can reach a sum of"),
        ("0.weights", lambda array: array[:-1], "need packed bytes of type uint8 and shape"),
        ("7.weights", lambda array: array | 0x80,  # rows of 5 * 5 * 35 codes of 4 bits: part of a word is unused
         "unused bits; expected 0"),
        ("0.weight_zero_point", lambda array: array.astype(np.float64), "has the type float64; expected int32"),
        ("2.shift", lambda array: array - np.array([0, 1], np.int8), "expected the same shift for all inputs"),
        ("9.weights", lambda _array: np.zeros(3), "holds arrays that network.json does not name"),
    ],
)  # fmt: skip
def test_weights_that_were_tampered_with(
    tmp_path: Path, name: str, change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    save(every_kind().network(), tmp_path)
    arrays = safetensors.numpy.load((tmp_path / WEIGHTS_FILE).read_bytes())
    arrays[name] = change(arrays.get(name, np.zeros(0)))
    replace_weights(tmp_path, safetensors.numpy.save(arrays))
    with pytest.raises(IntegerFileError, match=message):
        load(tmp_path)
