"""Numbering of classes that have names: the names of the training set in sorted order. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import numpy as np
import numpy.typing as npt

from network.errors import DatasetError
from qat.data.dataset import Indices, Labels
from qat.data.names import printable
from qat.data.parts import TEST, part_of_name

MAX_CLASS_NAMES: Final = 100_000
"""Largest number of different names of classes."""


@dataclass(frozen=True, slots=True, eq=False)
class NamedLabels:
    """Classes of samples, with their names.

    Attributes:
        labels: Class number of each sample, int64 [n].
        names: Name of each class.
    """

    labels: Labels
    names: tuple[str, ...]


def number_classes(names: Sequence[str], codes: Indices, is_train: npt.NDArray[np.bool_], dataset: str) -> NamedLabels:
    """Number the classes of the training set in the order of their names.

    Args:
        names: The different names of classes, in any order.
        codes: Index in `names` of the class of each sample, int64 [n].
        is_train: Whether each sample belongs to the training set, or to a set that is not split, bool [n].
        dataset: Name of the dataset in errors.

    Raises:
        DatasetError: if there are more than `MAX_CLASS_NAMES` names, or the test set has a class that the training set
            does not have.
    """
    if len(names) > MAX_CLASS_NAMES:
        raise DatasetError(
            f"'{dataset}' has {len(names)} different names of classes; expected at most {MAX_CLASS_NAMES}: give the "
            "class of each sample as a name or a number"
        )
    trained = np.unique(codes[is_train]) if is_train.any() else np.arange(len(names))
    ordered = sorted(trained.tolist(), key=lambda code: names[code])
    numbers = np.full(len(names), -1, dtype=np.int64)
    numbers[ordered] = np.arange(len(ordered))
    labels = numbers[codes]
    if labels.size and labels.min() < 0:
        unknown = names[int(codes[np.argmin(labels)])]
        raise DatasetError(
            f"the test set has the class '{printable(unknown)}', which the training set does not have; add it to the "
            "training set or remove it from the test set"
        )
    return NamedLabels(labels, tuple(printable(names[code]) for code in ordered))


@dataclass(frozen=True, slots=True)
class FolderClasses:
    """Classes that the folders of image files state.

    Attributes:
        names: Name of the class of each image, n items.
        parts: Part that the folders around the class folder state, n items; None if they state none.
    """

    names: list[str]
    parts: list[str | None]


def classes_of_folders(paths: Sequence[str]) -> FolderClasses | None:
    """Return the classes of images in class folders such as `train/cat/1.jpg`, or None if the folders are not classes.

    The innermost folder of each image is its class if there are two or more such folders, all of them are inside one
    folder or inside folders that state a part (`parts`), and they are not split folders themselves.

    Args:
        paths: Path of each image in an archive, with `/` as separator.
    """
    folder_of = [path.rpartition("/")[0] for path in paths]
    folders = {each: PurePosixPath(each) for each in set(folder_of)}
    names = {each.name for each in folders.values()}
    around = {each.parent for each in folders.values()}
    if "" in names or len(names) < 2 or (len(around) > 1 and not all(part_of_name(each.name) for each in around)):
        return None
    exact = {each.lower() for each in names}
    if all(map(part_of_name, names)) or ("train" in exact and exact & set(TEST)):
        return None
    parts = {each: part_of_name(path.parent.as_posix()) for each, path in folders.items()}
    return FolderClasses([folders[each].name for each in folder_of], [parts[each] for each in folder_of])
