"""What trains, and in what precision."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

import torch

from network.errors import TrainingError
from qat.options.training import Precision, Processor, TrainingOptions


def processor_of(options: TrainingOptions) -> torch.device:
    """Where tensors live while training: the CPU, or a GPU; of several processes each has its own.

    Raises:
        TrainingError: a GPU is asked for, and torch finds none.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if options.train_on is Processor.CPU or (options.train_on is Processor.AUTO and not there):
        return torch.device("cpu")
    own = int(os.environ.get("LOCAL_RANK", "0"))
    if own >= there:
        raise TrainingError(
            f"train_on is {options.train_on} and this is process {own + 1} of its machine, but torch "
            f"{torch.__version__} finds {there} GPUs; take train_on cpu, fewer processes, or a torch with CUDA"
        )
    processor = torch.device("cuda", own)
    torch.cuda.set_device(processor)
    return processor


def computing(options: TrainingOptions, processor: torch.device) -> AbstractContextManager[object]:
    """While this lasts, convolutions and matrix products compute in the precision that was chosen."""
    is_narrow = options.precision is Precision.BFLOAT16
    return torch.autocast(processor.type, dtype=torch.bfloat16, enabled=is_narrow)
