"""Text that shows which samples and classes were found in a dataset."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import numpy as np

from api.schemas.datasets import DatasetAnswer
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
        return _no_samples_text(dataset.name)
    targets = dataset.train_y if dataset.train_y is not None else dataset.test_y
    return _text(
        dataset.name,
        (len(dataset.train_x), len(dataset.test_x) if dataset.has_test_set else 0),
        None if targets is None else (str(targets.dtype), list(targets.shape[1:])),
        count_classes(dataset),
    )


def stored_dataset_text(answer: DatasetAnswer) -> str:
    """Return the same text about a dataset that a service stores.

    Args:
        answer: Description of the dataset by the service.
    """
    if not answer.train_samples:
        return _no_samples_text(answer.name)
    counts = None
    if answer.class_names is not None:
        train, test = (
            None if each is None else np.array(each) for each in (answer.train_class_counts, answer.test_class_counts)
        )
        counts = ClassCounts(tuple(answer.class_names), train, test)
    targets = None if answer.target_type is None else (answer.target_type, answer.target_shape or [])
    return _text(answer.name, (answer.train_samples, answer.test_samples or 0), targets, counts)


def _text(
    name: str, samples: tuple[int, int], targets: tuple[str, list[int]] | None, counts: ClassCounts | None
) -> str:
    test = f"{samples[1]:,} test samples" if samples[1] else "no test set"
    found = f"dataset {name}: {samples[0]:,} training samples, {test}"
    if counts is not None:
        return f"{found}, {len(counts.names):,} classes\n  {_classes(counts)}"
    if targets is None:
        return f"{found}, no labels"
    kind, dims = targets
    return f"{found}, targets {kind}" + (f" {dims}" if dims else "")


def _no_samples_text(name: str) -> str:
    return f"dataset {name}: no samples; inputs are made from the network"


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
    return printed_first(lambda: dataset_text(dataset), report)


def printed_first(text: Callable[[], str], report: Report) -> Report:
    """Return a callback that prints a text before it passes on the first progress.

    Args:
        text: Function that returns the text.
        report: Callback that shows progress; if it is silent, nothing is printed.
    """
    if report is silent:
        return report
    is_shown = False

    def show(progress: Progress) -> None:
        nonlocal is_shown
        if not is_shown:
            is_shown = True
            print(text(), file=sys.stderr, flush=True)
        report(progress)

    return show
