"""The estimate of the memory of a training, against what really was taken and against what is free."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from qat.training.memory_warning import free_memory_bytes, memory_warning, training_bytes
from tests.builders import mobilenet_v1
from tests.qat.complete_options import complete

CPU = torch.device("cpu")
NETWORK = mobilenet_v1(0.25, 96, classes=10, seed=0)
GIB = 2**30

MEASURED = """
from pathlib import Path
import numpy as np
from qat.data.dataset import Dataset, NoSamples
from qat.options.training import TrainingOptions
from qat.train import train
from qat.training.run import TrainingRun
from tests.builders import mobilenet_v1
from tests.qat.zoo import SCHEMES, allocation_of

network = mobilenet_v1(0.25, 96, classes=10, seed=0)
x = np.random.default_rng(0).normal(size=(260, 3, 96, 96)).astype(np.float32)
dataset = Dataset("x", x, None, NoSamples(x.dtype, x.shape[1:]), None)
options = TrainingOptions(epochs=1, batch_size=256, calibration_samples=4, validation_fraction=0.01, workers=0)
def peak_kib():  # ru_maxrss would begin with the peak of the process that started this one
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

before = peak_kib()
train(network, allocation_of(network, 8, SCHEMES[0]), dataset, options)
print((peak_kib() - before) * 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_estimate_is_near_the_memory_that_a_training_took() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    taken = int(done.stdout)
    assert 0.6 * taken < training_bytes(NETWORK, 256) < 1.6 * taken, f"{taken:,} bytes were taken"


def test_memory_grows_with_the_batch_and_the_weights() -> None:
    elements = sum(shape.elements for shape in NETWORK.shapes.values())
    assert training_bytes(NETWORK, 64) - training_bytes(NETWORK, 32) == pytest.approx(32 * 11 * elements, rel=1e-6)
    assert training_bytes(NETWORK, 0, 4) == 4 * training_bytes(NETWORK, 0)


def warning_with(
    free_bytes: int | None, processor: torch.device = CPU, processes: int = 1, **changes: int
) -> str | None:
    options = complete(batch_size=128).replace(**changes)
    return memory_warning(NETWORK, options, 1000, processes, processor, free_bytes)


def test_a_training_that_needs_more_than_is_free_is_reported_with_a_batch_size_that_fits() -> None:
    needed = training_bytes(NETWORK, 128)
    assert warning_with(int(1.3 * needed)) is None
    warning = warning_with(needed // 2)
    assert warning is not None
    assert (
        f"about {needed / GIB:.1f} GiB of memory (batch_size: 128, elements of all activation tensors: 259,466"
        in warning
    )
    fitting = int(warning.split("a batch_size of ")[1].split()[0])
    assert 45 <= fitting <= 51
    assert warning_with(needed // 2, batch_size=fitting) is None
    assert "use another machine" in (warning_with(1000) or "")


def test_what_is_not_known_or_not_trained_gets_no_warning() -> None:
    assert warning_with(None) is None
    assert warning_with(1000, epochs=0) is None


def test_each_gpu_has_its_part_of_the_batch() -> None:
    free = training_bytes(NETWORK, 64) * 5 // 3
    assert warning_with(free) is not None
    assert warning_with(free, torch.device("cuda"), processes=2) is None


def test_the_free_memory_is_that_of_the_machine() -> None:
    free = free_memory_bytes(CPU)
    assert free is not None
    assert 2**26 < free < 2**45
