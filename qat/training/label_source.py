"""Source of the labels for training and evaluation: the dataset or the float network. This module does not import
torch.
"""

from __future__ import annotations

from enum import StrEnum


class LabelSource(StrEnum):
    """Source of the labels that a network's predictions are compared with: the dataset or the float network."""

    LABELS = "labels"
    """The labels that the dataset contains."""

    FLOAT_NETWORK = "float_network"
    """The classes that the float network predicts for samples without labels; accuracy is then agreement with it."""
