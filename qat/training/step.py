"""One training step: forward pass, backward pass, checks for finite values, and update of the parameters by the
optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from qat.options.chosen import ChosenOptions
from qat.tasks.task_objectives import TaskObjectives
from qat.training.compiling import compiled, is_compiled
from qat.training.learning_rate import learning_rate_at
from qat.training.milestones import Milestones
from qat.training.not_finite import NotFinite, first_in_backward, first_in_forward
from qat.training.optimizer import set_learning_rate
from qat.training.oscillation import threshold_at
from qat.training.parallel import Processes
from qat.training.processor import computing
from qat.training.state import TrainingState


class TrainingStep:
    """Training step of a training run, called once for each batch.

    Args:
        state: State of the run, which each step changes.
        objectives: Objectives of the task.
        options: Training options of the run.
        milestones: Schedule of the changes of the network.
        processor: The torch device of the network.
        processes: The group of processes that train together.
        images: Number of images that the whole run trains on: samples times epochs.
        compiling: Function that returns a context for a step in which the network is compiled.
    """

    def __init__(
        self,
        state: TrainingState,
        objectives: TaskObjectives,
        options: ChosenOptions,
        milestones: Milestones,
        processor: torch.device,
        processes: Processes,
        images: int,
        compiling: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._state = state
        self._objectives = objectives
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
        """Perform one training step on a batch: forward pass, backward pass and update of the parameters.

        Args:
            images: Normalised images of this process's part of the batch, [n, channels, height, width].
            targets: Targets of the judged output, in the form that the task compares with it.
            taught: All outputs of the float network, [n, values]; None if neither the task nor distillation needs them.
            epoch: Number of the epoch, from 1.
            through_epoch: Finished share of the epoch, 0 to 1.
            share: Share of the whole batch that is in this process's part, 0 to 1.

        Returns:
            Mean training loss over the whole batch.

        Raises:
            NotFinite: If the loss or the gradient is not finite; the parameters are then unchanged.
        """
        state, options = self._state, self._options
        done = (epoch - 1 + through_epoch) / options.epochs
        self._milestones.begin_step(state, epoch, done)
        rate = learning_rate_at(options, epoch, through_epoch) * state.position.learning_rate_scale
        set_learning_rate(state.optimizer, rate)
        state.optimizer.zero_grad(set_to_none=True)
        with self._compiling() if self._is_to_be_compiled() else nullcontext():
            with computing(options, self._processor):
                outputs = self._forward(images)
            loss = self._objectives.loss(
                outputs,
                targets,
                taught,
                distillation=options.distillation,
                temperature=options.distillation_temperature,
                smoothing=options.label_smoothing,
            )
            # Gradients are averaged over the processes, whose parts of the batch may differ in size.
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
        return f"although the {what} of each layer is finite"
    return f"first in the {what} of layer '{layer}'"
