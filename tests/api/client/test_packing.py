"""Datasets in folders, packed into one file that is read as the same dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from api.client.client import Client
from api.client.packing import packed_arrays, packed_folder
from network.errors import DatasetError
from qat.data.dataset import Dataset
from qat.data.opening import open_dataset, open_file
from tests.api.live_service import LiveService


def make_images(folder: Path, *parts: str, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for part in parts:
        (folder / part).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 255, (8 + number % 3, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / part / f"{number}.png")


@pytest.mark.parametrize(
    "parts",
    [
        ("train/cat", "train/dog", "test/cat", "test/dog"),
        ("cat", "dog"),
        ("train/cat", "train/dog"),
        ("train", "val"),
    ],
)
def test_images_in_class_folders(parts: tuple[str, ...], service: LiveService, tmp_path: Path) -> None:
    make_images(tmp_path / "pets", *parts)
    (tmp_path / "pets" / ".cache").write_text("not a sample")
    own, again = tmp_path / "own", tmp_path / "again"
    own.mkdir()
    again.mkdir()
    path = packed_folder(tmp_path / "pets", own)
    assert packed_folder(tmp_path / "pets", again).read_bytes() == path.read_bytes()
    packed, dataset = open_file(path), open_dataset(tmp_path / "pets")
    assert packed.class_names == dataset.class_names
    for ours, theirs in ((packed.train_x, dataset.train_x), (packed.test_x, dataset.test_x)):
        for place in range(len(theirs)):
            one = slice(place, place + 1)
            np.testing.assert_array_equal(ours[one], theirs[one])
    with Client(service.url) as client:
        stored = client.upload_dataset(tmp_path / "pets")
        assert (stored.name, stored.class_names) == ("pets", dataset.class_names and [*dataset.class_names])
        assert stored.train_samples == len(dataset.train_x)
        client.delete_dataset(stored)


def test_array_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    (tmp_path / "waves").mkdir()
    for part in ("train", "test"):
        np.save(tmp_path / "waves" / f"{part}_x.npy", rng.standard_normal((9, 1, 4, 4)).astype(np.float32))
        np.save(tmp_path / "waves" / f"{part}_y.npy", rng.integers(0, 3, 9))
    packed, dataset = open_file(packed_folder(tmp_path / "waves", tmp_path)), open_dataset(tmp_path / "waves")
    for name in ("train_x", "train_y", "test_x", "test_y"):
        np.testing.assert_array_equal(getattr(packed, name)[:], getattr(dataset, name)[:])


def test_arrays_without_targets_and_without_a_test_set(tmp_path: Path) -> None:
    x = np.zeros((4, 8, 8, 1), np.uint8)
    full = Dataset("full", x, None, x[:2], None)
    packed = open_file(packed_arrays(full, tmp_path))
    assert (len(packed.train_x), packed.train_y, len(packed.test_x)) == (4, None, 2)


def test_a_folder_that_one_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    make_images(tmp_path / "scans", "train/images")
    make_images(tmp_path / "scans", "train/masks")
    for path in (tmp_path / "scans" / "train" / "masks").iterdir():
        with Image.open(tmp_path / "scans" / "train" / "images" / path.name) as image:
            size = image.size
        Image.fromarray(np.zeros(size[::-1], np.uint8)).save(path)
    with pytest.raises(DatasetError, match="takes one file; expected images in folders of classes"):
        packed_folder(tmp_path / "scans", tmp_path)
