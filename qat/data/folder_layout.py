"""Search for the split folders (train, test, ...) and the class folders of a tree of images. Imports no torch.

A folder is a split folder if its name states a part (`parts`): `train`, `training_set`, `val2017`, `TestImages`. The
names of classes can contain the same words (`bullet_train`). In doubt the content decides: a split folder can hold
folders, a class folder holds images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from network.errors import DatasetError
from qat.data.decoding import IMAGE_SUFFIXES
from qat.data.files import MAX_DEPTH, entries, files_below
from qat.data.names import printable
from qat.data.parts import TEST, part_of_name

MAX_WRAPPERS: Final = 4
"""Largest number of nested folders around the split folders or the class folders."""
_TEST_BUT_NO_CLASS: Final = ("test", "testing", "val", "validation")
"""Words that are hardly the name of a class, unlike 'train' (a vehicle) or 'valid'."""


@dataclass(frozen=True, slots=True)
class Splits:
    """Place of the parts of a dataset in a tree of images.

    Attributes:
        base: Path of the directory with the split folders or the class folders, relative to the root; "" for the root.
        folders: Path of each split folder relative to the root, by its part ('train', 'test', 'val', ...); empty if the
            dataset is not split.
    """

    base: str
    folders: dict[str, str]


def is_image(file_name: str) -> bool:
    """Whether a file name has the suffix of an image format.

    Args:
        file_name: Name of the file.
    """
    return Path(file_name).suffix.lower() in IMAGE_SUFFIXES


def subfolders(directory: Path) -> list[str]:
    """List the names of the folders in a directory, sorted.

    Args:
        directory: The directory.

    Raises:
        DatasetError: if the directory cannot be read or contains a symbolic link.
    """
    return [each.name for each in entries(directory) if each.is_dir(follow_symlinks=False)]


def images_in(directory: Path) -> list[str]:
    """List the names of the images that are directly in a directory, sorted.

    Args:
        directory: The directory.

    Raises:
        DatasetError: if the directory cannot be read or contains a symbolic link.
    """
    return [each.name for each in entries(directory) if each.is_file(follow_symlinks=False) and is_image(each.name)]


def find_splits(root: Path) -> Splits:
    """Find the split folders of a tree of images, in the root or inside folders that only wrap them.

    Args:
        root: Root directory of the tree.

    Raises:
        DatasetError: if two folders state the same part, if images of a test set are next to class folders, or if the
            tree contains a symbolic link.
    """
    base = ""
    for _ in range(MAX_WRAPPERS):
        folders = _split_folders(root, base)
        if folders:
            return Splits(base, folders)
        inner = _wrapped(root, base)
        if inner is None:
            break
        base = inner
    return Splits(base, {})


def unwrapped(root: Path, folder: str) -> str:
    """Return the path of the innermost folder that contains class folders or images, relative to the root.

    Some archives repeat a folder: `training_set/training_set/CLASS/*.jpg`.

    Args:
        root: Root directory of the tree.
        folder: Path of a folder relative to the root.

    Raises:
        DatasetError: if a directory cannot be read or contains a symbolic link.
    """
    for _ in range(MAX_WRAPPERS):
        inner = _only_folder(root, folder)
        if inner is None:
            break
        folder = inner
    return folder


def _split_folders(root: Path, base: str) -> dict[str, str]:
    listed = subfolders(root / base)
    stated = {each: part for each in listed if (part := part_of_name(each)) is not None}
    others = [each for each in listed if each not in stated]
    if others and not _are_splits(root / base, stated, others):
        return {}
    parts = {part: [each for each in stated if stated[each] == part] for part in stated.values()}
    return {part: _path(base, _folder_of_part(root / base, part, names)) for part, names in parts.items()}


def _are_splits(directory: Path, stated: dict[str, str], others: list[str]) -> bool:
    """Whether folders are split folders and not classes with such names, although other folders are next to them.

    Args:
        directory: The directory that contains the folders.
        stated: Part that the name of a folder states, by the name of the folder.
        others: Names of the folders that state no part.

    Raises:
        DatasetError: if the folder of a test set is next to class folders.
    """
    exact = {each.lower() for each in stated}
    hold_folders = any(subfolders(directory / each) for each in stated)
    has_both = "train" in stated.values() and len(set(stated.values())) > 1
    if has_both and (hold_folders or ("train" in exact and exact & set(TEST))):
        return True
    if ("train" in exact and hold_folders) or not any(_has_images(directory / each) for each in others):
        return bool(stated)
    tests = [each for each in stated if each.lower() in _TEST_BUT_NO_CLASS]
    if tests:
        raise DatasetError(
            f"'{printable(tests[0])}' has the name of a test set, and is next to the class folder "
            f"'{printable(others[0])}'; expected the class folders of the training set in a folder 'train'"
        )
    return False


def _folder_of_part(directory: Path, part: str, names: list[str]) -> str:
    """Choose the folder of a part: the only one, else the one that is named exactly so, else the one with images."""
    exact = [each for each in names if each.lower() == part]
    chosen = names if len(names) == 1 else exact or [each for each in names if _has_images(directory / each)]
    if len(chosen) > 1:
        raise DatasetError(
            f"'{printable(chosen[0])}' and '{printable(chosen[1])}' both have the name of a {part} set; rename one of "
            f"them to '{part}', or move its images into the other"
        )
    return chosen[0] if chosen else names[0]


def _wrapped(root: Path, base: str) -> str | None:
    """Return the folder that contains the whole dataset, or None if several folders contain images."""
    only = _only_folder(root, base)
    if only is not None or images_in(root / base):
        return only
    with_splits = [
        each for each in subfolders(root / base) if any(map(part_of_name, subfolders(root / _path(base, each))))
    ]
    if len(with_splits) != 1 or not _has_images(root / base / with_splits[0]):
        return None
    if any(_has_images(root / base / each) for each in subfolders(root / base) if each != with_splits[0]):
        return None
    return _path(base, with_splits[0])


def _only_folder(root: Path, base: str) -> str | None:
    """Return the only folder in a directory if it holds folders and no images, as class folders do not."""
    names = subfolders(root / base)
    if len(names) != 1 or images_in(root / base):
        return None
    inner = _path(base, names[0])
    return inner if subfolders(root / inner) and not images_in(root / inner) else None


def _has_images(directory: Path) -> bool:
    return any(is_image(each.name) for each in files_below(directory, MAX_DEPTH))


def _path(base: str, folder: str) -> str:
    return f"{base}/{folder}" if base else folder
