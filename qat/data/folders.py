"""Reader of image folders in ImageNet's layout: `train/CLASS/*.jpg` and `val/CLASS/*.jpg`. Imports no torch.

Classes are numbered in the order of their names. `folder_layout` finds the split folders by their names. If there are
none, the class folders are in the root directory and some images are held out as the test set (`holding_out`). Images
directly in `train` or `val`, without class folders, have no label.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from network.errors import DatasetError
from qat.data.dataset import Dataset, Indices, Labels
from qat.data.encoded_store import FolderStore, StorePart
from qat.data.files import entries, files_below
from qat.data.folder_layout import find_splits, images_in, is_image, subfolders, unwrapped
from qat.data.holding_out import hold_out
from qat.data.images import EncodedImages
from qat.data.names import names_of, printable
from qat.data.parts import TEST

MAX_IMAGES: Final = 50_000_000
_IMAGES_FOLDER: Final = "images"
"""Folder that may hold all images of a class, as in Tiny ImageNet: `train/CLASS/images/*.JPEG`."""


@dataclass(frozen=True, slots=True)
class _Tree:
    """Images of one part of a dataset.

    Attributes:
        files: Path of each image relative to the root, n items.
        labels: Class of each image, n items; empty if there are no class folders.
        classes: Name of each class; empty if there are no class folders.
    """

    files: list[str]
    labels: list[int]
    classes: list[str]


def holds_folders(root: Path) -> bool:
    """Whether a directory contains folders or image files, as image folders do.

    Args:
        root: The directory.
    """
    return any(each.is_dir(follow_symlinks=False) or is_image(each.name) for each in entries(root))


def open_folders(root: Path, name: str) -> Dataset:
    """Read the dataset in a tree of image files.

    Args:
        root: Root directory of the tree.
        name: Name of the dataset in reports.

    Raises:
        DatasetError: if there are no images or only a test set, a class folder contains no images or only folders, the
            test set has a class that the training set does not have, images are mixed with class folders, or the tree
            contains a symbolic link.
    """
    splits = find_splits(root)
    train = splits.folders.get("train")
    trees = [_tree_of(root, splits.folders[each]) for each in TEST if each in splits.folders]
    if train is None:
        if trees:
            folder = printable(next(splits.folders[each] for each in TEST if each in splits.folders))
            raise DatasetError(
                f"'{name}' holds only a test set ('{folder}'); expected a training set too, in a folder 'train'. To "
                f"have a part of these images held out as the test set, give '{folder}' itself"
            )
        return _with_held_out_test_set(root, name, _tree_of(root, splits.base))
    if not trees:
        return _with_held_out_test_set(root, name, _tree_of(root, train))
    tested = next((tree for tree in trees if tree.labels), trees[0])
    trained = _tree_of(root, train)
    test_labels = _labels(tested)
    if test_labels is not None and trained.labels:
        test_labels = _renumbered(test_labels, tested.classes, trained.classes)
    return Dataset(
        name,
        EncodedImages(FolderStore(root, names_of(trained.files))),
        _labels(trained),
        EncodedImages(FolderStore(root, names_of(tested.files))),
        test_labels,
        tuple(map(printable, trained.classes or tested.classes)) or None,
    )


def _with_held_out_test_set(root: Path, name: str, tree: _Tree) -> Dataset:
    store, labels = FolderStore(root, names_of(tree.files)), _labels(tree)
    train, test = hold_out(len(store), tree.files.__getitem__, labels, name)
    return Dataset(
        name,
        EncodedImages(StorePart(store, train)),
        None if labels is None else labels[train],
        EncodedImages(StorePart(store, test)),
        None if labels is None else labels[test],
        tuple(map(printable, tree.classes)) or None,
    )


def _tree_of(root: Path, folder: str) -> _Tree:
    folder = unwrapped(root, folder)
    classes, loose = subfolders(root / folder), images_in(root / folder)
    at = printable(folder or root.name)
    if classes and loose:
        raise DatasetError(
            f"'{at}' holds images ('{printable(loose[0])}') and folders ('{printable(classes[0])}'); expected one "
            "folder for each class, or only images if they have no labels"
        )
    prefix = f"{folder}/" if folder else ""
    if not classes:
        if not loose:
            raise DatasetError(
                f"'{at}' holds no images; expected files such as .jpg or .png, in one folder for each class"
            )
        return _Tree([prefix + each for each in loose], [], [])
    files: list[str] = []
    labels: list[int] = []
    for label, each in enumerate(classes):
        before = len(files)
        _check_class_folder(root / folder / each, f"{at}/{printable(each)}")
        below = files_below(root / folder / each)
        files += (path.relative_to(root).as_posix() for path in below if is_image(path.name))
        if len(files) == before:
            raise DatasetError(
                f"the class folder '{at}/{printable(each)}' holds no images; add images to it or remove it"
            )
        if len(files) > MAX_IMAGES:
            raise DatasetError(
                f"'{at}' holds more than {MAX_IMAGES} images; give them as Parquet files or WebDataset shards"
            )
        labels += [label] * (len(files) - before)
    return _Tree(files, labels, classes)


def _check_class_folder(directory: Path, name: str) -> None:
    """Reject a class folder without images of its own, which is probably a set of class folders."""
    inner = [] if images_in(directory) else subfolders(directory)
    if inner and inner != [_IMAGES_FOLDER]:
        raise DatasetError(
            f"'{name}' holds folders ('{printable(inner[0])}') and no images, so it cannot be the folder of one class; "
            "expected train/CLASS/*.jpg and test/CLASS/*.jpg, or CLASS/*.jpg"
        )


def _labels(tree: _Tree) -> Labels | None:
    return np.array(tree.labels, dtype=np.int64) if tree.labels else None


def _renumbered(labels: Labels, test_classes: list[str], train_classes: list[str]) -> Labels:
    """Convert labels of the test set to the class numbers of the training set; the test set may lack classes."""
    numbers = {each: number for number, each in enumerate(train_classes)}
    unknown = [each for each in test_classes if each not in numbers]
    if unknown:
        raise DatasetError(
            f"the test set has the class '{printable(unknown[0])}', which the training set does not have; add it to "
            "the training set or remove it from the test set"
        )
    table: Indices = np.array([numbers[each] for each in test_classes], dtype=np.int64)
    return table[labels]
