"""Estimate of the memory that training takes, against the memory that the machine has free."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import torch

from network.network import Network
from qat.options.chosen import ChosenOptions

BYTES_PER_ACTIVATION: Final = 11.0
"""Memory of a training step for each element of an activation tensor, in bytes: the float32 values that the backward
pass needs, of which fake quantization and batch norm keep several. Measured on a CPU: 7.5 to 12 (docs/training.md)."""

BYTES_PER_WEIGHT: Final = 32.0
"""Memory for each weight, in bytes: the weight, its quantized value, gradients, the optimizer's state, copies of the
best and of the last epoch."""

SHARE_OF_FREE: Final = 0.8
"""Share of the free memory from which a training is reported, because the estimate is not exact."""

_MEMORY_FILE: Final = Path("/proc/meminfo")
_LIMIT_FILE: Final = Path("/sys/fs/cgroup/memory.max")
_USED_FILE: Final = Path("/sys/fs/cgroup/memory.current")
_STATISTICS_FILE: Final = Path("/sys/fs/cgroup/memory.stat")


def memory_warning(
    network: Network,
    options: ChosenOptions,
    samples: int,
    processes: int,
    processor: torch.device,
    free_bytes: int | None,
) -> str | None:
    """Return the warning about a training that takes more memory than is free; None if there is no reason for one.

    Args:
        network: The network.
        options: Training options of the run.
        samples: Number of samples that the network is trained on.
        processes: Number of processes that share each batch, on one machine; each GPU has one process.
        processor: The torch device that trains.
        free_bytes: Free memory of the torch device in bytes; None if it is not known.
    """
    devices = processes if processor.type == "cuda" else 1
    batch = min(options.batch_size, samples)
    fixed, needed = (training_bytes(network, each / devices, processes // devices) for each in (0, batch))
    allowed = SHARE_OF_FREE * (free_bytes or 0)
    if free_bytes is None or not options.epochs or needed <= allowed:
        return None
    fitting = int((allowed - fixed) / (needed - fixed) * batch)
    advice = (
        f"a batch_size of {fitting:,} would need {SHARE_OF_FREE:.0%} of it" if fitting > 1 else "use another machine"
    )
    return (
        f"the training will need about {needed / 2**30:.1f} GiB of memory (batch_size: {options.batch_size}, elements "
        f"of all activation tensors: {_elements(network):,} for each sample), and {free_bytes / 2**30:.1f} GiB are "
        f"free: {advice}"
    )


def training_bytes(network: Network, batch_size: float, processes: int = 1) -> int:
    """Estimate the memory that a training takes in addition to the samples and the libraries, in bytes.

    Args:
        network: The network.
        batch_size: Number of samples of a training step.
        processes: Number of processes that share each batch; each has the weights.
    """
    weights = sum(0 if layer.weight is None else layer.weight.size for layer in network.weight_layers)
    return int(BYTES_PER_ACTIVATION * batch_size * _elements(network) + BYTES_PER_WEIGHT * weights * processes)


def free_memory_bytes(processor: torch.device) -> int | None:
    """Return the free memory of a torch device in bytes; None if it is not known.

    For a CPU, it is the memory that Linux states as available, or less if a limit of the container (cgroup) is lower.

    Args:
        processor: The torch device.
    """
    if processor.type == "cuda":
        free: int = torch.cuda.mem_get_info(processor)[0]
        return free
    limits = [each for each in (_available_bytes(), _bytes_left_in_container()) if each is not None]
    return min(limits) if limits else None


def _available_bytes() -> int | None:
    try:
        for line in _MEMORY_FILE.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return None
    except (OSError, ValueError):
        names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
        if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
            return None
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _bytes_left_in_container() -> int | None:
    try:
        limit, used = (int(each.read_text(encoding="ascii")) for each in (_LIMIT_FILE, _USED_FILE))
        statistics = dict(line.split() for line in _STATISTICS_FILE.read_text(encoding="ascii").splitlines())
        return limit - used + int(statistics.get("inactive_file", 0))  # files in the cache make room
    except (OSError, ValueError):  # no container, or "max": no limit
        return None


def _elements(network: Network) -> int:
    return sum(shape.elements for shape in network.shapes.values())
