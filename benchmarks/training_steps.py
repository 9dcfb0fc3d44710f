"""The training steps that the benchmark of training time compares, each on one batch that stays in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own habit
from torch import Tensor, nn

from benchmarks.brevitas_network import BrevitasNetwork
from benchmarks.fused_network import FusedNetwork
from benchmarks.shares import uniform
from benchmarks.tasks import OURS
from benchmarks.trained_float_network import TrainedFloatNetwork
from network.allocation import DEFAULT_WEIGHT_SCHEME, WeightScheme
from network.memory.books import accounting_named
from network.network import Network
from qat.data.batches import tensor_of
from qat.options.chosen import ChosenOptions
from qat.options.training import ActivationRange, Precision
from qat.prepare import prepare
from qat.training.compiling import compiled
from qat.training.optimizer import new_optimizer
from qat.training.processor import computing

FLOAT: Final = "float"
OPTIONS: Final = OURS.replace(distillation=0.0)


class Step:
    """Training step of a network that can be repeated on one batch.

    Args:
        forward: The forward pass of a network, which may be compiled.
        optimizer: The optimizer of the network's parameters.
        images: The images of the batch, [n, c, h, w], on the torch device of the network.
        labels: The labels of the batch, int64 [n].
        afterwards: Function that corrects the parameters after a step.
    """

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        optimizer: torch.optim.Optimizer,
        images: Tensor,
        labels: Tensor,
        afterwards: Callable[[], None] | None = None,
    ) -> None:
        self._forward, self._optimizer, self._afterwards = forward, optimizer, afterwards
        self._images, self._labels = images, labels

    def __call__(self) -> float:
        """Perform one training step, and return its time in seconds."""
        started = time.perf_counter()
        self._optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self._forward(self._images).float(), self._labels)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation
        loss.item()
        self._optimizer.step()
        if self._afterwards is not None:
            self._afterwards()
        if self._images.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - started


def steps(
    network: Network, batch: int, processor: torch.device, *, compiles: bool, with_brevitas: bool
) -> Iterator[tuple[str, Step, bool]]:
    """Yield name, training step and whether its first call compiles, for each library; the float step comes first."""
    generator = np.random.default_rng(0)
    _, height, width = network.only_input.shape
    samples = generator.integers(0, 256, (batch, height, width, network.only_input.shape.channels), dtype=np.uint8)
    images = tensor_of(samples, network).to(processor)
    classes = network.shapes[network.outputs[0]].elements
    labels = torch.from_numpy(generator.integers(0, classes, batch)).to(processor)
    accounting = accounting_named("paper")

    def step_of(
        module: nn.Module, forward: Callable[[Tensor], Tensor] | None = None, options: ChosenOptions = OPTIONS
    ) -> Step:
        module.to(processor).train()
        optimizer = torch.optim.Adam(module.parameters(), OPTIONS.learning_rate)
        return Step(_in_precision(module if forward is None else forward, options), optimizer, images, labels)

    def ours(scheme: WeightScheme, options: ChosenOptions, *, is_compiled: bool = False) -> Step:
        module = prepare(network, uniform(network, 4, 8, accounting, scheme), samples, options).to(processor).train()
        forward = compiled(module) if is_compiled else module
        return Step(_in_precision(forward, options), new_optimizer(module, options), images, labels, module.keep_valid)

    yield FLOAT, step_of(TrainedFloatNetwork(network)), False
    default = f"{DEFAULT_WEIGHT_SCHEME}, {OPTIONS.activation_range}"
    yield default, ours(DEFAULT_WEIGHT_SCHEME, OPTIONS), False
    for scheme in WeightScheme:
        learned = OPTIONS.replace(activation_range=ActivationRange.LEARNED)
        yield f"{scheme}, {learned.activation_range}", ours(scheme, learned), False
    allocation = uniform(network, 4, 8, accounting, DEFAULT_WEIGHT_SCHEME)
    yield "PyTorch's fused operators", step_of(FusedNetwork(network, allocation, images.cpu())), False
    if with_brevitas:
        brevitas = BrevitasNetwork(network, allocation)
        brevitas.calibrate(samples)
        yield "Brevitas", step_of(brevitas), False
    narrow = OPTIONS.replace(precision=Precision.BFLOAT16)
    if processor.type == "cuda":
        yield "float, bfloat16", step_of(TrainedFloatNetwork(network), options=narrow), False
        yield f"{default}, bfloat16", ours(DEFAULT_WEIGHT_SCHEME, narrow), False
    if compiles:
        float_network = TrainedFloatNetwork(network)
        yield "float, compiled", step_of(float_network, torch.compile(float_network, dynamic=False)), True
        yield f"{default}, compiled", ours(DEFAULT_WEIGHT_SCHEME, OPTIONS, is_compiled=True), True
        if processor.type == "cuda":
            yield f"{default}, bfloat16, compiled", ours(DEFAULT_WEIGHT_SCHEME, narrow, is_compiled=True), True


def _in_precision(forward: Callable[[Tensor], Tensor], options: ChosenOptions) -> Callable[[Tensor], Tensor]:
    def narrowed(images: Tensor) -> Tensor:
        with computing(options, images.device):
            return forward(images)

    return narrowed
