"""Options of post-training quantization. This module does not import torch, so that a request is checked quickly."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import Field, StrictBool, StrictFloat, StrictInt

from network.options import Options

ON_GRID: Final = 0.5
"""Margin with which learned weights are stored as values on their quantization grid."""


class Rounding(StrEnum):
    """Rule by which a weight is rounded to one of its two neighbours on the quantization grid."""

    NEAREST = "nearest"
    """The weight is rounded to the nearer of its two neighbours on the quantization grid."""

    LEARNED = "learned"
    """The weight is rounded to the neighbour that best keeps the float network's activations, block by block of layers
    (AdaRound, arXiv 2004.10568).
    """


class PostTrainingOptions(Options):
    """Options of post-training quantization: how a network is improved without training and without labels."""

    equalization: StrictBool = Field(
        default=True,
        description="scale the channels of neighbouring layers before calibration, so that their weights have similar "
        "ranges; the float network computes the same function (arXiv 1906.04721, section 4.1, equation 11)",
    )
    rounding: Rounding = Field(
        default=Rounding.LEARNED,
        description="how weights with fewer than 8 bits are rounded; 8-bit weights are rounded to nearest. learned: "
        "to the neighbour on the quantization grid that best keeps the float network's activations (AdaRound, arXiv "
        "2004.10568, equations 21 to 25), one block of layers at a time (BRECQ, arXiv 2102.05426); weights whose "
        "scheme derives the range from their minimum and maximum are clipped first",
    )
    rounding_steps: StrictInt = Field(
        default=500,
        ge=1,
        le=1_000_000,
        description="number of optimizer steps, of 32 samples each, that learn the rounding of each block of layers",
    )
    rounding_margin: StrictFloat = Field(
        default=ON_GRID,
        ge=0.01,
        le=ON_GRID,
        description="distance, in steps of the grid, that a stored weight keeps at least from the values that would be "
        "rounded differently; within these bounds it is as near to the float weight as possible. 0.5: on the grid. It "
        "does not change the network before training: a smaller margin lets a training that follows change codes of "
        "few bits sooner",
    )
    channel_tuning: StrictBool = Field(
        default=True,
        description="learn, together with the rounding, an offset of each output channel, and a factor of each channel "
        "whose batch norm is kept (ICN); neither costs bytes or time on the device",
    )
    bias_correction: StrictBool = Field(
        default=True,
        description="compensate the mean quantization error of each output channel in its bias, or in the running mean "
        "of its batch norm (arXiv 1906.04721, section 4.2 and appendix D)",
    )
    samples: StrictInt = Field(
        default=512,
        ge=1,
        le=1_000_000,
        description="maximum number of unlabelled training samples used for learned rounding and bias correction",
    )
    seed: StrictInt = Field(
        default=0,
        ge=0,
        le=2**63 - 1,
        description="seed of the random order in which learned rounding reads the samples",
    )

    @property
    def improves(self) -> bool:
        """Whether these options enable a step after calibration: learned rounding or bias correction."""
        return self.bias_correction or self.rounding is Rounding.LEARNED


NO_POST_TRAINING: Final = PostTrainingOptions(equalization=False, rounding=Rounding.NEAREST, bias_correction=False)
"""Options with which the network stays as calibrated."""
