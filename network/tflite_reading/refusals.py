"""Refusal of a network: all operators that stand in the way in one message, grouped by cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from network.errors import UnsupportedOperator
from network.refusal_advice import (
    CHOICE,
    ENLARGEMENT,
    FINAL_ACTIVATION,
    PART_OF_TENSOR,
    RECURRENT_LAYER,
    SMOOTH_ACTIVATION,
)

_MAX_GROUPS: Final = 12
"""Largest number of causes that a message names."""

_STATE: Final = "state that is kept from one inference to the next is not supported: export the stateless network"
_CONTROL: Final = "branches and loops are not supported: convert the network without them"
_SQUARED: Final = "normalization by the statistics of each sample is not supported: use batch norm instead"
_CUSTOM: Final = "it is not an operator of TFLite: cut the network before it, and compute it in the application"
_FLEX: Final = "it is an operator of TensorFlow: convert the network with TFLite's own operators only"

RECURRENT: Final = (
    "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN",
    "BIDIRECTIONAL_SEQUENCE_RNN", "RNN", "SVDF",
)  # fmt: skip
"""Operators of recurrent cells."""

STATEFUL: Final = ("CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE")
"""Operators on variables."""

BRANCHING: Final = ("WHILE", "IF")
"""Operators that run another subgraph of the file; a WHILE is usually a recurrent layer."""

ADVICE: Final[Mapping[str, str]] = {
    operator: advice
    for operators, advice in (
        (" ".join(RECURRENT), RECURRENT_LAYER),
        (" ".join(STATEFUL), _STATE),
        (" ".join(BRANCHING), _CONTROL),
        ("ELU GELU HARD_SWISH LEAKY_RELU PRELU", SMOOTH_ACTIVATION),
        ("LOGISTIC TANH", FINAL_ACTIVATION),
        ("TRANSPOSE_CONV RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR DEPTH_TO_SPACE TILE", ENLARGEMENT),
        ("SPLIT SPLIT_V SLICE UNPACK GATHER", PART_OF_TENSOR),
        ("ARG_MAX ARG_MIN TOPK_V2", CHOICE),
        ("SQUARED_DIFFERENCE RSQRT L2_NORMALIZATION", _SQUARED),
    )
    for operator in operators.split()
}
"""Advice by the name of the operator; none of these operators is in `operators.OPERATORS`."""

NOT_SUPPORTED: Final = "the operator is not supported (docs/tflite.md lists those that are)"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An operator of the file that cannot be translated.

    Attributes:
        operator: Name of the operator, e.g. "CONV_2D".
        name: Name of the tensor that it writes, as text for a message.
        cause: Why it cannot be translated, and what to do.
    """

    operator: str
    name: str
    cause: str


def advice_for(operator: str) -> str:
    """Return why an operator that is not in the table is not supported, and what to do."""
    if operator.startswith("custom operator 'Flex"):
        return _FLEX
    if operator.startswith("custom operator"):
        return _CUSTOM
    return ADVICE.get(operator, NOT_SUPPORTED)


def refusal_of(refusals: Iterable[Refusal], operators_in_file: int, advice: str = "") -> UnsupportedOperator:
    """Return the error that lists all refused operators, the recurrent and custom ones first, then by number.

    Args:
        refusals: The refused operators, one or more.
        operators_in_file: Number of operators in the file.
        advice: Sentence that says what else helps; empty if there is none.
    """
    groups: dict[tuple[str, str], list[Refusal]] = {}
    for refusal in refusals:
        groups.setdefault((refusal.operator, refusal.cause), []).append(refusal)
    ordered = sorted(groups.values(), key=_rank)
    texts = [f"{len(group)} {group[0].operator} ('{group[0].name}'): {group[0].cause}" for group in ordered]
    if len(texts) > _MAX_GROUPS:
        texts = [*texts[:_MAX_GROUPS], f"{len(texts) - _MAX_GROUPS} more causes"]
    count = sum(len(group) for group in ordered)
    verb = "stands" if count == 1 else "stand"
    message = f"{count} of {operators_in_file} operators {verb} in the way: {'; '.join(texts)}"
    return UnsupportedOperator(f"{message}. {advice}" if advice else message)


def _rank(group: list[Refusal]) -> tuple[int, int]:
    operator = group[0].operator
    is_first = operator in (*RECURRENT, *STATEFUL, *BRANCHING) or operator.startswith("custom")
    return (0 if is_first else 1, -len(group))
