"""Validation of a run's states: the integer-only network on the held-out samples, beside the float network.

On a CPU the interpreter computes its outputs. On a GPU its simulation in torch does (`qat.deployed_network`), which
computes the same integers: for a small network the interpreter takes longer than a GPU takes to train for an epoch.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np
import torch

from network.layers import Float32Array
from qat.conversion import convert
from qat.data.dataset import Indices, Samples, SampleSource
from qat.options.chosen import ChosenOptions
from qat.options.names import BestBy
from qat.quantized_network import QuantizedNetwork
from qat.tasks.float_figure import has_float_figure
from qat.tasks.meters import TaskMeter
from qat.training.best_state import Losses
from qat.training.epoch_result import EpochResult
from qat.training.evaluation import evaluation_batches, of_integers, of_module, output_values, samples_by_batch
from qat.training.judging import DEPLOYED_COST, FLOAT_COST, INTERPRETER_COST, Judge
from qat.training.reporting import Reporter
from qat.training.run_targets import RunTargets

MAX_KEPT_BYTES: Final = 2**26
"""Largest size of the float network's outputs for the held-out samples that are kept between validations."""


@dataclass(frozen=True, slots=True, eq=False)
class Validated:
    """Figures of one state on the held-out samples.

    Attributes:
        quality: Figure of the task's metric, larger for a better network. The task `anomaly` is judged by its
            signal-to-noise ratio, because the training set contains no anomalies.
        loss: Mean loss of the task.
        float_quality: Figure of the float network on the same samples; None where its own outputs are the targets.
        losses: Loss of each sample and its distance from the float network; None if states are compared by quality.
    """

    quality: float
    loss: float
    float_quality: float | None
    losses: Losses | None

    @property
    def figures(self) -> tuple[float, float]:
        """The quality and the mean loss."""
        return self.quality, self.loss

    def to_json(self, result: EpochResult) -> str:
        """Return the result of an epoch with these figures as JSON, which the first of several processes sends to the
        others.

        Args:
            result: The result, without what only this object has.
        """
        distance = None if self.losses is None else float(self.losses[1].mean())
        described = asdict(replace(result, float_distance=distance, float_quality=self.float_quality))
        return json.dumps([described, None if self.losses is None else self.losses.tolist()])


def validated_from_json(text: str) -> tuple[EpochResult, Losses | None]:
    """Return the result of an epoch, and the losses and distances of the held-out samples, from `Validated.to_json`."""
    described, losses = json.loads(text)
    return EpochResult(**described), None if losses is None else np.array(losses, dtype=np.float64)


def computes_in_torch(processor: torch.device) -> bool:
    """Return whether the held-out samples are evaluated in torch, on the torch device of the run."""
    return processor.type != "cpu"


class Validator:
    """Evaluator of a run's states on the held-out samples.

    Args:
        judge: Evaluator of networks for the task.
        samples: The training set, which contains the held-out samples.
        targets: Targets of the run.
        held_out: Indices of the held-out samples, int64 [n].
        options: Options of the run.
        reporter: Receiver of the progress.
    """

    def __init__(
        self,
        judge: Judge,
        samples: SampleSource,
        targets: RunTargets,
        held_out: Indices,
        options: ChosenOptions,
        reporter: Reporter,
    ) -> None:
        self._judge, self._samples, self._targets, self._held_out = judge, samples, targets, held_out
        self._options, self._reporter = options, reporter
        self._predict_float = of_module(judge.float_network, judge.network, judge.processor)
        self._kept: dict[int, Float32Array] = {}
        self._float_quality: float | None = None
        self._is_float_known = not has_float_figure(judge.objectives.task)

    def __call__(self, module: QuantizedNetwork, epoch: int) -> Validated:
        """Convert the fake-quantized network to an integer-only network, and evaluate that on the held-out samples.

        Args:
            module: The fake-quantized network.
            epoch: Number of the epoch, for the progress.

        Raises:
            ConversionError: If the network has no integer-only form.
        """
        judge, objectives = self._judge, self._judge.objectives
        by_losses = self._options.best_by is BestBy.LOSS
        measures_float = not self._is_float_known
        needs_float = measures_float or objectives.needs_teacher or by_losses
        in_torch = computes_in_torch(judge.processor)
        cost = (DEPLOYED_COST if in_torch else INTERPRETER_COST) + (FLOAT_COST if measures_float else 0.0)
        steps = len(evaluation_batches(judge.network, len(self._held_out)))
        self._reporter.begin("validating", epoch=epoch, steps=steps, cost=cost)
        by_interpreter = of_integers(convert(module))
        integer_only = of_module(module.deployed(), judge.network, judge.processor) if in_torch else by_interpreter
        meter = TaskMeter(objectives, with_loss=True)
        of_float = TaskMeter(objectives)
        losses: list[Losses] = []
        for indices, batch in samples_by_batch(judge.network, self._samples, self._held_out, self._reporter):
            taught = self._of_float(indices, batch) if needs_float else None
            outputs, targets = integer_only(batch), self._targets.of_training_set[indices]
            meter.add(outputs, targets, taught, None)
            if measures_float and taught is not None:
                of_float.add(taught, targets, taught, None)
            if by_losses and taught is not None:
                losses.append(self._losses(outputs, np.asarray(targets), taught))
        if measures_float:
            self._float_quality, self._is_float_known = next(iter(of_float.figures().values())), True
        quality = next(iter(meter.figures().values()))
        return Validated(quality, meter.loss, self._float_quality, np.concatenate(losses, axis=1) if losses else None)

    def _of_float(self, indices: Indices, batch: Samples) -> Float32Array:
        first = int(indices[0])
        if first in self._kept:
            return self._kept[first]
        outputs = self._predict_float(batch)
        if 4 * output_values(self._judge.network) * len(self._held_out) <= MAX_KEPT_BYTES:
            self._kept[first] = outputs
        return outputs

    def _losses(self, outputs: Float32Array, targets: np.ndarray, taught: Float32Array) -> Losses:
        """Return the loss of each sample of a batch, and its distance from the float network, [2, n]."""
        objectives = self._judge.objectives
        given, wanted, of_float = (
            torch.from_numpy(outputs).double(),
            torch.from_numpy(targets),
            torch.from_numpy(taught),
        )
        if not wanted.numel():
            wanted = objectives.main.hard_targets(objectives.main.of(of_float))
        samples = [slice(each, each + 1) for each in range(len(given))]
        losses = [float(objectives.loss(given[own], wanted[own], of_float[own])) for own in samples]
        return np.array([losses, objectives.divergences(of_float, given).numpy()], dtype=np.float64)
