"""One of several processes that train together, as `torchrun` starts it."""

from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.distributed as dist

from deploy.files import save
from qat.options.training import Compile, OptimizerKind, TrainingOptions
from tests.qat.small_problem import PER_CHANNEL_ICN, trained

OPTIONS = TrainingOptions(
    epochs=2, batch_size=31, optimizer=OptimizerKind.SGD, learning_rate=0.02, weight_decay=1e-3,
    distillation=0.5, calibration_samples=64, compile=Compile.OFF, seed=3,
)  # fmt: skip
"""Odd batch size, which two processes cannot split into equal parts."""


def run(rank: int, count: int, port: int, out: Path, options: TrainingOptions) -> None:
    """Train as one process; write the network's files to `out`, and the results of this process to `out/told`.

    The last process is in a process group already, as Ray Train starts it.
    """
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    if rank == count - 1:
        dist.init_process_group("gloo")
    out.mkdir(parents=True, exist_ok=True)
    phases: list[str] = []
    result = trained(
        options,
        PER_CHANNEL_ICN,
        report=lambda progress: phases.append(progress.phase),
        checkpoint_directory=out.parent / "checkpoints",
    )
    save(result.integer_network, out)
    losses = " ".join(f"{each.training_loss!r}" for each in result.epochs[1:])
    told = f"{losses}\n{result.accuracy}\n{result.best_epoch}\n"
    (out / "told").write_text(told)
    (out.parent / f"phases{rank}").write_text("\n".join(phases))
    assert dist.is_initialized() is (rank == count - 1), "a group is left to the one who has made it"
    if dist.is_initialized():
        dist.destroy_process_group()
