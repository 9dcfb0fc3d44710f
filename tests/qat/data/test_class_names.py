"""Classes that are names, booleans or floats in Parquet files, or folders inside a tar, are numbered or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from network.errors import DatasetError
from qat.data.class_names import classes_of_folders
from qat.data.dataset import Dataset, labelled
from qat.data.opening import open_dataset
from tests.qat.data import making
from tests.qat.data.making import images

TROUBLES = Path(__file__).resolve().parents[4] / "shared" / "troubles"
SAMPLES = images()
NAMES = ("fox", "cat", "dog")  # sorted: cat, dog, fox
NUMBER = np.array([2, 0, 1])


def written(root: Path, train: pa.Array, test: pa.Array | None = None, column: str = "label") -> Path:
    """Write the samples with these labels, in small row groups."""
    root.mkdir()
    for part, x, labels in (("train", SAMPLES.train_x, train), ("test", SAMPLES.test_x, test)):
        if labels is not None:
            table = making.table(x, [0] * len(x)).drop_columns("label").append_column(column, labels)
            pq.write_table(table, root / f"{part}.parquet", row_group_size=5)
    return root


def labels_in(dataset: Dataset) -> tuple[list[int], list[int]]:
    train, test = labelled(dataset.train_y), labelled(dataset.test_y)
    assert train.dtype == test.dtype == np.int64
    return train.tolist(), test.tolist()


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=["text", "large", "encoded"]
)
def test_names_are_numbered_in_sorted_order(tmp_path: Path, kind: pa.DataType) -> None:
    named = [pa.array([NAMES[each] for each in y]).cast(kind) for y in (SAMPLES.train_y, SAMPLES.test_y)]
    dataset = open_dataset(written(tmp_path / "pets", *named))
    assert labels_in(dataset) == (NUMBER[SAMPLES.train_y].tolist(), NUMBER[SAMPLES.test_y].tolist())
    assert dataset.class_names == ("cat", "dog", "fox")


@pytest.mark.parametrize(
    "labels",
    [
        lambda y: pa.array(y.astype(np.float64)), lambda y: pa.array(y.astype(np.float16)),
        lambda y: pa.array([str(each) for each in y]), lambda y: pa.array(y.astype(np.uint8)),
    ],
    ids=["float64", "float16", "text", "uint8"],
)  # fmt: skip
def test_whole_numbers_are_class_numbers_in_any_type(tmp_path: Path, labels: Any) -> None:
    # As text, the names "10" and "9" would be sorted in another order than the numbers.
    train, test = SAMPLES.train_y + 8, SAMPLES.test_y + 8
    dataset = open_dataset(written(tmp_path / "pets", labels(train), labels(test)))
    assert labels_in(dataset) == (train.tolist(), test.tolist())
    assert dataset.class_names is None


def test_booleans_are_two_classes(tmp_path: Path) -> None:
    root = written(tmp_path / "pets", pa.array(SAMPLES.train_y > 1), pa.array(SAMPLES.test_y > 1))
    assert labels_in(open_dataset(root)) == ((SAMPLES.train_y > 1).tolist(), (SAMPLES.test_y > 1).tolist())


def test_a_column_of_whole_numbers_is_preferred(tmp_path: Path) -> None:
    root = written(tmp_path / "pets", pa.array([NAMES[each] for each in SAMPLES.train_y]))
    table = pq.read_table(root / "train.parquet").append_column("cls", pa.array(SAMPLES.train_y))
    pq.write_table(table, root / "train.parquet")
    dataset = open_dataset(root)
    assert dataset.class_names is None
    assert sorted(np.concatenate([dataset.train_y, dataset.test_y]).tolist()) == SAMPLES.train_y.tolist()


COUNT, TEST_COUNT = len(SAMPLES.train_x), len(SAMPLES.test_x)
LISTS = pa.array([[0]] * COUNT)
REFUSED: dict[str, tuple[pa.Array, pa.Array | None]] = {
    "holds the label 0.5 in its row 1; .* real numbers are not classes": (pa.array([0.0, 0.5] * (COUNT // 2)), None),
    "holds the label nan": (pa.array([float("nan")] * COUNT), None),
    "the column 'label' of 'train.parquet' holds list": (LISTS, None),
    "the column 'label' of 'train.parquet' holds date32": (pa.array([3] * COUNT, pa.int32()).cast(pa.date32()), None),
    "the column 'label' of 'train.parquet' holds binary": (pa.array([b"cat"] * COUNT, pa.binary()), None),
    "holds 1 rows without a class in row group 0": (pa.array([None] + ["cat"] * (COUNT - 1)), None),
    "holds an empty text as label": (pa.array(["", "cat"] * (COUNT // 2)), None),
    "the test set has the class 'yak'": (pa.array(["cat", "dog"] * (COUNT // 2)), pa.array(["yak"] * TEST_COUNT)),
    "the classes as names and others as numbers": (pa.array(["cat"] * COUNT), pa.array([1] * TEST_COUNT)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_a_class_is_refused(tmp_path: Path, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_dataset(written(tmp_path / "pets", *REFUSED[message]))


def test_a_column_of_nulls_is_no_label(tmp_path: Path) -> None:
    assert open_dataset(written(tmp_path / "pets", pa.nulls(COUNT), pa.nulls(TEST_COUNT))).train_y is None


@pytest.mark.skipif(not TROUBLES.is_dir(), reason="../shared/troubles is missing")
def test_the_parquet_files_of_the_troubles_are_the_same_data() -> None:
    named, numbered = (open_dataset(TROUBLES / each) for each in ("parquet_names", "parquet_numbers"))
    assert labels_in(named) == labels_in(numbered)
    assert named.class_names == ("cat", "dog", "fox")


@pytest.mark.parametrize("prefix", ["", "./", "pets/"])
def test_class_folders_inside_a_tar(tmp_path: Path, prefix: str) -> None:
    members = [
        (f"{prefix}{part}/{NAMES[label]}/{index}.png", making.encoded(pixels))
        for part, x, y in SAMPLES.parts
        for index, (pixels, label) in enumerate(zip(x, y, strict=True))
    ]
    dataset = open_dataset(making.tar_of(tmp_path / "pets.tar", members))
    assert labels_in(dataset) == (NUMBER[SAMPLES.train_y].tolist(), NUMBER[SAMPLES.test_y].tolist())
    assert dataset.class_names == ("cat", "dog", "fox")
    np.testing.assert_array_equal(dataset.test_x[:], SAMPLES.test_x)


def test_class_folders_in_shards_whose_names_state_the_part(tmp_path: Path) -> None:
    for part, x, y in SAMPLES.parts:
        members = [(f"{NAMES[label]}/{index}.png", making.encoded(x[index])) for index, label in enumerate(y)]
        making.tar_of(tmp_path / "pets" / f"{part}-0.tar", members)
    dataset = open_dataset(tmp_path / "pets")
    assert labels_in(dataset) == (NUMBER[SAMPLES.train_y].tolist(), NUMBER[SAMPLES.test_y].tolist())
    making.tar_of(tmp_path / "pets" / "test-1.tar", [("yak/1.png", making.encoded(SAMPLES.test_x[0]))])
    with pytest.raises(DatasetError, match="the test set has the class 'yak'"):
        open_dataset(tmp_path / "pets")


@pytest.mark.parametrize(
    ("folders", "classes"),
    [
        (["cat", "dog"], ["cat", "dog"]),
        (["a/cat", "a/dog"], ["cat", "dog"]),
        (["car", "bullet_train"], ["car", "bullet_train"]),
        (["train/car", "train/train", "val/train"], ["car", "train", "train"]),
        (["train", "test"], None),  # without labels
        (["train", "test", "extra"], None),
        (["images"], None),
        (["", "cat"], None),
        (["a/1", "b/2", "b/3"], None),  # folders that only divide many files
        (["../..", "../../.."], None),
    ],
)
def test_which_folders_are_classes(folders: list[str], classes: list[str] | None) -> None:
    found = classes_of_folders([f"{each}/1.png" if each else "1.png" for each in folders])
    assert (found and found.names) == classes
