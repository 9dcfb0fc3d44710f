"""The one tree of errors that a caller's input can cause.

    BitbudgetError
    ├── NetworkError          a network that cannot be used as it is
    │   ├── UnreadableFile        not ONNX, not JSON, truncated, or pointing outside itself
    │   ├── UnsupportedOperator   an operator, or a form of one, outside what is read
    │   └── InvalidNetwork        cycles, dangling tensors, mismatched shapes, NaN weights
    ├── RequestError          a budget, method, option or size that makes no sense
    ├── DatasetError          data that cannot be read, or does not fit the network
    ├── ConversionError       a network that has no safe integer form
    ├── IntegerFileError      files of an integer-only network that are damaged, or contradict themselves
    └── TrainingError         a training run that cannot go on

Every message says what was expected, what came, and, where there is something, what to do. HTTP statuses and exit
codes belong to `api/` alone.
"""

from __future__ import annotations


class BitbudgetError(Exception):
    """An error in what the caller gave; the message is written for that caller."""


class NetworkError(BitbudgetError):
    """A network that cannot be used as it is."""


class UnreadableFile(NetworkError):
    """A file that is not a whole, self-contained network."""


class UnsupportedOperator(NetworkError):
    """An operator (or a form of one) that is not read; the message names the node and the operator."""


class InvalidNetwork(NetworkError):
    """A network that contradicts itself; the message names the layer or tensor."""


class RequestError(BitbudgetError):
    """A budget, method, option or size that makes no sense."""


class DatasetError(BitbudgetError):
    """Data that cannot be read, or does not fit the network it is to train."""


class ConversionError(BitbudgetError):
    """A network without a safe integer form; the message names the layer and the bound."""


class IntegerFileError(BitbudgetError):
    """Files of an integer-only network that are damaged, foreign, or contradict themselves."""


class TrainingError(BitbudgetError):
    """A training run that cannot go on."""
