"""Source of the labels that a network is trained on and evaluated against. Imports no torch."""

from __future__ import annotations

from enum import StrEnum


class LabelSource(StrEnum):
    """Source of the labels that predictions are compared with."""

    LABELS = "labels"
    """The labels of the dataset."""

    FLOAT_NETWORK = "float_network"
    """The classes that the float network predicts, for samples without labels; accuracy is then agreement with it."""
