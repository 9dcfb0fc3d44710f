"""Whether a training step is compiled, and how: torch.compile fuses fake quantization into its neighbours.

Compiled and plain steps round differently in the last bits. So the choice is made from the whole run's inputs and from
what the machine has, never from how much is left to do: a run that is resumed computes as it began.
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

from network.errors import TrainingError
from network.network import Network
from qat.options.names import Compile
from qat.options.training import TrainingOptions
from qat.quantized_network import QuantizedNetwork

COMPILERS: Final = ("g++", "c++", "clang++")
LEAST_MULTIPLY_ACCUMULATES: Final[Mapping[str, float]] = MappingProxyType({"cpu": 6e12, "cuda": 6e14})
"""Of a run's forward passes, on each processor: where compiling wins back its time, or nearly so in a deep network. Two
cores train on that for about ten minutes. A GPU was not measured: it is taken for a hundred times as fast."""

INDUCTOR: Final = MappingProxyType({"realize_reads_threshold": 16, "realize_opcount_threshold": 200})
"""Batch norm and fake quantization are computed anew from the convolution's sums in each loop that wants them, and what
they give is not written to memory in between. docs/benchmarks/qat.md has what a step takes."""


def compiled(module: QuantizedNetwork) -> Callable[[Tensor], Tensor]:
    """What to call in training in place of the module, whatever decides; the first call takes minutes.

    Returns:
        [n, c, h, w] images -> [n, elements] logits. One graph serves every n.
    """
    compiled_module: Callable[[Tensor], Tensor] = torch.compile(module, options=dict(INDUCTOR))

    def forward(images: Tensor) -> Tensor:
        torch._dynamo.maybe_mark_dynamic(images, 0)
        return compiled_module(images)

    return forward


def is_compiled(network: Network, options: TrainingOptions, images: int, processor: torch.device) -> bool:
    """Whether the training step of a run is compiled.

    Args:
        network: that is trained.
        options: `compile` on or off decides; auto compiles where a compiler is found and the run is long enough.
        images: that the whole run trains on, every epoch's counted.
        processor: where it trains.

    Raises:
        TrainingError: `compile` is on, and there is no compiler.
    """
    if options.compile is Compile.OFF:
        return False
    found = has_compiler(processor)
    if options.compile is Compile.ON:
        if not found:
            raise TrainingError(
                f"compile is on, but no C++ compiler is found (expected one of {', '.join(COMPILERS)} on the path, and "
                "Python's headers: apt-get install g++ python3-dev); install them, or leave compile at auto or off"
            )
        return True
    return found and images * multiply_accumulates(network) >= LEAST_MULTIPLY_ACCUMULATES[processor.type]


def has_compiler(processor: torch.device) -> bool:
    """Whether torch.compile can build what it writes: C++ for a CPU; for a GPU, Triton brings its own compiler."""
    if processor.type == "cuda":
        return bool(torch.utils._triton.has_triton())  # the only place that tells
    # What it writes is built as a module of Python, whose headers are a package of their own on many systems.
    has_headers = (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file()
    return has_headers and any(shutil.which(compiler) for compiler in COMPILERS)


def multiply_accumulates(network: Network) -> int:
    """Of one forward pass for one image."""
    return sum(layer.multiply_accumulates(network.input_shapes(layer)) for layer in network.weight_layers)
