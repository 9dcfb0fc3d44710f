"""A loss or gradient that is not finite: where it began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from qat.quantized_network import QuantizedNetwork


class NotFinite(Exception):
    """A step whose loss or gradient is not finite; the optimizer has not taken it.

    Attributes:
        what: "loss" or "gradient".
        value: of the loss, or the norm of the gradient.
        where: in which layer it began, as a sentence's end.
    """

    def __init__(self, what: str, value: float, where: str) -> None:
        super().__init__(f"the {what} is {value}, {where}")
        self.what = what
        self.value = value
        self.where = where


@torch.no_grad()
def first_in_forward(module: QuantizedNetwork, images: Tensor) -> str | None:
    """The first layer, in the order of the schedule, whose real output is not finite on these images.

    The pass moves running statistics.
    """
    found: list[str] = []
    with _watched(module, found):
        module(images)
    return found[0] if found else None


def first_in_backward(module: QuantizedNetwork) -> str | None:
    """The first layer that the backward pass came to, the last in the schedule, whose gradient's norm is not finite."""
    for step in reversed(module.weight_steps()):
        gradients = [each.grad for each in step.parameters() if each.grad is not None]
        if not bool(torch.isfinite(torch.nn.utils.get_total_norm(gradients))):
            return step.layer.name
    return None


@contextmanager
def _watched(module: QuantizedNetwork, found: list[str]) -> Iterator[None]:
    handles = []
    for step in module.weight_steps():

        def look(_: nn.Module, __: object, output: Tensor, name: str = step.layer.name) -> None:
            if not bool(torch.isfinite(output).all()):
                found.append(name)

        handles.append(step.register_forward_hook(look))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
