"""Reading `.npz` datasets and checking them against a network: each kind of error has one clear message."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from network.errors import DatasetError
from network.layers import Shape
from network.network_input import InputFormat, NetworkInput
from qat.data.checks import check_dataset
from qat.data.dataset import Dataset, labelled, to_input_tensor
from qat.data.digits import digits
from qat.data.npz import read_npz
from tests.qat.zoo import all_kinds

Arrays = dict[str, npt.NDArray[np.generic]]


def good_arrays() -> Arrays:
    """Return a dataset for the network of `all_kinds`: 2 channels, 7 x 6, 5 classes."""
    rng = np.random.default_rng(0)
    return {
        "train_x": rng.normal(size=(12, 2, 7, 6)).astype(np.float32),
        "train_y": rng.integers(0, 5, 12),
        "test_x": rng.normal(size=(4, 2, 7, 6)).astype(np.float32),
        "test_y": rng.integers(0, 5, 4).astype(np.uint8),
    }


def written(directory: Path, arrays: Arrays, *, compressed: bool = False) -> Path:
    path = directory / "data.npz"
    (np.savez_compressed if compressed else np.savez)(path, **arrays)  # type: ignore[arg-type]  # mypy matches the arrays with numpy's `allow_pickle`
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_reads_what_numpy_writes(tmp_path: Path, compressed: bool) -> None:
    arrays = good_arrays() | {"notes": np.array(["not read"])}
    dataset = read_npz(written(tmp_path, arrays, compressed=compressed))
    assert dataset.name == "data"
    for name in ("train_x", "train_y", "test_x", "test_y"):
        np.testing.assert_array_equal(getattr(dataset, name), arrays[name])
    assert isinstance(dataset.test_y, np.ndarray)
    assert dataset.test_y.dtype == np.int64
    check_dataset(dataset, all_kinds(0))


def _with(name: str, array: npt.NDArray[np.generic]) -> Arrays:
    return good_arrays() | {name: array}


UNREADABLE = {
    "lacks train_x": {name: array for name, array in good_arrays().items() if name != "train_x"},
    "lacks test_x": {name: array for name, array in good_arrays().items() if name != "test_x"},  # but it has test_y
    "'train_x' holds float64": _with("train_x", np.zeros((12, 2, 7, 6))),
    "'train_x' holds object": _with("train_x", np.array([None, 1], dtype=object)),
    "'train_y' holds complex64": _with("train_y", np.zeros(12, dtype=np.complex64)),
    "'train_y' holds <U3; .*numpy.unique": _with("train_y", np.array(["cat"] * 12)),
    "'test_y' holds object; .*numpy.unique": _with("test_y", np.array([[1, 2], [3], [4], [5]], dtype=object)),
    r"'train_y' has the shape \[\]": _with("train_y", np.array(3)),
    "'test_x' holds <U1": _with("test_x", np.array(["a", "b"])),
    "at most 1000000 are allowed": _with("train_x", np.zeros((12, 2, 300, 300), dtype=np.float32)),
}


@pytest.mark.parametrize("message", UNREADABLE)
def test_refuses_arrays_of_another_kind(tmp_path: Path, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_npz(written(tmp_path, UNREADABLE[message]), max_bytes=1_000_000)


def _damaged(content: bytes, what: str) -> bytes:
    match what:
        case "not a zip":
            return b"train_x = 1"
        case "empty":
            return b""
        case "truncated":
            return content[: len(content) // 2]
        case "flipped byte":
            at = content.index(b"NUMPY") + 400
            return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]
        case _:
            raise ValueError(what)


@pytest.mark.parametrize("what", ["not a zip", "empty", "truncated", "flipped byte"])
def test_refuses_damaged_files(tmp_path: Path, what: str) -> None:
    path = written(tmp_path, good_arrays())
    path.write_bytes(_damaged(path.read_bytes(), what))
    with pytest.raises(DatasetError, match=r"cannot be read as an \.npz"):
        read_npz(path)


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_npz(tmp_path / "nowhere.npz")


def _archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def _array_file(header: str, data: bytes) -> bytes:
    padded = header.ljust(118) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode() + data


def _content(array: npt.NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 1000000), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 10000000000000000000000, 2), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 'x', }",
        "__import__('os').system('true')",
    ],
)
def test_refuses_headers_with_a_false_size(tmp_path: Path, header: str) -> None:
    members = {name: _content(array) for name, array in good_arrays().items()}
    members["train_x"] = _array_file(header, b"\x00" * 24)
    with pytest.raises(DatasetError):
        read_npz(_archive(tmp_path / "false.npz", members))


def test_refuses_a_zip_bomb_before_memory_is_taken(tmp_path: Path) -> None:
    members = {name: _content(array) for name, array in good_arrays().items()}
    members["train_x"] = _content(np.zeros((20_000, 80, 80), dtype=np.uint8))
    with pytest.raises(DatasetError, match="would grow from"):
        read_npz(_archive(tmp_path / "bomb.npz", members))


def dataset_of(**changed: npt.NDArray[np.generic]) -> Dataset:
    return Dataset("tiny", **(good_arrays() | changed))  # type: ignore[arg-type]  # some arrays are invalid on purpose


LONG = np.zeros(12, dtype=np.int64)
UNFIT: dict[str, Arrays] = {
    r"train_x is float32 with shape \[12, 7, 6, 2\]; this network needs \[n, 2, 7, 6\]": {
        "train_x": np.zeros((12, 7, 6, 2), np.float32)
    },
    r"train_x is uint8 with shape \[12, 2, 7, 6\]; this network needs \[n, 7, 6, 2\]": {
        "train_x": np.zeros((12, 2, 7, 6), np.uint8)
    },
    r"train_x is float32 with shape \[12, 84\]": {"train_x": np.zeros((12, 84), np.float32)},
    r"test_x is float32 with shape \[\]": {"test_x": np.zeros((), np.float32)},
    "train_x holds float64": {"train_x": np.zeros((12, 2, 7, 6))},
    r"targets are int64 with the shape \[n, 2\], which suits no task of the network's output": {
        "train_y": np.zeros((12, 2), np.int64),
        "test_y": np.zeros((4, 2), np.int64),
    },
    r"the targets are float32 with the shape \[n\]": {"train_y": np.full(12, 0.5, np.float32)},
    "'train_y' holds <U3": {"train_y": np.array(["cat"] * 12)},
    r"'test_y' has the shape \[\]": {"test_y": np.array(1)},
    "train_x holds 12 samples and train_y 11 labels": {"train_y": LONG[:11]},
    r"train_y\[3\] is 5 \(1 labels are out of range\)": {"train_y": np.where(np.arange(12) == 3, 5, 0)},
    r"train_y\[0\] is -1 \(12 labels": {"train_y": LONG - 1},
    "test_x holds no samples": {"test_x": np.zeros((0, 2, 7, 6), np.float32), "test_y": LONG[:0]},
    "train_x holds 1 sample": {"train_x": np.zeros((1, 2, 7, 6), np.float32), "train_y": LONG[:1]},
    r"test_x\[2\] holds NaN or infinity": {
        "test_x": np.where(np.arange(4)[:, None, None, None] == 2, np.nan, 0).astype(np.float32)
        * np.ones((1, 2, 7, 6), np.float32)
    },
}


@pytest.mark.parametrize("message", UNFIT)
def test_refuses_what_does_not_fit_the_network(message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        check_dataset(dataset_of(**UNFIT[message]), all_kinds(0))


def test_one_class_for_each_sample_may_have_an_extent_of_1() -> None:
    arrays = good_arrays()
    dataset = dataset_of(train_y=arrays["train_y"][:, None])
    check_dataset(dataset, all_kinds(0))
    np.testing.assert_array_equal(labelled(dataset.train_y), arrays["train_y"])


def test_targets_of_a_network_with_two_outputs_belong_to_one_of_them() -> None:
    whole = all_kinds(0)
    check_dataset(dataset_of(), replace(whole, outputs=("logits", "sum")))


@pytest.mark.parametrize("channels_last", [False, True])
def test_uint8_images_are_height_width_channels_for_any_network_layout(channels_last: bool) -> None:
    whole = all_kinds(0)
    dims = (7, 6, 2) if channels_last else (2, 7, 6)
    form = InputFormat(dims, channels_last, (1.0,), (0.5,))
    network = replace(whole, inputs=(NetworkInput("input", Shape(2, 7, 6), form),))
    images = np.random.default_rng(0).integers(0, 256, (3, 7, 6, 2)).astype(np.uint8)
    expected = (images.transpose(0, 3, 1, 2).astype(np.float32) - 1) * np.float32(0.5)
    np.testing.assert_array_equal(to_input_tensor(images, network), expected)


def test_digits() -> None:
    dataset = digits()
    assert dataset.train_x.shape == (1437, 8, 8, 1)
    assert dataset.test_x.shape == (360, 8, 8, 1)
    assert dataset.train_x.dtype == np.uint8
    assert int(dataset.train_x[:].max()) == 16
    assert np.bincount(labelled(dataset.test_y)).min() >= 34
    np.testing.assert_array_equal(digits().test_x, dataset.test_x)


def test_requests_are_checked_without_torch() -> None:
    modules = (
        "qat.data.checks, qat.data.opening, qat.data.parquet, "
        "qat.options.training, qat.options.augmentation, qat.progress"
    )
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
