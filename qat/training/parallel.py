"""Several processes of one machine that train together, one on each GPU (or on the CPU): torch's own data parallelism.

Started by `torchrun --nproc-per-node N -m api.cli.main train ...`. Every process takes its part of each batch,
gradients are averaged, and all of them hold the same network after every step. In training each part is
normalised by its own batch statistics, as DistributedDataParallel has it; the running statistics are averaged after
every step. The first process alone validates, tests, reports and writes, and tells the others what it found.
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

LONGEST_WAIT = timedelta(days=7)
"""Of the others, while the first process validates."""

LEAST_OF_A_BATCH = 2
"""Samples that a process must get of every batch, for batch norm's statistics."""


class Processes:
    """The processes that train together.

    Attributes:
        rank: of this one, from 0.
        count: of them all.
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
        """What this process takes of each batch.

        Raises:
            TrainingError: a batch is too small to be shared.
        """
        smallest = min(len(batch) for batch in batches)
        if self.count > 1 and smallest // self.count < LEAST_OF_A_BATCH:
            raise TrainingError(
                f"a batch has {smallest} samples for {self.count} processes; expected at least {LEAST_OF_A_BATCH} for "
                "each: take a larger batch_size, or fewer processes"
            )
        return [np.array_split(batch, self.count)[self.rank] for batch in batches]

    def sharing_gradients(self, module: nn.Module, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """The forward pass, after whose backward pass every process has the gradients' mean."""
        if self.count == 1:
            return forward
        own = [self._processor.index] if self._processor.type == "cuda" else None
        shared = nn.parallel.DistributedDataParallel(
            _Forward(module, forward), device_ids=own, forward_sync_buffers=False
        )
        self._shared.append(shared)
        return shared

    def release(self) -> None:
        """Let go of what shares gradients, while there are others.

        Were its reducer the last to hold the group of processes, it would end the group's thread while that waits for
        the interpreter that the reducer keeps: for ever.
        """
        for shared in self._shared:
            del shared.reducer, shared.logger

    def total(self, value: float) -> float:
        """The sum of all processes' values."""
        if self.count == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self._processor)
        dist.all_reduce(shared)
        return float(shared.item())

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Put the mean of all processes into each tensor."""
        if self.count == 1 or not tensors:
            return
        together = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(together)
        together /= self.count
        for tensor, mean in zip(tensors, torch.split(together, [each.numel() for each in tensors]), strict=True):
            tensor.copy_(mean.reshape(tensor.shape))

    def from_first(self, ask: Callable[[], str]) -> str:
        """What the first process answers; the others wait for it, and are not asked."""
        if self.count == 1:
            return ask()
        content = np.frombuffer(ask().encode() if self.is_first else b"", dtype=np.uint8)
        size = torch.tensor([len(content)], device=self._processor)
        dist.broadcast(size, src=0)
        shared = torch.zeros(int(size.item()), dtype=torch.uint8, device=self._processor)
        if self.is_first:
            shared.copy_(torch.tensor(content))
        dist.broadcast(shared, src=0)
        return shared.cpu().numpy().tobytes().decode()

    def check_equal(self, what: str, text: str) -> None:
        """Refuse to go on where a process has something else than the first.

        Raises:
            TrainingError: in every process, if any has.
        """
        differs = self.total(float(text != self.from_first(lambda: text)))
        if differs:
            raise TrainingError(
                f"{differs:.0f} of {self.count} processes have another {what} than the first; "
                "start all of them with the same arguments and files"
            )


@contextmanager
def joined(processor: torch.device) -> Iterator[Processes]:
    """The processes that `torchrun` started, this one among them; where it started none, this one alone."""
    if process_count() == 1:
        yield Processes(processor)
        return
    dist.init_process_group("nccl" if processor.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        processes = Processes(processor, dist.get_rank(), dist.get_world_size())
        try:
            yield processes
        finally:
            processes.release()
        dist.barrier()  # the first must not leave while others still listen to it
    finally:
        dist.destroy_process_group()


class _Forward(nn.Module):
    """What DistributedDataParallel wraps: the parameters of one module, the forward pass of, maybe, a compiled one."""

    def __init__(self, module: nn.Module, forward: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.module = module
        self._forward = forward

    def forward(self, images: Tensor) -> Tensor:
        return self._forward(images)
