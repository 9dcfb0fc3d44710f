"""Advice for operators that no reader of files supports. The readers share it: each format gets the same answer."""

from __future__ import annotations

from typing import Final

SMOOTH_ACTIVATION: Final = (
    "the only supported activation functions are clamps: train the network with ReLU or ReLU6 instead"
)
FINAL_ACTIVATION: Final = (
    f"{SMOOTH_ACTIVATION}; at the end of the network, remove it and apply it to the output in your application"
)
ENLARGEMENT: Final = "operators that enlarge an image are not supported: remove it from the network"
PART_OF_TENSOR: Final = "no layer reads a part of a tensor: use two convolutions that each write one part"
CHOICE: Final = "remove it from the end of the network, and make the choice in the application that reads the output"
RECURRENT_LAYER: Final = "recurrent layers are not supported: use convolutions over the sequence"
