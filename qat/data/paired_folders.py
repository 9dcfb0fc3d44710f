"""Reader of image folders with a mask or a target image for each image, or without targets. Imports no torch.

train/images/*.jpg  train/masks/*.png  test/images/*.jpg  test/masks/*.png      or
images/train/*.jpg  masks/train/*.png  ...                                       or
noisy/*.png         clean/*.png        (some images are held out as the test set)
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from network.errors import DatasetError
from qat.data.dataset import Dataset, SampleSource, TargetSource
from qat.data.decoding import opened_image
from qat.data.encoded_store import EncodedStore, FolderStore, StorePart
from qat.data.files import opened
from qat.data.holding_out import hold_out
from qat.data.images import EncodedImages
from qat.data.names import names_of, printable, some_of
from qat.data.paired_images import EncodedTargets, TargetKind, are_black_and_white, fit_together
from qat.data.pairing import Pairs
from qat.data.parts import TEST

_CHECKED_PAIRS: Final = 2000
"""Largest number of pairs whose extents are compared when the dataset is opened; the others are when they are read."""


def open_pairs(root: Path, name: str, parts: dict[str | None, Pairs]) -> Dataset:
    """Read the dataset of images and their targets.

    Args:
        root: Root directory of the tree.
        name: Name of the dataset in reports.
        parts: Images and targets of each part (`pairing.find_pairs`).

    Raises:
        DatasetError: if there is only a test set, some images state no part and others do, the sets have two kinds of
            targets, a mask has another extent than its image, or a file cannot be read.
    """
    tests = [parts[each] for each in TEST if each in parts]
    if None in parts and len(parts) > 1:
        if "train" in parts:
            raise DatasetError(
                f"the folder of '{printable(parts[None].images[0])}' names no part of the dataset, and other folders "
                "do; expected all images in folders that name 'train' or 'test'"
            )
        parts = {**parts, "train": parts[None]}
    if "train" not in parts and tests:
        raise DatasetError(
            f"'{name}' holds only a test set ('{printable(tests[0].images[0])}'); expected a training set too, in a "
            "folder 'train'"
        )
    kinds = {each.kind for each in parts.values() if each.kind is not None}
    if len(kinds) > 1:
        raise DatasetError(f"'{name}' has masks in one part and target images in another; expected one kind of targets")
    for each in parts.values():
        _check_extents(root, each)
    if not tests:
        return _with_held_out_test_set(root, name, parts["train"] if "train" in parts else parts[None])
    train = parts["train"]
    test = next((each for each in tests if each.targets is not None), tests[0])
    is_black_and_white = _are_black_and_white(root, train if train.targets is not None else test)
    train_x, train_y = _sources(*_stores(root, train), train.kind, is_black_and_white=is_black_and_white)
    test_x, test_y = _sources(*_stores(root, test), test.kind, is_black_and_white=is_black_and_white)
    return Dataset(name, train_x, train_y, test_x, test_y)


def _with_held_out_test_set(root: Path, name: str, pairs: Pairs) -> Dataset:
    images, targets = _stores(root, pairs)
    is_black_and_white = _are_black_and_white(root, pairs)
    parts = []
    for indices in hold_out(len(images), pairs.images.__getitem__, None, name):
        of_part = None if targets is None else StorePart(targets, indices)
        part = StorePart(images, indices)
        parts.append(_sources(part, of_part, pairs.kind, is_black_and_white=is_black_and_white))
    (train_x, train_y), (test_x, test_y) = parts
    return Dataset(name, train_x, train_y, test_x, test_y)


def _stores(root: Path, pairs: Pairs) -> tuple[FolderStore, FolderStore | None]:
    targets = None if pairs.targets is None else FolderStore(root, names_of(pairs.targets))
    return FolderStore(root, names_of(pairs.images)), targets


def _sources(
    images: EncodedStore, targets: EncodedStore | None, kind: TargetKind | None, *, is_black_and_white: bool
) -> tuple[SampleSource, TargetSource | None]:
    if targets is None or kind is None:
        return EncodedImages(images), None
    return EncodedImages(images), EncodedTargets(targets, images, kind, is_black_and_white)


def _are_black_and_white(root: Path, pairs: Pairs) -> bool:
    masks = _stores(root, pairs)[1]
    return masks is not None and pairs.kind is TargetKind.MASK and are_black_and_white(masks)


def _check_extents(root: Path, pairs: Pairs) -> None:
    if pairs.targets is None or pairs.kind is None:
        return
    count = len(pairs.images)
    checked = np.linspace(0, count - 1, min(count, _CHECKED_PAIRS)).astype(int).tolist()
    wrong = []
    for index in checked:
        image, target = pairs.images[index], pairs.targets[index]
        extents = _extent(root, image), _extent(root, target)
        if not fit_together(pairs.kind, *extents):
            wrong.append((image, target, *extents))
    if not wrong:
        return
    listed = [
        f"'{printable(target)}' {at[0]} x {at[1]} and '{printable(image)}' {of[0]} x {of[1]}"
        for image, target, of, at in wrong
    ]
    wanted = "the extent" if pairs.kind is TargetKind.MASK else "the ratio of width to height"
    raise DatasetError(
        f"{len(wrong)} of {len(checked)} checked {pairs.kind}s have another extent than their images: "
        f"{some_of(listed)}; expected {wanted} of the image"
    )


def _extent(root: Path, path: str) -> tuple[int, int]:
    with opened(root / path) as file, opened_image(file, printable(path)) as image:
        return image.size
