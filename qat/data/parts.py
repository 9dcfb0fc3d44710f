"""What a name says about the part of a dataset: training, test, or nothing. Imports no torch."""

from __future__ import annotations

import re
from typing import Final

TRAIN: Final = frozenset({"train", "training"})
TEST: Final = ("test", "testing", "val", "validation", "valid", "dev")
"""In this order: where there are a test and a validation set, the test set is measured on, and the other left alone;
unless the test set has no labels and the other has."""


def part_of_name(name: str) -> str | None:
    """'data/train-00000-of-00002.parquet' -> 'train'; 'imagenet_val_000.tar' -> 'val'; None: neither.

    The file's own name counts before the folders that it lies in, the innermost first.
    """
    for component in reversed(name.lower().split("/")):
        for word in re.split(r"[^a-z]+", component):
            if word in TRAIN:
                return "train"
            if word in TEST:
                return word
    return None
