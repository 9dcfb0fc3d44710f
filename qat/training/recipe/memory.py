"""The largest batch for which the memory of the machine suffices, as estimated before the run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import torch

from network.network import Network
from qat.training.memory_warning import training_bytes

SHARE_OF_MACHINE: Final = 0.5
"""Largest share of the torch device's memory that a training with the recipe's batch size may take. All of its memory
counts, not what is free at the moment, so that an interrupted run continues with the same batches."""

_LIMIT_FILE: Final = Path("/sys/fs/cgroup/memory.max")


def fitting_batch(network: Network, processes: int, processor: torch.device) -> int | None:
    """Return the largest batch size for which a training takes at most `SHARE_OF_MACHINE` of the memory, from 0.

    None is returned if the size of the memory is not known.

    Args:
        network: The network.
        processes: Number of processes that share each batch, on one machine; each GPU has one process.
        processor: The torch device that trains.
    """
    memory_bytes = total_memory_bytes(processor)
    if memory_bytes is None:
        return None
    devices = processes if processor.type == "cuda" else 1
    fixed, with_one = (training_bytes(network, each / devices, processes // devices) for each in (0, devices))
    return max(int((SHARE_OF_MACHINE * memory_bytes - fixed) / (with_one - fixed)), 0) * devices


def total_memory_bytes(processor: torch.device) -> int | None:
    """Return the memory of a torch device in bytes; None if it is not known.

    For a CPU, it is the memory of the machine, or the limit of the container (cgroup) if that is lower.

    Args:
        processor: The torch device.
    """
    if processor.type == "cuda":
        total: int = torch.cuda.mem_get_info(processor)[1]
        return total
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return None
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(machine, int(_LIMIT_FILE.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no container, or "max": no limit
        return machine
