"""Loader of the batches of an epoch: reads, augments and normalises samples, with worker processes where they pay off.

A batch depends on the seed, the epoch and its step only, not on the number of workers or on the step at which an
interrupted run resumes. The workers are those of PyTorch's DataLoader. They are started by a fork server and not as
copies of this process, because this process has threads and holds file locks that a copy would keep. Workers return
plain arrays through pipes instead of shared memory, which is small in containers.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from network.errors import BitbudgetError, DatasetError, RequestError, TrainingError
from network.network import Network
from qat.data.augmentation import check_augmentable, mixup, read_augmented, shift_and_flip
from qat.data.batches import contiguous, tensor_of
from qat.data.dataset import Indices, Part, Samples, SampleSource
from qat.data.images import EncodedImages
from qat.options.augmentation import AugmentationOptions

MIN_SAMPLES: Final = 2000
"""Smallest number of encoded images for which workers are started: fewer are read faster than a process starts."""
MAX_WORKERS: Final = 16
"""Largest number of workers that are started by default; more than 16 cores are seldom free."""
_PREFETCHED_BATCHES: Final = 2
"""Number of batches that each worker reads ahead."""
_NO_AUGMENTATION: Final = AugmentationOptions()


class TargetRows(Protocol):
    """Targets of a training set that are selected by an index array."""

    def __getitem__(self, selected: Indices, /) -> npt.NDArray[Any]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples and targets of one training step.

    Attributes:
        images: Normalised input, float32 [n, c, h, w], in the memory format channels last.
        targets: Targets in the form that the task compares with outputs, such as the class of each sample, int64 [n];
            if samples are mixed, the share of each class in each sample, float32 [n, classes].
        indices: Indices of the samples in the training set, int64 [n].
    """

    images: Tensor
    targets: Tensor
    indices: Indices


def training_batches(
    samples: SampleSource,
    targets: TargetRows,
    network: Network,
    batches: Sequence[Indices],
    augmentation: AugmentationOptions,
    *,
    seed: int,
    epoch: int,
    first_step: int = 0,
    workers: int | None = None,
    classes: int | None = None,
) -> Iterator[Batch]:
    """Iterate over the batches of an epoch, augmented and normalised.

    Args:
        samples: The training set; encoded images are decoded to the network's size (`qat.data.images.fitted`).
        targets: Targets of every sample in the form that the task compares with outputs; an index array selects rows.
        network: The network that reads the batches.
        batches: Sample indices of each step (`qat.data.batches.batches_of`).
        augmentation: Random changes of the samples.
        seed: Seed of the training run, a whole number from 0.
        epoch: Number of the epoch, from 1.
        first_step: Number of the first step that is returned, from 0; above 0 when an interrupted epoch resumes.
        workers: Number of worker processes; 0 reads in this process, None chooses a number (`workers_for`).
        classes: Number of classes, if the targets are classes; None if the network's only output has one value each.

    Yields:
        The batch of each step from `first_step` on.

    Raises:
        DatasetError: if a sample cannot be read; the message names the sample.
        RequestError: if the options cannot augment these samples.
        TrainingError: if a worker process has died.
    """
    check_augmentable(samples, augmentation)
    if len(network.inputs) > 1 and (augmentation.shift or augmentation.flip):
        raise RequestError(
            f"images are shifted and flipped only if they are the one input of a network; this network has "
            f"{len(network.inputs)} inputs; expected one: choose the augmentation 'none'"
        )
    steps = _Steps(samples, batches, augmentation, seed, epoch)
    processes = workers_for(samples, batches[first_step:], workers)
    for step, loaded in zip(range(first_step, len(batches)), _loaded(steps, first_step, processes), strict=True):
        generator = _generator(seed, epoch, step, "batch")
        images = tensor_of(loaded, network)
        if augmentation.shift or augmentation.flip:
            images = shift_and_flip(images, generator, shift=augmentation.shift, flip=augmentation.flip)
        batch_targets = torch.from_numpy(targets[batches[step]])
        if augmentation.mixup:
            count = network.shapes[network.outputs[0]].elements if classes is None else classes
            shares = batch_targets if batch_targets.is_floating_point() else _one_hot(batch_targets, count)
            images, batch_targets = mixup(images, shares, augmentation.mixup, generator)
        yield Batch(contiguous(images), batch_targets, batches[step])


