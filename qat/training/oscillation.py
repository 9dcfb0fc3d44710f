"""Detection of weights that oscillate between two codes, and freezing of these weights late in training.

The method is that of Nagel, Fournarakis, Bondarenko and Blankevoort, "Overcoming Oscillations in Quantization-Aware
Training" (arXiv 2203.11086), section 4.3. With w_t the code of a weight (minus the zero point) after step t, and m a
momentum:

    oscillation   o_t = 1 if w_t differs from w_(t-1) in the opposite direction to its previous change, else 0
    frequency     f_t = m o_t + (1 - m) f_(t-1)
    average       a_t = m w_t + (1 - m) a_(t-1)

When f_t exceeds a threshold, which decreases during training, the weight is frozen at the rounded average of its code.
After each step, the real value of a frozen weight is set to the exact value of this code, so that the quantizers need
no special case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from qat.options.chosen import ChosenOptions
from qat.quantized_network import QuantizedNetwork
from qat.quantizers.weights import across, centred_codes
from qat.training.learning_rate import falling
from qat.weight_step import WeightStep


def threshold_at(options: ChosenOptions, done: float) -> float | None:
    """Return the oscillation frequency above which weights are frozen, in oscillations per training step.

    Args:
        options: Training options of the run.
        done: Finished share of the run, 0 to 1.

    Returns:
        Oscillations per step, 0 to 1; None before the freezing starts.
    """
    start = options.freeze_oscillating_at
    if done < start or start == 1:
        return None
    through = (done - start) / (1 - start)
    return falling(options.oscillation_threshold, options.oscillation_threshold_at_end, through)


@dataclass(slots=True, eq=False)
class _WeightHistory:
    """Running statistics on how the codes of one weight tensor oscillate; each attribute has the shape of the tensor.

    Attributes:
        code: Current code minus zero point.
        direction: Sign of the last change of the code, -1 or 1; 0 before the first change.
        frequency: Running average of oscillations per step, 0 to 1.
        average: Running average of the code minus zero point.
        frozen: Whether the weight is frozen, bool.
        frozen_code: Code minus zero point at which the weight is frozen; 0 if it is not frozen.
    """

    code: Tensor
    direction: Tensor
    frequency: Tensor
    average: Tensor
    frozen: Tensor
    frozen_code: Tensor

    @classmethod
    def starting_from(cls, code: Tensor) -> Self:
        zeros = torch.zeros_like(code)
        return cls(code, zeros, zeros.clone(), code.clone(), zeros.bool(), zeros.clone())

    def follow(self, code: Tensor, momentum: float) -> None:
        change = torch.sign(code - self.code)
        oscillated = (change * self.direction < 0).to(code.dtype)
        self.frequency = self.frequency.lerp(oscillated, momentum)
        self.average = self.average.lerp(code, momentum)
        self.direction = torch.where(change == 0, self.direction, change)
        self.code = code

    def freeze(self, threshold: float) -> None:
        new = (self.frequency > threshold) & ~self.frozen
        self.frozen_code = torch.where(new, torch.floor(self.average + 0.5), self.frozen_code)
        self.frozen = self.frozen | new


class Oscillations:
    """Statistics on oscillating codes of all weight tensors of a fake-quantized network, empty until `follow` is
    called.

    Args:
        module: The fake-quantized network.
        options: Training options, which give the momentum.
    """

    def __init__(self, module: QuantizedNetwork, options: ChosenOptions) -> None:
        stored = {step.layer.name for step in module.storing_steps()}
        self._steps = {
            str(number): step for number, step in enumerate(module.weight_steps()) if step.layer.name in stored
        }
        self._momentum = options.oscillation_momentum
        self._histories: dict[str, _WeightHistory] = {}

    def forget(self) -> None:
        """Discard all oscillation statistics, because codes before and after a change of the quantizers are not
        comparable.
        """
        self._histories = {}

    @torch.no_grad()
    def follow(self, threshold: float | None) -> None:
        """Update the oscillation statistics after an optimizer step, freeze oscillating weights, and reset weights that
        are frozen.

        Args:
            threshold: Oscillations per step above which a weight is frozen, 0 to 1; None freezes no weights.
        """
        for number, step in self._steps.items():
            code, scale = _codes(step)
            history = self._histories.get(number)
            if history is None:
                self._histories[number] = _WeightHistory.starting_from(code)
                continue
            history.follow(torch.where(history.frozen, history.frozen_code, code), self._momentum)
            if threshold is not None:
                history.freeze(threshold)
                _hold(step, history, scale)

    def frozen_share(self) -> float:
        """Return the share of frozen weights among all weights of the network, 0 to 1."""
        frozen = sum(int(history.frozen.sum()) for history in self._histories.values())
        return frozen / max(sum(history.frozen.numel() for history in self._histories.values()), 1)

    def tensors(self) -> dict[str, Tensor]:
        """Return all oscillation statistics of the weights as tensors by name, so that `restore` can restore them."""
        return {
            f"{number}/{each.name}": getattr(history, each.name)
            for number, history in self._histories.items()
            for each in fields(history)
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the oscillation statistics from the tensors that `tensors` returned.

        Raises:
            KeyError, ValueError: If the statistics belong to another network.
        """
        self._histories = {}
        for number in sorted({name.partition("/")[0] for name in tensors}):
            weight = self._steps[number].learned.weight
            found = {each.name: tensors[f"{number}/{each.name}"].to(weight.device) for each in fields(_WeightHistory)}
            if any(tensor.shape != weight.shape for tensor in found.values()):
                raise ValueError(
                    f"the oscillation statistics of weight tensor {number} have another shape than the weight tensor"
                )
            self._histories[number] = _WeightHistory(**{name: tensor.clone() for name, tensor in found.items()})


def _codes(step: WeightStep) -> tuple[Tensor, Tensor]:
    """Return the codes minus zero point of a layer's weights, and their scale in a shape that
    broadcasts to the codes.
    """
    weight, grid = step.quantized_input()
    return centred_codes(weight, grid, step.bits), across(grid.scale, weight)


def _hold(step: WeightStep, history: _WeightHistory, scale: Tensor) -> None:
    """Set the real value of each frozen weight to the exact value of the code at which it is frozen."""
    learned = step.learned.weight
    wanted = history.frozen_code * scale
    if step.is_folded:
        # The quantizer rounds the weight times the channel's gain, so that the code's value is divided by the gain.
        wanted = wanted / across(step.learned.gain, learned)
    learned.copy_(torch.where(history.frozen & torch.isfinite(wanted), wanted, learned))
