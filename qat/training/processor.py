"""The torch device on which a network is trained, and the precision of its computations."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

import torch

from network.errors import TrainingError
from qat.options.training import Precision, Processor, TrainingOptions


def processor_of(options: TrainingOptions) -> torch.device:
    """Choose the torch device of this process: the CPU, or the GPU whose index is the local rank of the process.

    Raises:
        TrainingError: If training on a GPU is requested and torch finds no GPU for this process.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if options.train_on is Processor.CPU or (options.train_on is Processor.AUTO and not gpus):
        return torch.device("cpu")
    index = int(os.environ.get("LOCAL_RANK", "0"))
    if index >= gpus:
        raise TrainingError(
            f"train_on is {options.train_on} and this is process {index + 1} on this machine, but torch "
            f"{torch.__version__} finds {gpus} GPUs; expected one GPU for each process: set train_on to cpu, start "
            "fewer processes, or install a torch build with CUDA"
        )
    processor = torch.device("cuda", index)
    torch.cuda.set_device(processor)
    return processor


def computing(options: TrainingOptions, processor: torch.device) -> AbstractContextManager[object]:
    """Return a context manager in which convolutions and matrix products are computed in the
    precision of the options.
    """
    is_narrow = options.precision is Precision.BFLOAT16
    return torch.autocast(processor.type, dtype=torch.bfloat16, enabled=is_narrow)