def sample_batches(samples: SampleSource, batches: Sequence[Indices], workers: int | None = None) -> Iterator[Samples]:
    """Iterate over batches of samples without augmentation or normalisation.

    Args:
        samples: The samples that are read.
        batches: Sample indices of each batch.
        workers: Number of worker processes; 0 reads in this process, None chooses a number (`workers_for`).

    Yields:
        The samples of each batch, [n, *dims].

    Raises:
        DatasetError: if a sample cannot be read; the message names the sample.
        TrainingError: if a worker process has died.
    """
    return _loaded(_Steps(samples, batches, _NO_AUGMENTATION, 0, 0), 0, workers_for(samples, batches, workers))


def workers_for(samples: SampleSource, batches: Sequence[Indices], workers: int | None) -> int:
    """Return the number of worker processes that read samples, at most one per core.

    Args:
        samples: The samples that are read.
        batches: Sample indices of each batch.
        workers: Requested number of workers, from 0. None chooses a number: 0 for arrays and for fewer than
            `MIN_SAMPLES` samples, else the number of cores minus one, from 1 to `MAX_WORKERS`.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers is not None:
        return min(workers, cores)
    source = samples.source if isinstance(samples, Part) else samples
    pays_off = isinstance(source, EncodedImages) and sum(map(len, batches)) >= MIN_SAMPLES
    return max(1, min(cores - 1, MAX_WORKERS)) if pays_off else 0


@dataclass(frozen=True, eq=False)
class _Failure:
    """An error that a worker returns as a value, because DataLoader would add a traceback to a raised error.

    Attributes:
        kind: Class of the error.
        message: Message of the error.
    """

    kind: type[BitbudgetError]
    message: str


class _Steps(TorchDataset["Samples | _Failure"]):
    """The steps of an epoch as a torch dataset: item i is the samples of step i, or the error of reading them."""

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
    def uses_rand_augment(self) -> bool:
        """Whether RandAugment changes the samples."""
        return self._augmentation.rand_augment_operations > 0

    def read(self, step: int) -> Samples:
        """Read and augment the samples of a step.

        Args:
            step: Number of the step, from 0.

        Raises:
            DatasetError: if a sample cannot be read.
            RequestError: if the options cannot augment these samples.
        """
        generator = _generator(self._seed, self._epoch, step, "samples")
        return read_augmented(self._samples, self._batches[step], self._augmentation, generator)

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
        prefetch_factor=_PREFETCHED_BATCHES,
        collate_fn=_unchanged,
        multiprocessing_context=_context(with_kornia=steps.uses_rand_augment),
        generator=torch.Generator().manual_seed(0),  # without it, DataLoader changes the state of torch's generator
    )
    results = iter(loader)
    for _ in range(first_step, len(steps)):
        try:
            result = next(results)
        except RuntimeError as error:  # DataLoader raises it when a worker has died
            raise TrainingError(
                f"a process that reads samples has ended: {str(error)[:200]}; if memory is short, set workers to a "
                "smaller number or to 0; if you run a script, put its code under `if __name__ == '__main__':`"
            ) from error
        if isinstance(result, _Failure):
            raise result.kind(result.message)
        yield result


def _context(*, with_kornia: bool) -> multiprocessing.context.BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # The fork server imports modules once for all workers, including the main module, which multiprocessing imports.
    program = getattr(sys.modules["__main__"], "__spec__", None)
    preloaded = ["torch", "qat.data.loader"]
    preloaded += ["kornia.augmentation.auto"] if with_kornia else []
    preloaded += [program.name] if program is not None else []
    context.set_forkserver_preload(preloaded)
    return context


def _unchanged(item: Any) -> Any:
    return item


def _generator(seed: int, epoch: int, step: int, use: Literal["samples", "batch"]) -> np.random.Generator:
    return np.random.default_rng([seed, 2 if use == "batch" else 5, epoch, step])


def _one_hot(labels: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(labels, classes).float()
