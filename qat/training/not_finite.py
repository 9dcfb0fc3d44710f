"""Search for the layer in which a loss or gradient that is NaN or infinite originates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from qat.quantized_network import QuantizedNetwork


class NotFinite(Exception):
    """Error of a training step whose loss or gradient is NaN or infinite; the optimizer has not changed the parameters.

    Attributes:
        what: Name of the quantity that is not finite: "loss" or "gradient".
        value: Value of the loss, or norm of the gradient.
        where: Description of the layer in which it originates, used as the end of a message.
    """

    def __init__(self, what: str, value: float, where: str) -> None:
        super().__init__(f"the {what} is {value}, {where}")
        self.what = what
        self.value = value
        self.where = where


@torch.no_grad()
def first_in_forward(module: QuantizedNetwork, images: Tensor) -> str | None:
    """Find the first layer with weights, in schedule order, whose output contains NaN or infinity for a batch of
    images.

    The forward pass updates the running statistics.

    Args:
        module: The fake-quantized network in training mode.
        images: Normalised images, [n, channels, height, width].

    Returns:
        Name of the layer; None if all outputs are finite.
    """
    found: list[str] = []
    with _watched(module, found):
        module(images)
    return found[0] if found else None


def first_in_backward(module: QuantizedNetwork) -> str | None:
    """Find the last layer with weights, in schedule order, whose gradient norm is NaN or infinite.

    Returns:
        Name of the layer; None if all gradient norms are finite.
    """
    for step in reversed(module.weight_steps()):
        gradients = [each.grad for each in step.parameters() if each.grad is not None]
        if not bool(torch.isfinite(torch.nn.utils.get_total_norm(gradients))):
            return step.layer.name
    return None


@contextmanager
def _watched(module: QuantizedNetwork, found: list[str]) -> Iterator[None]:
    handles = []
    for step in module.weight_steps():

        def check(_: nn.Module, __: object, output: Tensor, name: str = step.layer.name) -> None:
            if not bool(torch.isfinite(output).all()):
                found.append(name)

        handles.append(step.register_forward_hook(check))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
