"""Files of older versions are read as they were written; version 4 holds narrow constants."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from deploy.files import DESCRIPTION_FILE, WEIGHTS_FILE, load, save
from deploy.integer_network import IntegerConvolution, IntegerNetwork
from deploy.interpreter import trace
from deploy.narrow_constants import narrow_constants_of
from network.errors import IntegerFileError
from network.layers import Padding, Shape
from tests.deploy.random_networks import Builder
from tests.deploy.test_files import replace_weights
from tests.deploy.test_narrow_constants import made_narrow

OLD = Path(__file__).parent / "old_versions"
"""A small network of each of the versions 1 to 3, with codes: written by the program when it wrote these versions."""


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_old_file_computes_its_codes_and_is_saved_as_version_4(version: int, tmp_path: Path) -> None:
    folder = OLD / f"version{version}"
    recorded = json.loads((folder / "codes.json").read_text())
    codes = {name: np.array(values, np.uint8) for name, values in recorded["inputs"].items()}
    old = load(folder)
    save(old, tmp_path)
    assert json.loads((tmp_path / DESCRIPTION_FILE).read_text())["version"] == 4
    for network in (old, load(tmp_path)):
        found = trace(network, codes)
        assert found.keys() == recorded["tensors"].keys()
        for name, expected in recorded["tensors"].items():
            np.testing.assert_array_equal(found[name], np.array(expected, np.uint8), err_msg=name)


@pytest.mark.parametrize(("version", "wrong"), [(1, 2), (2, 1), (3, 2), (1, 3)])
def test_an_old_file_has_the_lowest_sufficient_version(version: int, wrong: int, tmp_path: Path) -> None:
    folder = shutil.copytree(OLD / f"version{version}", tmp_path / "copy")
    file = folder / DESCRIPTION_FILE
    file.write_text(file.read_text().replace(f'"version": {version},', f'"version": {wrong},'))
    with pytest.raises(IntegerFileError, match=f"version must be the number {version}, is the number {wrong}"):
        load(folder)


def test_rows_of_an_old_file_are_not_words(tmp_path: Path) -> None:
    folder = shutil.copytree(OLD / "version1", tmp_path / "copy")
    file = folder / DESCRIPTION_FILE
    file.write_text(file.read_text().replace('"version": 1,', '"version": 4,'))
    with pytest.raises(IntegerFileError, match="need packed bytes of type uint8 and shape"):
        load(folder)


def narrow_network() -> tuple[Builder, IntegerNetwork]:
    """Return a network whose first layer is narrow, with an offset shift above 0, and whose second layer is wide."""
    for seed in range(100):
        builder = Builder(np.random.default_rng(seed), Shape(3, 4, 4))
        builder.fully_connected(builder.convolution("input", 4, (3, 3), padding=Padding(1, 1, 1, 1)), 3)
        first = made_narrow(builder, 0)
        if first is not None:
            builder.layers[0] = first
            network = builder.network()
            constants = narrow_constants_of(first, *list(network.tensors.values())[:2])
            if constants is not None and constants.offset_shift > 0:
                return builder, network
    raise AssertionError("no seed gives a narrow layer")


def test_narrow_constants_come_back(tmp_path: Path) -> None:
    builder, network = narrow_network()
    save(network, tmp_path)
    first, second = json.loads((tmp_path / DESCRIPTION_FILE).read_text())["layers"]
    assert "bias" not in first
    assert (first["multiplier"]["type"], first["offset"]["type"]) == ("int16", "int16")
    assert first["multiplier"]["bytes"] + first["offset"]["bytes"] == 4 * 4
    assert 1 <= first["shift"] <= 22
    assert first["offset_shift"] > 0
    assert second["bias"]["type"] == "int32"
    loaded = load(tmp_path)
    old, new = network.layers[0], loaded.layers[0]
    assert isinstance(old, IntegerConvolution)
    assert isinstance(new, IntegerConvolution)
    np.testing.assert_array_equal(new.bias, old.bias)
    np.testing.assert_array_equal(new.requantization.multiplier, old.requantization.multiplier)
    np.testing.assert_array_equal(new.requantization.shift, old.requantization.shift)
    codes = builder.input_codes(2)
    again = trace(loaded, codes)
    for name, values in trace(network, codes).items():
        np.testing.assert_array_equal(again[name], values)


def test_one_multiplier_for_the_layer_is_written_for_each_channel(tmp_path: Path) -> None:
    _, network = narrow_network()
    first = network.layers[0]
    assert isinstance(first, IntegerConvolution)
    factors = first.requantization
    one = dataclasses.replace(factors, multiplier=factors.multiplier[:1], shift=factors.shift[:1])
    layers = (dataclasses.replace(first, requantization=one), *network.layers[1:])
    save(dataclasses.replace(network, layers=layers), tmp_path)
    before = [(tmp_path / name).read_bytes() for name in (DESCRIPTION_FILE, WEIGHTS_FILE)]
    loaded = load(tmp_path)
    found = loaded.layers[0]
    assert isinstance(found, IntegerConvolution)
    assert found.requantization.multiplier.tolist() == [int(factors.multiplier[0])] * 4
    save(loaded, tmp_path)
    assert [(tmp_path / name).read_bytes() for name in (DESCRIPTION_FILE, WEIGHTS_FILE)] == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shift": 0}, "whole number from 1 to 16"),
        ({"shift": 23}, "whole number from 1 to 16"),
        ({"offset_shift": -1}, "whole number from 0 to 16"),
        ({"offset_shift": 17}, "whole number from 0 to 16"),
        ({"inputs": []}, "expected the name of a tensor of the network"),
        ({"inputs": ["nothing"]}, "expected the name of a tensor of the network"),
        ({"weight_zero_point": {"array": "1.bias"}}, "weight zero points of shape .3.; expected 1 or 4"),
    ],
)
def test_narrow_constants_that_were_tampered_with(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    _, network = narrow_network()
    save(network, tmp_path)
    file = tmp_path / DESCRIPTION_FILE
    description = json.loads(file.read_text())
    description["layers"][0] |= change
    file.write_text(json.dumps(description))
    with pytest.raises(IntegerFileError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("0.offset", lambda array: array.astype(np.int32), "has the type int32; expected int16"),
        (
            "0.offset",
            lambda array: array[:3],
            "multipliers of shape .4. and offsets of shape .3.; expected one of each",
        ),
        ("0.multiplier", lambda array: array[None], "expected one of each for every channel"),
        ("0.multiplier", lambda array: array.astype(np.int32), "has the type int32; expected int16"),
        # with a power of two less, the same biases are written in another way
        ("0.offset", lambda array: array // 8, "is inconsistent"),
    ],
)
def test_narrow_arrays_that_were_tampered_with(
    name: str, change: Callable[[np.ndarray], np.ndarray], message: str, tmp_path: Path
) -> None:
    _, network = narrow_network()
    save(network, tmp_path)
    arrays = safetensors.numpy.load((tmp_path / WEIGHTS_FILE).read_bytes())
    arrays[name] = np.ascontiguousarray(change(arrays[name]))
    replace_weights(tmp_path, safetensors.numpy.save(arrays))
    with pytest.raises(IntegerFileError, match=message):
        load(tmp_path)
