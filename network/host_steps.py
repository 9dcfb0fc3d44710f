"""Steps behind a network that the caller's program computes, because no kernel computes them on the device."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostSteps:
    """What the caller's program computes from tensors of the network to get one output of the file.

    Attributes:
        output: Name of the output in the file.
        tensors: Names of the tensors that are read: outputs of the network, and its input where it is read again.
        operators: Names of the operators, in an order in which they can run, e.g. ("Transpose", "Reshape", "Concat").
    """

    output: str
    tensors: tuple[str, ...]
    operators: tuple[str, ...]

    def __str__(self) -> str:
        counts = Counter(self.operators)
        operators = ", ".join(name if count == 1 else f"{name} ({count} times)" for name, count in counts.items())
        return f"{operators} of {' and '.join(repr(tensor) for tensor in self.tensors)}"
