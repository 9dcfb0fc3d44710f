"""Weights that go to and fro between two codes, and the freezing of those late in training.

Nagel, Fournarakis, Bondarenko and Blankevoort, "Overcoming Oscillations in Quantization-Aware Training"
(arXiv 2203.11086), section 4.3. With w_t the code of a weight (less the zero point) after step t, and m a momentum:

    a turn        o_t = 1 where w_t differs from w_(t-1) in the other direction than when it last changed, else 0
    frequency     f_t = m o_t + (1 - m) f_(t-1)
    average       a_t = m w_t + (1 - m) a_(t-1)

Once f_t is above a threshold, which falls as training goes on, the weight is frozen: it stays at the code that its
average rounds to. Its real value is put into the middle of that code after every step, so that the quantizers need not
know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from qat.options.training import TrainingOptions
from qat.quantized_network import QuantizedNetwork
from qat.quantizers.weights import across, weight_steps
from qat.training.learning_rate import falling
from qat.weight_step import WeightStep


def threshold_at(options: TrainingOptions, done: float) -> float | None:
    """The frequency above which a weight is frozen when this share of the run is done; None before the freezing."""
    start = options.freeze_oscillating_at
    if done < start or start == 1:
        return None
    through = (done - start) / (1 - start)
    return falling(options.oscillation_threshold, options.oscillation_threshold_at_end, through)


@dataclass(slots=True, eq=False)
class _Weights:
    """One weight tensor's history, each tensor in its shape.

    Attributes:
        code: now, less the zero point.
        direction: of the last change of the code: -1 or 1; 0 before the first.
        frequency: of turns.
        average: of the code.
        frozen: bool.
        frozen_code: where frozen; 0 elsewhere.
    """

    code: Tensor
    direction: Tensor
    frequency: Tensor
    average: Tensor
    frozen: Tensor
    frozen_code: Tensor

    @classmethod
    def beginning(cls, code: Tensor) -> Self:
        zeros = torch.zeros_like(code)
        return cls(code, zeros, zeros.clone(), code.clone(), zeros.bool(), zeros.clone())

    def follow(self, code: Tensor, momentum: float) -> None:
        change = torch.sign(code - self.code)
        turned = (change * self.direction < 0).to(code.dtype)
        self.frequency = self.frequency.lerp(turned, momentum)
        self.average = self.average.lerp(code, momentum)
        self.direction = torch.where(change == 0, self.direction, change)
        self.code = code

    def freeze(self, threshold: float) -> None:
        new = (self.frequency > threshold) & ~self.frozen
        self.frozen_code = torch.where(new, torch.floor(self.average + 0.5), self.frozen_code)
        self.frozen = self.frozen | new


class Oscillations:
    """The history of all weight tensors of a network, empty until `follow`.

    Args:
        module: whose weights are followed.
        options: the momentum.
    """

    def __init__(self, module: QuantizedNetwork, options: TrainingOptions) -> None:
        self._steps = {str(number): step for number, step in enumerate(module.weight_steps())}
        self._momentum = options.oscillation_momentum
        self._histories: dict[str, _Weights] = {}

    def forget(self) -> None:
        """Begin anew: codes before and after do not mean the same."""
        self._histories = {}

    @torch.no_grad()
    def follow(self, threshold: float | None) -> None:
        """After a step of the optimizer: look at all weights, freeze those above the threshold, hold the frozen ones.

        Args:
            threshold: in turns per step; None freezes none.
        """
        for number, step in self._steps.items():
            code, scale = _codes(step)
            history = self._histories.get(number)
            if history is None:
                self._histories[number] = _Weights.beginning(code)
                continue
            history.follow(torch.where(history.frozen, history.frozen_code, code), self._momentum)
            if threshold is not None:
                history.freeze(threshold)
                _hold(step, history, scale)

    def frozen_share(self) -> float:
        """How many of all weights are frozen."""
        frozen = sum(int(history.frozen.sum()) for history in self._histories.values())
        return frozen / max(sum(history.frozen.numel() for history in self._histories.values()), 1)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that `restore` needs."""
        return {
            f"{number}/{each.name}": getattr(history, each.name)
            for number, history in self._histories.items()
            for each in fields(history)
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` gave.

        Raises:
            KeyError, ValueError: they are of another network.
        """
        self._histories = {}
        for number in sorted({name.partition("/")[0] for name in tensors}):
            weight = self._steps[number].learned.weight
            found = {each.name: tensors[f"{number}/{each.name}"].to(weight.device) for each in fields(_Weights)}
            if any(tensor.shape != weight.shape for tensor in found.values()):
                raise ValueError(f"a history of weights has another shape than weight tensor {number}")
            self._histories[number] = _Weights(**{name: tensor.clone() for name, tensor in found.items()})


def _codes(step: WeightStep) -> tuple[Tensor, Tensor]:
    """The codes less the zero point, and the scale beside them."""
    weight, grid = step.quantized_input()
    return weight_steps(weight, grid, step.bits), across(grid.scale, weight)


def _hold(step: WeightStep, history: _Weights, scale: Tensor) -> None:
    """Put the frozen weights into the middle of their codes."""
    learned = step.learned.weight
    wanted = history.frozen_code * scale
    if step.is_folded:
        # What is rounded is the weight times its channel's gain, and that is what the code says.
        wanted = wanted / across(step.learned.gain, learned)
    learned.copy_(torch.where(history.frozen & torch.isfinite(wanted), wanted, learned))
