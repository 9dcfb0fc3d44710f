"""Split folders are found by the words in their names, in wrapper folders too, and never become classes silently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from network.errors import DatasetError
from qat.data.dataset import Dataset, labelled
from qat.data.opening import open_dataset
from qat.data.parts import part_of_name
from tests.qat.data.making import NAMES, encoded, folders, images

TROUBLES = Path(__file__).resolve().parents[4] / "shared" / "troubles"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", "train"), ("training_set", "train"), ("trainset", "train"), ("TrainImages", "train"),
        ("train2017", "train"), ("TRAIN", "train"), ("data/train-00000-of-00002.parquet", "train"),
        ("imagenet_val_000.tar", "val"), ("valid", "valid"), ("test_set", "test"), ("TestSet", "test"),
        ("testing", "testing"), ("eval", "eval"), ("my.validation", "validation"), ("test/a.tar", "test"),
        ("train_test_split", None), ("train_test_split/val", "val"), ("trainer", None), ("latest", None),
        ("invalid", None), ("contest", None), ("retrained", None), ("pets", None),
    ],
)  # fmt: skip
def test_the_part_that_a_name_states(name: str, part: str | None) -> None:
    assert part_of_name(name) == part


def tree(root: Path, paths: list[str], count: int = 2) -> Path:
    """Write images into each of these folders."""
    for path in paths:
        (root / path).mkdir(parents=True)
        for index in range(count):
            pixels = np.full((8, 8, 3), (len(path) * 40 + index) % 256, dtype=np.uint8)
            (root / path / f"{index}.png").write_bytes(encoded(pixels))
    return root


def same_samples(one: Dataset, other: Dataset) -> bool:
    return all(
        np.array_equal(getattr(one, each)[:], getattr(other, each)[:])
        for each in ("train_x", "train_y", "test_x", "test_y")
    )


@pytest.mark.parametrize(
    "names",
    [
        ("training_set", "test_set"), ("Training", "Testing"), ("TrainImages", "ValImages"), ("trainset", "evalset"),
        ("train2017", "val2017"), ("pets-train", "pets-validation"), ("TRAIN", "VALID"), ("my_train_data", "dev"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wrapper", ["", "archive", "archive/train_test_split/pets"])
def test_split_folders_of_other_names_are_found(tmp_path: Path, names: tuple[str, str], wrapper: str) -> None:
    samples = images()
    expected = open_dataset(folders(tmp_path / "good", samples))
    written = folders(tmp_path / "written", samples)
    inner = tmp_path / "other" / wrapper
    inner.mkdir(parents=True)
    for old, new in zip(("train", "val"), names, strict=True):
        (written / old).rename(inner / new)
    (tmp_path / "other" / "README.txt").write_text("pets")
    dataset = open_dataset(tmp_path / "other")
    assert same_samples(dataset, expected)
    assert dataset.class_names == NAMES


def test_an_archive_that_repeats_its_folders(tmp_path: Path) -> None:
    root = tree(tmp_path, [f"{each}/{each}/{name}" for each in ("training_set", "test_set") for name in ("cat", "dog")])
    (root / "__MACOSX").mkdir()
    dataset = open_dataset(root)
    assert (dataset.class_names, len(dataset.train_x), len(dataset.test_x)) == (("cat", "dog"), 4, 4)


@pytest.mark.parametrize(
    ("paths", "classes"),
    [
        (["data/cat", "data/dog"], ("cat", "dog")),  # a wrapper around class folders
        (["train/cat", "train/dog"], ("cat", "dog")),  # only a training set
        (["apple", "train", "bus"], ("apple", "bus", "train")),  # classes of CIFAR-100
        (["bullet_train", "steam train", "car"], ("bullet_train", "car", "steam train")),
        (["valid", "invalid"], ("invalid", "valid")),
        (["train/apple", "train/train", "test/train"], ("apple", "train")),
        (["train/cat/images", "train/dog/images"], ("cat", "dog")),  # Tiny ImageNet
        (["train/cat", "test/cat", "unlabelled"], ("cat",)),
    ],
)
def test_classes(tmp_path: Path, paths: list[str], classes: tuple[str, ...]) -> None:
    dataset = open_dataset(tree(tmp_path / "pets", paths))
    assert dataset.class_names == classes
    assert sorted(set(labelled(dataset.train_y).tolist())) == list(range(len(classes)))


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["val/cat", "val/dog"], r"'pets' holds only a test set \('val'\); expected a training set too"),
        (["archive/validation_set/cat"], "holds only a test set .'archive/validation_set'"),
        (["cat/train", "cat/test", "dog/train", "dog/test"], "'pets/cat' holds folders .'test'. and no images"),
        (["part1/cat", "part1/dog", "part2/fox"], "'pets/part1' holds folders .'cat'. and no images"),
        (["train/a/cat", "train/b/dog", "test/a/cat"], "'train/a' holds folders .'cat'. and no images"),
        (["cat", "dog", "test"], "'test' has the name of a test set, and is next to the class folder 'cat'"),
        (["train_cats", "train_dogs", "test"], "'train_cats' and 'train_dogs' both have the name of a train set"),
    ],
)
def test_trees_without_a_clear_layout_are_refused(tmp_path: Path, paths: list[str], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_dataset(tree(tmp_path / "pets", paths))


@pytest.mark.skipif(not TROUBLES.is_dir(), reason="../shared/troubles is missing")
def test_the_folders_of_the_troubles_are_the_same_data() -> None:
    good, other = (open_dataset(TROUBLES / each) for each in ("folders_good", "folders_set"))
    assert same_samples(other, good)
    assert other.class_names == good.class_names == ("cat", "dog", "fox")
