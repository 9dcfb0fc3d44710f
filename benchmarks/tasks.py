"""The tasks of the accuracy benchmarks: a network, its data, and the number of epochs; see `../shared/README.md`.

`resnet8` is ResNet8 on CIFAR-10 with shifted and flipped images: two epochs, or thirty with a GPU. `mobilenetv2` is a
depthwise network with inverted residuals on the same images (`float_mobilenetv2.py`). `dscnn` is DS-CNN on spoken
digits without augmentation: ten epochs. `plain` is a network without batch norm on the same digits (`float_plain.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import torch

from benchmarks import cifar10, digits, float_mobilenetv2, float_plain, networks
from benchmarks.balanced_order import balanced_order
from network.network import Network
from network.reading import read_network
from qat.data.dataset import Dataset, labelled
from qat.options.augmentation import preset
from qat.options.chosen import ChosenOptions
from qat.options.names import BatchNormMode, BestBy
from qat.options.post_training import NO_POST_TRAINING
from qat.training.fingerprint import fingerprint_of

DSCNN_FILE: Final = cifar10.SHARED / "models" / "dscnn_fsdd.onnx"

OURS: Final = ChosenOptions(
    epochs=3,
    batch_size=128,
    learning_rate=3e-4,
    relative_rates=False,
    batch_norm=BatchNormMode.TRAIN,
    best_by=BestBy.QUALITY,
    post_training=NO_POST_TRAINING,
)
"""The training options of the benchmarks, in addition to the scheme `PerChannelSymLSQ`: all are given, so that figures
of different networks, budgets and methods have the same training."""


@dataclass(frozen=True, eq=False)
class Task:
    """Task of an accuracy benchmark: a network, its data, and the options of its training.

    Attributes:
        name: The name of the task.
        network: The network with its float weights.
        dataset: The training set and the test set.
        options: The options of the training, `epochs` included.
        is_quick: Whether training is fast enough for three seeds at every budget.
    """

    name: str
    network: Network
    dataset: Dataset
    options: ChosenOptions
    is_quick: bool

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint (hash) of a task's network and its data."""
        return fingerprint_of(self.network, self.dataset)

    def shortened(self, train_images: int | None, test_images: int | None) -> Task:
        """Return a task with only the first samples of its training and test sets; None keeps all samples."""
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

    def with_samples(self, samples: int) -> Task:
        """Return a task with a small training set: the first samples of `balanced_order`.

        Raises:
            ValueError: if the training set has fewer samples.
        """
        data = self.dataset
        if samples > len(data.train_x):
            raise ValueError(f"{samples} samples were asked for; {self.name} has {len(data.train_x)} to train on")
        chosen = balanced_order(labelled(data.train_y))[:samples]
        return replace(
            self, dataset=replace(data, train_x=data.train_x[chosen], train_y=labelled(data.train_y)[chosen])
        )


def resnet8() -> Task:
    """Return the benchmark task of ResNet8 on CIFAR-10."""
    return _photographs("resnet8", networks.resnet8())


def mobilenetv2() -> Task:
    """Return the benchmark task of a depthwise network with inverted residuals on CIFAR-10."""
    return _photographs("mobilenetv2", _read(float_mobilenetv2.ONNX_FILE))


def _photographs(name: str, network: Network) -> Task:
    has_gpu = torch.cuda.is_available()
    options = OURS.replace(epochs=30 if has_gpu else 2, augmentation=preset("flip_shift"))
    return Task(name, network, cifar10.load(), options, is_quick=has_gpu)


def dscnn() -> Task:
    """Return the benchmark task of DS-CNN on spoken digits, with small batches for only 2,700 recordings."""
    return _recordings("dscnn", _read(DSCNN_FILE))


def plain() -> Task:
    """Return the benchmark task of a plain convolutional network without batch norm on spoken digits."""
    return _recordings("plain", _read(float_plain.ONNX_FILE))


def _recordings(name: str, network: Network) -> Task:
    return Task(name, network, digits.load(), OURS.replace(epochs=10, batch_size=32), is_quick=True)


def _read(file: Path) -> Network:
    return read_network(file.read_bytes(), file.stem)


_TASKS: Final[Mapping[str, tuple[Callable[[], Task], tuple[Path, ...]]]] = {
    "resnet8": (resnet8, (networks.RESNET8_FILE, cifar10.FILE)),
    "dscnn": (dscnn, (DSCNN_FILE, digits.FILE)),
    "mobilenetv2": (mobilenetv2, (float_mobilenetv2.ONNX_FILE, cifar10.FILE)),
    "plain": (plain, (float_plain.ONNX_FILE, digits.FILE)),
}
NAMES: Final = tuple(_TASKS)


def task_named(name: str) -> Task:
    """Return the benchmark task (network and data) of the given name.

    Raises:
        FileNotFoundError: if one of its files is missing. The message names the file.
    """
    make, files = _TASKS[name]
    for file in files:
        if not file.exists():
            raise FileNotFoundError(f"{name} needs {file.name} in {_folder_text(file)}, which is missing")
    return make()


def _folder_text(file: Path) -> str:
    return f"../shared/{file.parent.name}" if file.is_relative_to(cifar10.SHARED) else f"benchmarks/{file.parent.name}"
