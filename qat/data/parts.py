"""Detection of training set and test set from the names of files and folders. Imports no torch."""

from __future__ import annotations

import re
from typing import Final

TRAIN: Final = ("train", "training", "trainval")
TEST: Final = ("test", "testing", "val", "validation", "valid", "dev", "eval", "evaluation")
"""Words that name a test set, in order of preference: if a dataset has both a test set and a validation set, the test
set is used and the validation set is ignored, unless only the validation set has labels."""

_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
"""Position inside 'TrainImages' where a new word begins."""
_WORD = re.compile(rf"({'|'.join((*TRAIN, *TEST))})(?:set|sets|data|images|imgs|split|folder|dir)?")


def words_of(component: str) -> list[str]:
    """Return the words in the name of a file or folder, in lower case: 'TrainImages_2' has 'train' and 'images'.

    Args:
        component: The name, without the names of the folders around it.
    """
    return [word for word in re.split(r"[^a-z]+", _CAPITAL.sub(" ", component).lower()) if word]


def part_of_name(name: str) -> str | None:
    """Return 'train', a word of `TEST`, or None for the part that a file name states.

    Examples: 'data/train-00000-of-00002.parquet' and 'TrainSet' give 'train', 'imagenet_val_000.tar' gives 'val'. The
    file name is searched first, then its folders from the innermost to the outermost. A name with a word for the
    training set and a word for the test set, such as 'train_test_split', states no part.

    Args:
        name: Path of the file, with `/` as separator.
    """
    for component in reversed(name.split("/")):
        found = [match[1] for word in words_of(component) if (match := _WORD.fullmatch(word)) is not None]
        stated = ["train" if word in TRAIN else word for word in found]
        if stated and not ("train" in stated and {"test", "testing"} & set(stated)):
            return stated[0]
    return None
