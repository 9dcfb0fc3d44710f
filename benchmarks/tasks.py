"""What the accuracy benchmarks train: a network, its data, and how long; see `../shared/README.md`.

`resnet8` is ResNet8 on CIFAR-10, images moved and mirrored: two epochs, thirty where there is a GPU. `dscnn` is DS-CNN
on spoken digits, as they are: ten epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import torch

from benchmarks import cifar10, networks
from network.network import Network
from network.reading import read_network
from qat.data.dataset import Dataset
from qat.options.augmentation import preset
from qat.options.training import TrainingOptions
from qat.training.fingerprint import fingerprint_of

DSCNN_FILE: Final = cifar10.SHARED / "models" / "dscnn_fsdd.onnx"
DIGITS_FILE: Final = cifar10.SHARED / "data" / "fsdd_mfcc.npz"

OURS: Final = TrainingOptions()
"""What the benchmarks call the defaults, beside `PerChannelSymLSQ`."""


@dataclass(frozen=True, eq=False)
class Task:
    """A network and the data that it learns from.

    Attributes:
        name: of the task.
        network: with its float weights.
        dataset: training and test set.
        options: how it is trained, `epochs` included.
        is_quick: three seeds everywhere cost little.
    """

    name: str
    network: Network
    dataset: Dataset
    options: TrainingOptions
    is_quick: bool

    @cached_property
    def fingerprint(self) -> str:
        """Of network and data."""
        return fingerprint_of(self.network, self.dataset)

    def shortened(self, train_images: int | None, test_images: int | None) -> Task:
        """The same with the first samples alone; None leaves all."""
        data = self.dataset
        return replace(
            self,
            dataset=replace(
                data,
                train_x=data.train_x[:train_images],
                train_y=None if data.train_y is None else data.train_y[:train_images],
                test_x=data.test_x[:test_images],
                test_y=None if data.test_y is None else data.test_y[:test_images],
            ),
        )


def resnet8() -> Task:
    """ResNet8 on CIFAR-10."""
    has_gpu = torch.cuda.is_available()
    options = OURS.replace(epochs=30 if has_gpu else 2, augmentation=preset("flip_shift"))
    return Task("resnet8", networks.resnet8(), cifar10.load(), options, is_quick=has_gpu)


def dscnn() -> Task:
    """DS-CNN on spoken digits: 2,700 recordings make small batches."""
    network = read_network(DSCNN_FILE.read_bytes(), "dscnn_fsdd")
    with np.load(DIGITS_FILE) as arrays:
        parts = [arrays[f"{part}_{what}"] for part in ("train", "test") for what in ("mfcc", "labels")]
    train_x, train_y, test_x, test_y = parts
    dataset = Dataset("fsdd", train_x, train_y.astype(np.int64), test_x, test_y.astype(np.int64))
    return Task("dscnn", network, dataset, OURS.replace(epochs=10, batch_size=32), is_quick=True)


_TASKS: Final[Mapping[str, tuple[Callable[[], Task], tuple[Path, ...]]]] = {
    "resnet8": (resnet8, (networks.RESNET8_FILE, cifar10.FILE)),
    "dscnn": (dscnn, (DSCNN_FILE, DIGITS_FILE)),
}
NAMES: Final = tuple(_TASKS)


def task_named(name: str) -> Task:
    """The task of that name.

    Raises:
        FileNotFoundError: one of its files lies elsewhere; names it.
    """
    make, files = _TASKS[name]
    for file in files:
        if not file.exists():
            raise FileNotFoundError(f"{name} needs {file.name} in ../shared/{file.parent.name}, which is not there")
    return make()
