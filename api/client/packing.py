"""Packing of a dataset into one file, as a service takes it: arrays into an .npz, a folder of images into a .tar."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np

from network.errors import DatasetError
from qat.data.dataset import Dataset, TargetSource
from qat.data.images import EncodedImages
from qat.data.opening import open_dataset, open_file

_FILE_MODE: Final = 0o644


def packed_arrays(dataset: Dataset, folder: Path) -> Path:
    """Write the arrays of a dataset to a file in a folder, and return its path; samples in files are read.

    Args:
        dataset: The dataset.
        folder: Folder for the file.
    """
    sources: dict[str, Any] = {"train_x": dataset.train_x, "train_y": dataset.train_y}
    if dataset.has_test_set:
        sources |= {"test_x": dataset.test_x, "test_y": dataset.test_y}
    path = folder / "arrays.npz"
    np.savez(path, **{name: source[:] for name, source in sources.items() if source is not None})
    return path


def packed_folder(directory: Path, folder: Path) -> Path:
    """Write the dataset in a directory to a file in a folder, and return its path.

    Equal directories give equal files, so that a service that has one is not sent it again.

    Args:
        directory: A directory of array files, or of images in folders of classes.
        folder: Folder for the file.

    Raises:
        DatasetError: If there is no valid dataset, or if one file would be read as another dataset.
    """
    dataset = open_dataset(directory)
    if not isinstance(dataset.train_x, EncodedImages):
        return packed_arrays(dataset, folder)
    path = folder / "images.tar"
    with tarfile.open(path, "w") as archive:
        for part, samples, targets in _parts(dataset):
            _add_images(archive, part, samples, targets, dataset.class_names)
    if not _is_same(path, dataset):
        raise DatasetError(
            f"the dataset '{directory}' cannot be sent as it is, because the service takes one file; expected images "
            "in folders of classes, arrays, or one .npz, .parquet or .tar file (docs/datasets.md)"
        )
    return path


def _parts(dataset: Dataset) -> Iterator[tuple[str, EncodedImages, TargetSource | None]]:
    """Yield the name, the samples and the targets of the training set and, if there is one, of the test set."""
    for part, samples, targets in (
        ("train", dataset.train_x, dataset.train_y),
        ("test", dataset.test_x, dataset.test_y),
    ):
        if isinstance(samples, EncodedImages):
            yield part, samples, targets


def _add_images(
    archive: tarfile.TarFile,
    part: str,
    samples: EncodedImages,
    targets: TargetSource | None,
    class_names: tuple[str, ...] | None,
) -> None:
    """Add the images of one part, in the folders of their classes; which of them are for tests is then fixed."""
    labels = None if targets is None or class_names is None or len(targets.shape) > 1 else targets[:].tolist()
    for index in range(len(samples)):
        content = samples.store.read(index)
        suffix = PurePath(samples.store.name_of(index)).suffix
        place = part if labels is None or class_names is None else f"{part}/{class_names[labels[index]]}"
        entry = tarfile.TarInfo(f"{place}/{index:08}{suffix}")
        entry.size, entry.mode = len(content), _FILE_MODE
        archive.addfile(entry, io.BytesIO(content))


def _is_same(path: Path, dataset: Dataset) -> bool:
    """Return whether an archive is read with the samples, the labels and the class names of a dataset."""
    try:
        packed = open_file(path)
    except DatasetError:
        return False
    ours, theirs = list(_parts(packed)), list(_parts(dataset))
    return (
        packed.class_names == dataset.class_names
        and packed.has_test_set == dataset.has_test_set
        and len(ours) == len(theirs)
        and all(
            len(own[1]) == len(given[1])
            and _are_same(own[2], given[2])
            and all(own[1].store.read(index) == given[1].store.read(index) for index in range(len(given[1])))
            for own, given in zip(ours, theirs, strict=True)
        )
    )


def _are_same(packed: TargetSource | None, targets: TargetSource | None) -> bool:
    if packed is None or targets is None:
        return packed is targets
    return packed.shape == targets.shape and packed.dtype == targets.dtype and np.array_equal(packed[:], targets[:])
