"""Detection of training set and test set from the names of files and folders. Imports no torch."""

from __future__ import annotations

import re
from typing import Final

TRAIN: Final = frozenset({"train", "training"})
TEST: Final = ("test", "testing", "val", "validation", "valid", "dev")
"""Words that name a test set, in order of preference: if a dataset has both a test set and a validation set, the test
set is used and the validation set is ignored, unless only the validation set has labels."""


def part_of_name(name: str) -> str | None:
    """Return 'train', a word of `TEST`, or None for the part that a file name states.

    Examples: 'data/train-00000-of-00002.parquet' gives 'train', 'imagenet_val_000.tar' gives 'val'. The file name is
    searched first, then its folders from the innermost to the outermost.

    Args:
        name: Path of the file, with `/` as separator.
    """
    for component in reversed(name.lower().split("/")):
        for word in re.split(r"[^a-z]+", component):
            if word in TRAIN:
                return "train"
            if word in TEST:
                return word
    return None
