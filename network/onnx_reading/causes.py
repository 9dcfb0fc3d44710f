"""Causes for which nodes cannot be read, in the order in which a refusal lists them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from network.errors import UnsupportedOperator


class Cause(Enum):
    """Cause for which a node cannot be read; the value is the heading in a refusal, and the order is that of a refusal.

    First come the causes that need a new kind of layer, the most fundamental one first; last come those that another
    export can remove.
    """

    RECURRENT = "recurrent cells"
    ATTENTION = "attention"
    NORMALIZATION = "normalization by the statistics of each sample"
    CUSTOM = "operators outside the ONNX standard"
    QUANTIZED = "quantized operators"
    ENLARGEMENT = "resizing"
    TRANSPOSED_CONVOLUTION = "transposed convolution"
    PRODUCT = "products, differences or comparisons of two tensors"
    ACTIVATION = "activation functions that need a table"
    LOOKUP = "tables that an activation tensor looks up"
    SHUFFLE = "channel shuffles"
    PART = "parts of tensors"
    CHOICE = "choices among the elements of a tensor"
    SUBGRAPH = "control flow"
    INPUTS = "inputs of a form that is not supported"
    OPERATOR = "other operators"
    LAYOUT = "reshapes and transposes"
    FORM = "forms and attributes of operators"


class UnsupportedNode(UnsupportedOperator):
    """Error of one node that is valid ONNX but cannot be read.

    Args:
        text: The message, which names the node.
        cause: The cause, which groups the node with others in a refusal.
    """

    def __init__(self, text: str, cause: Cause) -> None:
        super().__init__(text)
        self.cause = cause


class TooManyElements(UnsupportedOperator):
    """Error of a file whose constants would grow too much; reading stops at once."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A node, or another property of the graph, that cannot be read.

    Attributes:
        owner: Name of the node with its operator, as in messages.
        cause: The cause.
        text: The whole message, which names the owner and says what to do.
    """

    owner: str
    cause: Cause
    text: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Value of the output of a node that cannot be read, or of a node that depends on such an output.

    Attributes:
        is_constant: Whether the value does not depend on the elements of the network's input, only on its shape.
    """

    is_constant: bool
