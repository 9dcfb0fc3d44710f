"""The command shows the samples and classes that it found."""

from __future__ import annotations

import numpy as np
import pytest

from api.cli.text.dataset import dataset_text
from qat.data.dataset import Dataset

X = np.zeros((6, 1, 1, 1), dtype=np.float32)
Y = np.array([0, 0, 0, 1, 2, 2])


PETS = """dataset pets: 6 training samples, 2 test samples, 3 classes
  cat 3 training + 0 test, dog 1 + 1, fox 2 + 1"""


@pytest.mark.parametrize(
    ("dataset", "text"),
    [
        (Dataset("pets", X, Y, X[:2], Y[3:5], ("cat", "dog", "fox")), PETS),
        (
            Dataset("one", X, Y, X, None),
            "dataset one: 6 training samples, 6 test samples, 3 classes\n  0 3 training, 1 1, 2 2",
        ),
        (Dataset("none", X, None, X, None), "dataset none: 6 training samples, 6 test samples, no labels"),
        (Dataset("far", X, Y + 2**60, X, None), "dataset far: 6 training samples, 6 test samples, targets int64"),
        (
            Dataset("doses", X, np.zeros((6, 10), np.float32), X, None),
            "dataset doses: 6 training samples, 6 test samples, targets float32 [10]",
        ),
    ],
)
def test_a_dataset_as_text(dataset: Dataset, text: str) -> None:
    assert dataset_text(dataset) == text


def test_only_the_first_classes_are_listed() -> None:
    text = dataset_text(Dataset("many", X, np.array([0, 1, 2, 3, 4, 999]), X, None))
    assert "1,000 classes" in text
    assert text.endswith("19 0, and 980 more classes")
