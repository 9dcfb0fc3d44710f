"""Text that shows which samples and classes were found in a dataset."""

from __future__ import annotations

import sys
from typing import Final

from qat.data.class_counts import ClassCounts, count_classes
from qat.data.dataset import Dataset
from qat.data.unseen import UnseenSamples
from qat.progress import Progress, Report, silent

_LISTED_CLASSES: Final = 20


def dataset_text(dataset: Dataset) -> str:
    """Return the numbers of samples and the classes or targets of a dataset, one or two lines.

    Args:
        dataset: The dataset.
    """
    if isinstance(dataset.train_x, UnseenSamples):
        return f"dataset {dataset.name}: no samples; inputs are made from the network"
    test = f"{len(dataset.test_x):,} test samples" if dataset.has_test_set else "no test set"
    found = f"dataset {dataset.name}: {len(dataset.train_x):,} training samples, {test}"
    counts = count_classes(dataset)
    if counts is None:
        targets = dataset.train_y if dataset.train_y is not None else dataset.test_y
        if targets is None:
            return f"{found}, no labels"
        dims = list(targets.shape[1:])
        return f"{found}, targets {targets.dtype}" + (f" {dims}" if dims else "")
    return f"{found}, {len(counts.names):,} classes\n  {_classes(counts)}"


def _classes(counts: ClassCounts) -> str:
    """Return the first classes, each with its number of samples: 'cat 8 training + 2 test, dog 8 + 2'."""
    figures = [
        (each.tolist(), word) for each, word in ((counts.train, "training"), (counts.test, "test")) if each is not None
    ]
    listed = [
        f"{name} " + " + ".join(f"{each[number]:,}" + (f" {word}" if number == 0 else "") for each, word in figures)
        for number, name in enumerate(counts.names[:_LISTED_CLASSES])
    ]
    more = len(counts.names) - _LISTED_CLASSES
    return ", ".join(listed) + (f", and {more:,} more classes" if more > 0 else "")


def shown_first(dataset: Dataset, report: Report) -> Report:
    """Return a callback that prints what was found in the dataset before it passes on the first progress.

    An invalid dataset is rejected before there is any progress, so its error stays the only line.

    Args:
        dataset: The dataset.
        report: Callback that shows progress; if it is silent, nothing is printed.
    """
    if report is silent:
        return report
    is_shown = False

    def show(progress: Progress) -> None:
        nonlocal is_shown
        if not is_shown:
            is_shown = True
            print(dataset_text(dataset), file=sys.stderr, flush=True)
        report(progress)

    return show
