"""The two values on the quantization grid between which learned rounding chooses, for each weight of a layer.

With a weight w, the scale s and the zero point z of its grid, its bits b and a variable v (AdaRound, arXiv 2004.10568):

    soft weight     s * clamp(floor(w / s) + h(v), -z, 2^b - 1 - z)                                 equation 22
    rectified       h(v) = clamp(1.2 * sigmoid(v) - 0.1, 0, 1)                                      equation 23

v starts where the soft weight equals the float weight. A weight whose v ends at 0 or above is rounded up.

The learned weights are stored so that rounding to nearest, in training and in conversion, reproduces them: on the grid,
or as near to the float weights as a margin from the neighbouring codes allows. If the grid depends on the weights
(minimum and maximum), the smallest and the largest weight of each channel keep their codes, so that the grid does not
move.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deploy.arithmetic import top_code
from qat.options.post_training import ON_GRID
from qat.post_training.clipping import grid_depends_on_weights
from qat.post_training.effective_weights import effective_weight, set_effective_weight
from qat.quantizers.weights import across
from qat.weight_step import WeightStep


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The two values on the quantization grid, below and above, to which each weight of a layer can be rounded.

    A level is an integer multiple of the scale: code minus zero point.

    Attributes:
        step: The layer.
        weight: Effective weights of the layer, float32 [output channels, ...].
        scale: Scale s of the grid, float32 [1, 1, ...] or [output channels, 1, ...]; negative if the layer's step size
            is negative.
        lowest_level: Lowest level -z, with the shape of `scale`.
        highest_level: Highest level 2^b - 1 - z, with the shape of `scale`.
        fixed: Whether a weight must be rounded to nearest, bool with the shape of `weight`.
        grid_follows: Whether the grid depends on the weights.
    """

    step: WeightStep
    weight: Tensor
    scale: Tensor
    lowest_level: Tensor
    highest_level: Tensor
    fixed: Tensor
    grid_follows: bool

    @classmethod
    def of(cls, step: WeightStep) -> Neighbours:
        """Return the two values on the quantization grid for each of a layer's current weights.

        Args:
            step: The layer.
        """
        weight = effective_weight(step)
        grid = step.quantizer.grid(weight)
        scale, zero_point = across(grid.scale, weight), across(grid.zero_point, weight)
        fixed = weight == 0  # zero is on every grid, and a folded gain of zero allows no other value
        grid_follows = grid_depends_on_weights(step, weight)
        if grid_follows:
            rows = weight.flatten(1) if len(scale) > 1 else weight.reshape(1, -1)
            fixed_rows = fixed.view(rows.shape)
            fixed_rows.scatter_(1, rows.argmin(dim=1, keepdim=True), value=True)
            fixed_rows.scatter_(1, rows.argmax(dim=1, keepdim=True), value=True)
        return cls(step, weight, scale, -zero_point, top_code(step.bits) - zero_point, fixed, grid_follows)

    def start(self) -> Tensor:
        """Return AdaRound's variables v at which the soft weight equals the real weight, for each weight inside the
        quantization grid.
        """
        levels = self.weight / self.scale
        rest = (levels - torch.floor(levels) + 0.1) / 1.2
        return torch.log(rest / (1 - rest)).requires_grad_()

    def soft(self, variables: Tensor) -> Tensor:
        """Return AdaRound's soft weights, which are between the two neighbours on the quantization grid and have
        gradients.

        Args:
            variables: The variables v, float32 with the shape of the weights.
        """
        up = torch.where(self.fixed, self._rounds_up, rectified(variables))
        return self._on_grid(torch.floor(self.weight / self.scale) + up)

    def hard(self, variables: Tensor) -> Tensor:
        """Return the weights rounded on the quantization grid: up where the variable v is 0 or above, else down.

        Args:
            variables: The variables v, float32 with the shape of the weights.
        """
        up = torch.where(self.fixed, self._rounds_up, (variables >= 0).float())
        return self._on_grid(torch.floor(self.weight / self.scale) + up)

    def nearest(self) -> Tensor:
        """Return the weights rounded to the nearest values on the quantization grid, with ties rounded up."""
        return self._on_grid(torch.floor(self.weight / self.scale + 0.5))

    def write(self, rounded: Tensor, margin: float = ON_GRID) -> None:
        """Store weights in the layer that are quantized to the rounded ones; a channel whose quantization grid would
        change keeps its original weights.

        Args:
            rounded: Weights on the grid, float32 [output channels, ...].
            margin: Least distance of a stored weight from those that are quantized differently, in steps of the grid,
                up to 0.5, where the weights themselves are on the grid.
        """
        stored = rounded if margin == ON_GRID else self.nearest_within(rounded, margin)
        set_effective_weight(self.step, stored)
        read_back = self.step.quantizer(effective_weight(self.step)).detach()
        differs = (read_back - rounded).abs() > self.scale.abs() / 4
        moved = differs.flatten(1).any(dim=1) if len(self.scale) > 1 else differs.any().expand(len(differs))
        if moved.any():
            set_effective_weight(self.step, torch.where(across(moved, stored), self.weight, stored))

    def nearest_within(self, rounded: Tensor, margin: float) -> Tensor:
        """Return the values nearest to the float weights that keep a margin from the values of other codes.

        A weight beyond the outermost levels is clipped to them in any case: it stays there, unless it would move the
        grid. Fixed weights are on the grid.

        Args:
            rounded: Weights on the grid, float32 [output channels, ...].
            margin: The margin, in steps of the grid, below 0.5.

        Returns:
            The values to store, float32 [output channels, ...].
        """
        levels = torch.round(rounded / self.scale)
        half = ON_GRID - margin
        beyond = 0.0 if self.grid_follows else torch.inf
        lowest = torch.where(levels <= self.lowest_level, levels - beyond, levels - half)
        highest = torch.where(levels >= self.highest_level, levels + beyond, levels + half)
        within = torch.minimum(torch.maximum(self.weight / self.scale, lowest), highest) * self.scale
        return torch.where(self.fixed, rounded, within)

    @property
    def _rounds_up(self) -> Tensor:
        """For each weight, 1 if the nearest value on the quantization grid is above the weight, else 0."""
        levels = self.weight / self.scale
        return torch.floor(levels + 0.5) - torch.floor(levels)

    def _on_grid(self, levels: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(levels, self.lowest_level), self.highest_level) * self.scale


def rectified(variables: Tensor) -> Tensor:
    """Return the rectified sigmoid h(v) = clamp(1.2 * sigmoid(v) - 0.1, 0, 1) (AdaRound, arXiv 2004.10568, equation
    23).

    Args:
        variables: The variables v, float32 of any shape.
    """
    return (1.2 * torch.sigmoid(variables) - 0.1).clamp(0.0, 1.0)
