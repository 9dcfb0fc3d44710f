"""Data-parallel training in several processes, one process for each GPU (or on the CPU).

The processes are started by `torchrun --nproc-per-node N -m api.cli.main train ...`, or by a program that has joined
them to a process group and has set the environment variables of torchrun. Each process computes its part of each
batch, gradients are averaged over the processes, and all processes have the same network after each step. As in torch's
DistributedDataParallel, each part is normalised by its own batch statistics; the running statistics are averaged after
each step. Only the first process validates, tests, reports progress and writes files; it sends its results to the
others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from network.errors import TrainingError
from qat.data.dataset import Indices
from qat.training.process_rank import process_count

PROCESS_GROUP_TIMEOUT = timedelta(days=7)
"""Time after which a training process that waits for the others fails, e.g. while the first process validates."""

MIN_SAMPLES_PER_PROCESS = 2
"""Smallest number of samples of each batch for one process, which batch-norm statistics need."""


class Processes:
    """The group of processes that train a network together.

    Args:
        processor: The torch device of this process.
        rank: Rank of this process, from 0.
        count: Number of processes, at least 1.

    Attributes:
        rank: Rank of this process, from 0.
        count: Number of processes.
    """

    def __init__(self, processor: torch.device, rank: int = 0, count: int = 1) -> None:
        self._processor = processor
        self.rank = rank
        self.count = count
        self._shared: list[nn.parallel.DistributedDataParallel] = []

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def parts_of(self, batches: Sequence[Indices]) -> list[Indices]:
        """Return the samples of each batch that this process computes.

        Args:
            batches: Indices of the samples of each batch.

        Raises:
            TrainingError: If a batch has too few samples for the number of processes.
        """
        smallest = min(len(batch) for batch in batches)
        if self.count > 1 and smallest // self.count < MIN_SAMPLES_PER_PROCESS:
            raise TrainingError(
                f"a batch has {smallest} samples for {self.count} training processes; expected at least "
                f"{MIN_SAMPLES_PER_PROCESS} samples for each process: set a larger batch_size, or start fewer "
                "processes"
            )
        return [np.array_split(batch, self.count)[self.rank] for batch in batches]

    def sharing_gradients(self, module: nn.Module, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """Return a forward pass whose backward pass averages the gradients over all processes.

        Args:
            module: The module whose parameters receive gradients.
            forward: The forward pass of the module, possibly compiled.
        """
        if self.count == 1:
            return forward
        own = [self._processor.index] if self._processor.type == "cuda" else None
        shared = nn.parallel.DistributedDataParallel(
            _Forward(module, forward), device_ids=own, forward_sync_buffers=False
        )
        self._shared.append(shared)
        return shared

    def release(self) -> None:
        """Delete the objects that average gradients, before the process group is destroyed.

        If a reducer held the last reference to the process group, its deletion would wait for the group's thread while
        it holds the interpreter lock, and the thread would wait for that lock: a deadlock.
        """
        for shared in self._shared:
            del shared.reducer, shared.logger

    def total(self, value: float) -> float:
        """Return the sum of a number over all processes."""
        if self.count == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self._processor)
        dist.all_reduce(shared)
        return float(shared.item())

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over all processes."""
        if self.count == 1 or not tensors:
            return
        together = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(together)
        together /= self.count
        for tensor, mean in zip(tensors, torch.split(together, [each.numel() for each in tensors]), strict=True):
            tensor.copy_(mean.reshape(tensor.shape))

    def from_first(self, compute: Callable[[], str]) -> str:
        """Call a function in the first process only, and return its result in all processes, which wait for it."""
        if self.count == 1:
            return compute()
        content = np.frombuffer(compute().encode() if self.is_first else b"", dtype=np.uint8)
        size = torch.tensor([len(content)], device=self._processor)
        dist.broadcast(size, src=0)
        shared = torch.zeros(int(size.item()), dtype=torch.uint8, device=self._processor)
        if self.is_first:
            shared.copy_(torch.tensor(content))
        dist.broadcast(shared, src=0)
        return shared.cpu().numpy().tobytes().decode()

    def check_equal(self, what: str, text: str) -> None:
        """Check that a text is the same in all processes that train together.

        Args:
            what: Name of what the text describes, for the message.
            text: The text of this process.

        Raises:
            TrainingError: If the text of any process differs from that of the first; raised in all processes.
        """
        differs = self.total(float(text != self.from_first(lambda: text)))
        if differs:
            raise TrainingError(
                f"{differs:.0f} of {self.count} training processes have another {what} than the first process; "
                "expected equal inputs: start all processes with the same arguments and files"
            )


@contextmanager
def joined(processor: torch.device) -> Iterator[Processes]:
    """Join the group of processes that `torchrun` started; without `torchrun`, the group consists of this process
    alone.

    A process group that this process is in already is used, and left as it is.
    """
    if process_count() == 1:
        yield Processes(processor)
        return
    is_joined = dist.is_initialized()
    if not is_joined:
        dist.init_process_group("nccl" if processor.type == "cuda" else "gloo", timeout=PROCESS_GROUP_TIMEOUT)
    try:
        processes = Processes(processor, dist.get_rank(), dist.get_world_size())
        try:
            yield processes
        finally:
            processes.release()
        dist.barrier()  # the first process must not exit while others still receive data from it
    finally:
        if not is_joined:
            dist.destroy_process_group()


class _Forward(nn.Module):
    """Module for torch's DistributedDataParallel, with the parameters of one module and a separate forward pass.

    The forward pass may be a compiled one.
    """

    def __init__(self, module: nn.Module, forward: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.module = module
        self._forward = forward

    def forward(self, images: Tensor) -> Tensor:
        return self._forward(images)
