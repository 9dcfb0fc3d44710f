"""One step of training: forward, backward, the optimizer, and what has to hold afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from qat.options.training import TrainingOptions
from qat.training.compiling import compiled, is_compiled
from qat.training.learning_rate import learning_rate_at
from qat.training.loss import training_loss
from qat.training.milestones import Milestones
from qat.training.not_finite import NotFinite, first_in_backward, first_in_forward
from qat.training.optimizer import set_learning_rate
from qat.training.oscillation import threshold_at
from qat.training.parallel import Processes
from qat.training.processor import computing
from qat.training.state import TrainingState


class TrainingStep:
    """Takes one step after the other.

    Args:
        state: that every step changes.
        options: of the run.
        milestones: of the run.
        processor: where the module's tensors are.
        processes: that take the steps together.
        images: that the whole run trains on, every epoch's counted.
        compiling: is entered around a step whose first part is that it is compiled.
    """

    def __init__(
        self,
        state: TrainingState,
        options: TrainingOptions,
        milestones: Milestones,
        processor: torch.device,
        processes: Processes,
        images: int,
        compiling: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._state = state
        self._options = options
        self._milestones = milestones
        self._processor = processor
        self._processes = processes
        self._is_compiled = is_compiled(state.module.network, options, images, processor)
        forward = compiled(state.module) if self._is_compiled else state.module
        self._forward = processes.sharing_gradients(state.module, forward)
        self._compiling = compiling
        self._compiled_forms: set[tuple[object, ...]] = set()

    def __call__(
        self, images: Tensor, targets: Tensor, taught: Tensor | None, *, epoch: int, through_epoch: float, share: float
    ) -> float:
        """Take a step.

        Args:
            images: [n, c, h, w], normalised, this process's part of the batch.
            targets: int64 [n] or float32 [n, classes].
            taught: the float network's logits, [n, classes], if they are learned from.
            epoch: from 1.
            through_epoch: the share of it that is done.
            share: this part's of the whole batch.

        Returns:
            The loss, averaged over the whole batch.

        Raises:
            NotFinite: the loss or the gradient; nothing is learned from it.
        """
        state, options = self._state, self._options
        done = (epoch - 1 + through_epoch) / options.epochs
        self._milestones.begin_step(state, epoch, done)
        rate = learning_rate_at(options, epoch, through_epoch) * state.position.learning_rate_scale
        set_learning_rate(state.optimizer, rate)
        state.optimizer.zero_grad(set_to_none=True)
        with self._compiling() if self._is_to_be_compiled() else nullcontext():
            with computing(options, self._processor):
                logits = self._forward(images)
            loss = training_loss(logits, targets, taught, options)
            # Gradients are averaged over processes, whose parts need not be equal.
            (loss * (share * self._processes.count)).backward()  # type: ignore[no-untyped-call]  # torch's own
        value = self._processes.total(loss.item() * share)
        norm = self._gradient_norm()
        if not math.isfinite(value):
            raise NotFinite("loss", value, _where(first_in_forward(state.module, images), "output"))
        if not math.isfinite(norm):
            raise NotFinite("gradient", norm, _where(first_in_backward(state.module), "gradient"))
        state.optimizer.step()
        self._processes.average(self._moving_statistics())
        if self._milestones.follows_oscillations(epoch):
            state.oscillations.follow(threshold_at(options, done))
        return value

    def _is_to_be_compiled(self) -> bool:
        if not self._is_compiled:
            return False
        form = self._state.module.form
        is_new = form not in self._compiled_forms
        self._compiled_forms.add(form)
        return is_new

    def _moving_statistics(self) -> list[Tensor]:
        moving = [
            step.learned
            for step in self._state.module.weight_steps()
            if step.learned.has_batch_norm and not step.is_frozen and not step.is_folded
        ]
        return [statistic for learned in moving for statistic in (learned.mean, learned.variance)]

    def _gradient_norm(self) -> float:
        gradients = [each.grad for each in self._state.module.parameters() if each.grad is not None]
        return float(torch.nn.utils.get_total_norm(gradients).item())


def _where(layer: str | None, what: str) -> str:
    if layer is None:
        return f"though each layer's {what} alone is finite"
    return f"first in the {what} of layer '{layer}'"
