"""Compilation of the training step by torch.compile, which fuses fake quantization with the operators around it.

Compiled and uncompiled steps differ in the last bits by rounding. The choice between them therefore depends only on the
inputs of the whole run and on the machine, not on the remaining work, so that a resumed run computes in the same way as
before.
"""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor
from torch.utils._triton import has_triton  # torch has no public function for this

from network.errors import TrainingError
from network.network import Network
from qat.options.chosen import ChosenOptions
from qat.options.names import Compile
from qat.quantized_network import QuantizedNetwork

COMPILERS: Final = ("g++", "c++", "clang++")
MIN_MULTIPLY_ACCUMULATES: Final[Mapping[str, float]] = MappingProxyType({"cpu": 6e12, "cuda": 6e14})
"""Smallest number of multiply-accumulates in all forward passes of a run for which compiling saves at least about as
much time as it takes, by type of torch device. Two CPU cores need about ten minutes to train with this number. The
value
for a GPU is not measured; it assumes that a GPU is a hundred times as fast."""

INDUCTOR: Final = MappingProxyType({"realize_reads_threshold": 16, "realize_opcount_threshold": 200})
"""Options of the compiler backend: each loop that reads the results of batch norm and fake quantization computes them
again from the convolution's sums, so that they are not written to memory. docs/benchmarks/qat.md has the measured time
per step."""


def compiled(module: QuantizedNetwork) -> Callable[[Tensor], Tensor]:
    """Compile the forward pass of a fake-quantized network for training; the first call of the result takes minutes.

    Returns:
        A function from images [n, channels, height, width] to logits [n, elements], compiled once for all batch sizes
        n.
    """
    compiled_module: Callable[[Tensor], Tensor] = torch.compile(module, options=dict(INDUCTOR))

    def forward(images: Tensor) -> Tensor:
        torch._dynamo.maybe_mark_dynamic(images, 0)
        return compiled_module(images)

    return forward


def is_compiled(network: Network, options: ChosenOptions, images: int, processor: torch.device) -> bool:
    """Decide whether torch.compile compiles the training step of a run.

    Args:
        network: The network.
        options: Training options, whose `compile` is on, off, or auto: compile if a compiler is found and the run is
            long enough.
        images: Number of images that the whole run trains on: samples times epochs.
        processor: The torch device that trains.

    Raises:
        TrainingError: If `compile` is on and no compiler is found.
    """
    if options.compile is Compile.OFF:
        return False
    found = has_compiler(processor)
    if options.compile is Compile.ON:
        if not found:
            raise TrainingError(
                "the option compile is on, but no C++ compiler or no Python headers are found; expected one of "
                f"{', '.join(COMPILERS)} on the path, and Python.h: install them (apt-get install g++ "
                "python3-dev), or set compile to auto or off"
            )
        return True
    return found and images * multiply_accumulates(network) >= MIN_MULTIPLY_ACCUMULATES[processor.type]


def has_compiler(processor: torch.device) -> bool:
    """Return whether the compiler that torch.compile needs is found: C++ and Python.h for a CPU, Triton for a GPU."""
    if processor.type == "cuda":
        return bool(has_triton())
    # The generated C++ is built as a Python extension, which needs headers that are a separate package on many systems.
    has_headers = (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file()
    return has_headers and any(shutil.which(compiler) for compiler in COMPILERS)


def multiply_accumulates(network: Network) -> int:
    """Count the multiply-accumulate operations of one forward pass of a network for one image."""
    return sum(layer.multiply_accumulates(network.input_shapes(layer)) for layer in network.weight_layers)
