"""Class hierarchy of all errors that a caller's input can cause.

    BitbudgetError
    ├── NetworkError          a network that cannot be used
    │   ├── UnreadableFile        a file that is neither ONNX, TFLite nor JSON, is truncated, or refers to other files
    │   ├── UnsupportedOperator   an operator, or a form of an operator, that is not supported
    │   └── InvalidNetwork        an inconsistent network: a cycle, a dangling tensor, mismatched shapes, NaN
    ├── RequestError          a budget, method, option or size that is invalid
    ├── DatasetError          data that cannot be read, or does not match the network
    ├── ConversionError       a network that has no safe integer form
    ├── IntegerFileError      files of an integer-only network that are damaged or inconsistent
    ├── BuildError            C code that cannot be compiled or linked, or that fails on the emulated chip
    └── TrainingError         a training run that cannot continue

Every message says what was expected, what came, and, if possible, what to do. HTTP statuses and exit codes are
defined in `api/` alone.
"""

from __future__ import annotations


class BitbudgetError(Exception):
    """Base class of the errors in a caller's input; the message is written for the caller."""


class NetworkError(BitbudgetError):
    """Error of a network that cannot be used."""


class UnreadableFile(NetworkError):
    """Error of a network file that is incomplete, damaged, or not self-contained."""


class UnsupportedOperator(NetworkError):
    """Error of an ONNX operator, or of attributes of an operator, that are not supported; names node and operator."""


class InvalidNetwork(NetworkError):
    """Error of a network whose layers contradict each other; the message names the layer or tensor."""


class RequestError(BitbudgetError):
    """Error of an invalid budget, method, option or size in a request."""


class DatasetError(BitbudgetError):
    """Error of a dataset that cannot be read, or that does not match the network."""


class ConversionError(BitbudgetError):
    """Error of a network that cannot be converted safely to integers; names the layer and the exceeded bound."""


class IntegerFileError(BitbudgetError):
    """Error of files of an integer-only network that are damaged, inconsistent, or of an unsupported format."""


class BuildError(BitbudgetError):
    """Error of C code that cannot be compiled or linked for a core, or that does not end on the emulated chip."""


class TrainingError(BitbudgetError):
    """Error of a training run that cannot continue."""
