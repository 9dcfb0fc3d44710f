"""What a network's answers are held against. Imports no torch."""

from __future__ import annotations

from enum import StrEnum


class Truth(StrEnum):
    """What an answer is held against."""

    LABELS = "labels"
    FLOAT_NETWORK = "float_network"
    """The float network's classes, where nobody has labelled the samples: accuracy is then agreement."""
