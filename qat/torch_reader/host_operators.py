"""Table of the ATen operators that no layer computes, and that the host can compute by an equal ONNX operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from qat.torch_reader.call import AtenCall, AtenNode

HostOperator = Callable[[AtenCall], AtenNode | None]
"""Function that converts a call of an ATen operator to an equal ONNX node; None if the call has no equal node."""

_ELEMENTWISE: Final[Mapping[str, str]] = {
    "abs": "Abs", "ceil": "Ceil", "cos": "Cos", "erf": "Erf", "exp": "Exp", "floor": "Floor", "log": "Log",
    "neg": "Neg", "reciprocal": "Reciprocal", "round": "Round", "sigmoid": "Sigmoid", "sign": "Sign", "sin": "Sin",
    "sqrt": "Sqrt", "tanh": "Tanh",
}  # fmt: skip
"""ONNX names of the ATen operators that compute each element from one element of one tensor."""


def _elementwise(operator: str) -> HostOperator:
    return lambda call: call.onnx(operator, call.value("self"))


def _choice(operator: str) -> HostOperator:
    def convert(call: AtenCall) -> AtenNode | None:
        axis = call.arguments["dim"]
        if axis is None:
            return None
        return call.onnx(operator, call.value("self"), axis=axis, keepdims=int(call.arguments["keepdim"]))

    return convert


HOST_OPERATORS: Final[Mapping[str, HostOperator]] = {
    **{f"aten.{name}": _elementwise(operator) for name, operator in _ELEMENTWISE.items()},
    "aten.argmax": _choice("ArgMax"),
    "aten.argmin": _choice("ArgMin"),
}
"""Functions by the name of the ATen operator without its overload."""
