"""Test networks whose weights are in a file beside them: read from the folder of the network, and from nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest

from api.cli.files import read_network_file
from api.client.weight_files import WeightFilesBeside
from network.errors import InvalidNetwork, NetworkError, UnreadableFile
from network.layers import WeightLayer
from network.network import Network
from network.reading import read_network
from tests.network.onnx_reading.onnx_models import model, node, random

SHARED = Path(__file__).parents[4] / "shared"


def whole_model() -> onnx.ModelProto:
    constants = {"w": random(4, 3, 3, 3), "m": random(5, 144)}
    return model([node("Conv", "x w", "c"), node("Flatten", "c", "f"), node("Gemm", "f m", "y", transB=1)],
                 constants=constants)  # fmt: skip


def saved(folder: Path, location: str = "model.onnx.data") -> Path:
    """Save the model with its weights in another file, and return its path."""
    onnx.save(
        whole_model(), str(folder / "model.onnx"), save_as_external_data=True, location="model.onnx.data",
        size_threshold=0,
    )  # fmt: skip
    path = folder / "model.onnx"
    if location != "model.onnx.data":
        changed = onnx.load(str(path), load_external_data=False)
        for tensor in changed.graph.initializer:
            next(entry for entry in tensor.external_data if entry.key == "location").value = location
        path.write_bytes(changed.SerializeToString())
    return path


def weights(network: Network) -> list[np.ndarray]:
    return [layer.weight for layer in network.layers if isinstance(layer, WeightLayer) and layer.weight is not None]


def test_weights_beside_the_network(tmp_path: Path) -> None:
    network, name = read_network_file(str(saved(tmp_path)))
    whole = read_network(whole_model().SerializeToString(), "model")
    for ours, expected in zip(weights(network), weights(whole), strict=True):
        np.testing.assert_array_equal(ours, expected)
    data = tmp_path / "model.onnx.data"
    data.write_bytes(np.ones(data.stat().st_size // 4, np.float32).tobytes())
    assert read_network_file(str(tmp_path / "model.onnx"))[1].id != name.id


def test_the_standard_input_advises_to_send_one_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"another file; expected all data inside the ONNX file: save it with"):
        read_network(saved(tmp_path).read_bytes(), "uploaded")


@pytest.mark.parametrize(
    "location",
    [
        "/etc/passwd",
        "../model.onnx.data",
        "./model.onnx.data",
        "a/b",
        "..",
        ".",
        "",
        "a\\b",
        "C:data",
        "a\nb",
        "x" * 9999,
    ],
)
def test_locations_that_are_not_plain_names_are_not_opened(
    location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, location)

    def no_opening(*_: object, **__: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr("os.open", no_opening)
    with pytest.raises(UnreadableFile, match="plain name") as caught:
        read_network(path.read_bytes(), "model", WeightFilesBeside(tmp_path, 10**9))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "model.onnx.data").unlink()
    with pytest.raises(UnreadableFile, match=r"'model.onnx.data', which is not in the folder of the network"):
        read_network_file(str(path))


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_files_that_are_not_regular(kind: str, tmp_path: Path) -> None:
    path = saved(tmp_path)
    data = tmp_path / "model.onnx.data"
    data.rename(tmp_path / "elsewhere")
    if kind == "link":
        data.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(data)
    else:
        data.mkdir()
    with pytest.raises(UnreadableFile, match=r"model.onnx.data"):
        read_network_file(str(path))


def test_files_that_are_too_large(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with pytest.raises(UnreadableFile, match="more than 100 bytes"):
        read_network(path.read_bytes(), "model", WeightFilesBeside(tmp_path, 100))


@pytest.mark.parametrize(
    ("key", "value"),
    [("offset", "-1"), ("offset", "9" * 5000), ("offset", "100000"),
     ("length", "100000"), ("length", "1.5"), ("length", "4")],
)  # fmt: skip
def test_places_outside_the_file(key: str, value: str, tmp_path: Path) -> None:
    path = saved(tmp_path)
    changed = onnx.load(str(path), load_external_data=False)
    entries = changed.graph.initializer[1].external_data
    next(entry for entry in entries if entry.key == key).value = value
    path.write_bytes(changed.SerializeToString())
    with pytest.raises(InvalidNetwork):
        read_network_file(str(path))


def test_tensors_that_share_bytes_do_not_multiply_the_memory(tmp_path: Path) -> None:
    path = saved(tmp_path)
    changed = onnx.load(str(path), load_external_data=False)
    for index in range(1000):
        copy = changed.graph.initializer.add()
        copy.CopyFrom(changed.graph.initializer[1])
        copy.name = f"copy{index}"
    path.write_bytes(changed.SerializeToString())
    with pytest.raises(NetworkError, match="no other tensor uses"):
        read_network_file(str(path))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published networks are not part of the project")
@pytest.mark.parametrize("name", ["troubles/external/model.onnx", "networks/minimal/weights_outside.onnx"])
def test_published_files(name: str) -> None:
    network, _ = read_network_file(str(SHARED / name))
    assert network.has_weights


def test_a_file_of_another_export_is_too_long(tmp_path: Path) -> None:
    path = saved(tmp_path)
    data = tmp_path / "model.onnx.data"
    used = data.stat().st_size
    data.write_bytes(data.read_bytes() + bytes(65_536))
    assert read_network_file(str(path))[0].has_weights, "exporters may align the end of the file"
    data.write_bytes(data.read_bytes() + b"\0")
    with pytest.raises(
        InvalidNetwork, match=rf"has {used + 65_537} bytes, of which the network uses the first {used};"
    ):
        read_network_file(str(path))


def test_all_missing_files_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(whole_model(), str(path), save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=0)
    for each in ("w", "m"):
        (tmp_path / each).unlink()
    with pytest.raises(UnreadableFile, match=r"'w', which is not in the folder .*; the same applies to 'm'$"):
        read_network_file(str(path))
