"""The batches of an epoch, read, augmented and normalised, by other processes where reading them is work.

A batch depends on the seed, the epoch and its step alone: neither on how many processes there are, nor on where an
interrupted run goes on. Processes are PyTorch's DataLoader's. They are started from a fresh one ("forkserver") and not
as copies of this one: it has threads, and holds locks on files that a copy would keep. They hand over plain arrays by
pipes, not shared memory, of which containers have little.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as StepsOfTorch

from network.errors import BitbudgetError, DatasetError, RequestError, TrainingError
from network.layers import Float32Array
from network.network import Network
from qat.data.augmentation import augmented, check_augmentable, mixed, taken
from qat.data.batches import tensor_of
from qat.data.dataset import Indices, Labels, Part, Samples, SampleSource
from qat.data.images import EncodedImages
from qat.options.augmentation import AugmentationOptions

MIN_SAMPLES: Final = 2000
"""Fewer are read sooner than a process has started."""
MAX_WORKERS: Final = 16
"""As many as are started unasked; more cores than that are seldom free."""
_AHEAD: Final = 2
"""Batches that each process reads ahead."""
_AS_IT_IS: Final = AugmentationOptions()


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What one step of training takes.

    Attributes:
        images: float32 [n, c, h, w], normalised, channels next to each other in memory.
        targets: int64 [n], classes; or float32 [n, classes], the share of each class.
        indices: int64 [n], of the samples.
    """

    images: Tensor
    targets: Tensor
    indices: Indices


def training_batches(
    samples: SampleSource,
    targets: Labels | Float32Array,
    network: Network,
    batches: Sequence[Indices],
    augmentation: AugmentationOptions,
    *,
    seed: int,
    epoch: int,
    first_step: int = 0,
    workers: int | None = None,
) -> Iterator[Batch]:
    """The batches of an epoch.

    Args:
        samples: the training set; encoded images are fitted to the network (`qat.data.images.fitted`).
        targets: of every sample: int64 [n], or float32 [n, classes] shares.
        network: whose input they become.
        batches: the samples of each step (`qat.data.batches.batches_of`).
        augmentation: how samples are changed.
        seed: of the run.
        epoch: from 1.
        first_step: where an interrupted epoch goes on.
        workers: processes that read; None: as many as pay (`workers_for`).

    Raises:
        DatasetError: a sample cannot be read; names it.
        RequestError: samples that the options cannot change.
        TrainingError: a process that reads has died.
    """
    check_augmentable(samples, augmentation)
    steps = _Steps(samples, batches, augmentation, seed, epoch)
    processes = workers_for(samples, batches[first_step:], workers)
    for step, read in zip(range(first_step, len(batches)), _loaded(steps, first_step, processes), strict=True):
        generator = _generator(seed, epoch, step, "batch")
        images = tensor_of(read, network)
        if augmentation.shift or augmentation.flip:
            images = augmented(images, generator, shift=augmentation.shift, flip=augmentation.flip)
        of_batch = torch.from_numpy(targets[batches[step]])
        if augmentation.mixup:
            classes = network.shapes[network.outputs[0]].elements
            shares = of_batch if of_batch.is_floating_point() else _one_hot(of_batch, classes)
            images, of_batch = mixed(images, shares, augmentation.mixup, generator)
        yield Batch(images.contiguous(memory_format=torch.channels_last), of_batch, batches[step])


def sample_batches(samples: SampleSource, batches: Sequence[Indices], workers: int | None = None) -> Iterator[Samples]:
    """Samples as they are, a batch at a time, read ahead by other processes where that is work.

    Raises:
        DatasetError: a sample cannot be read; names it.
        TrainingError: a process that reads has died.
    """
    return _loaded(_Steps(samples, batches, _AS_IT_IS, 0, 0), 0, workers_for(samples, batches, workers))


def workers_for(samples: SampleSource, batches: Sequence[Indices], workers: int | None) -> int:
    """Processes that read: never more than cores; where nobody has said how many, none for arrays and for few samples,
    and for encoded images one for each core but one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers is not None:
        return min(workers, cores)
    source = samples.source if isinstance(samples, Part) else samples
    is_work = isinstance(source, EncodedImages) and sum(map(len, batches)) >= MIN_SAMPLES
    return max(1, min(cores - 1, MAX_WORKERS)) if is_work else 0


@dataclass(frozen=True, eq=False)
class _Failure:
    """An error that crosses processes as what it says: DataLoader would wrap a traceback around it."""

    kind: type[BitbudgetError]
    message: str


class _Steps(StepsOfTorch["Samples | _Failure"]):
    """What is read for each step."""

    def __init__(
        self,
        samples: SampleSource,
        batches: Sequence[Indices],
        augmentation: AugmentationOptions,
        seed: int,
        epoch: int,
    ) -> None:
        self._samples, self._batches, self._augmentation = samples, batches, augmentation
        self._seed, self._epoch = seed, epoch

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def recolours(self) -> bool:
        return self._augmentation.rand_augment_operations > 0

    def read(self, step: int) -> Samples:
        generator = _generator(self._seed, self._epoch, step, "samples")
        return taken(self._samples, self._batches[step], self._augmentation, generator)

    def __getitem__(self, step: int) -> Samples | _Failure:
        try:
            return self.read(step)
        except (DatasetError, RequestError) as error:
            return _Failure(type(error), str(error))


def _loaded(steps: _Steps, first_step: int, workers: int) -> Iterator[Samples]:
    if not workers:
        for step in range(first_step, len(steps)):
            yield steps.read(step)
        return
    loader: DataLoader[Any] = DataLoader(
        steps,
        batch_size=None,
        sampler=range(first_step, len(steps)),
        num_workers=workers,
        prefetch_factor=_AHEAD,
        collate_fn=_as_it_is,
        multiprocessing_context=_context(with_kornia=steps.recolours),
        generator=torch.Generator().manual_seed(0),  # else it would draw from torch's own, and move it
    )
    read = iter(loader)
    for _ in range(first_step, len(steps)):
        try:
            result = next(read)
        except RuntimeError as error:  # DataLoader's own, when one of its processes is gone
            raise TrainingError(
                f"a process that reads samples has ended: {str(error)[:200]}; with too little memory set "
                "workers to fewer, or to 0; a script that trains needs `if __name__ == '__main__':` around what it does"
            ) from error
        if isinstance(result, _Failure):
            raise result.kind(result.message)
        yield result


def _context(*, with_kornia: bool) -> multiprocessing.context.BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # What each process would import is imported once. That is also the program's own module, by Python's rules.
    program = getattr(sys.modules["__main__"], "__spec__", None)
    preloaded = ["torch", "qat.data.loader"]
    preloaded += ["kornia.augmentation.auto"] if with_kornia else []
    preloaded += [program.name] if program is not None else []
    context.set_forkserver_preload(preloaded)
    return context


def _as_it_is(read: Any) -> Any:
    return read


def _generator(seed: int, epoch: int, step: int, use: Literal["samples", "batch"]) -> np.random.Generator:
    return np.random.default_rng([seed, 2 if use == "batch" else 5, epoch, step])


def _one_hot(labels: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(labels, classes).float()
