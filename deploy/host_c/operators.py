"""Table of the ONNX operators that `NAME_host.c` computes.

To support another operator, add a row to `FORMS`: a function that appends C to the writer and returns the views of the
operator's outputs. It raises `NoForm` or `NoLine` for a form that C does not compute; then the file computes what
comes before, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from deploy.host_c.elementwise import (
    cast,
    clip,
    compared_form,
    divided,
    logical_form,
    powered,
    prelu,
    real_form,
    relu,
    same_form,
    signed_form,
    where,
)
from deploy.host_c.movements import (
    concat,
    expand,
    flatten,
    gather,
    reshape,
    shape_of,
    sliced,
    split,
    squeeze,
    transpose,
    unchanged,
    unsqueeze,
)
from deploy.host_c.reductions import arg_form, matmul_form, reduction_form, softmax_form, top_k_form
from deploy.host_c.writer import Form

FORMS: Final[Mapping[str, Form]] = {
    "Abs": signed_form("fabsf(a)", "a < 0 ? -a : a"),
    "Add": same_form("a + b"),
    "And": logical_form("a && b"),
    "ArgMax": arg_form(">"),
    "ArgMin": arg_form("<"),
    "Cast": cast,
    "Ceil": real_form("ceilf(a)"),
    "Clip": clip,
    "Concat": concat,
    "Div": divided,
    "Dropout": unchanged,
    "Elu": real_form("a > 0.0f ? a : {alpha} * expm1f(a)", alpha=1.0),
    "Equal": compared_form("a == b"),
    "Exp": real_form("expf(a)"),
    "Expand": expand,
    "Flatten": flatten,
    "Floor": real_form("floorf(a)"),
    "Gather": gather,
    "Greater": compared_form("a > b"),
    "GreaterOrEqual": compared_form("a >= b"),
    "HardSigmoid": real_form("fminf(fmaxf({alpha} * a + {beta}, 0.0f), 1.0f)", alpha=0.2, beta=0.5),
    "HardSwish": real_form("a * fminf(fmaxf(a / 6.0f + 0.5f, 0.0f), 1.0f)"),
    "Identity": unchanged,
    "LeakyRelu": real_form("a > 0.0f ? a : {alpha} * a", alpha=0.01),
    "Less": compared_form("a < b"),
    "LessOrEqual": compared_form("a <= b"),
    "Log": real_form("logf(a)"),
    "LogSoftmax": softmax_form(is_logarithm=True),
    "MatMul": matmul_form,
    "Max": same_form("a > b ? a : b", is_folded=True),
    "Min": same_form("a < b ? a : b", is_folded=True),
    "Mul": same_form("a * b"),
    "Neg": signed_form("-a", "-a"),
    "Not": logical_form("!a"),
    "Or": logical_form("a || b"),
    "PRelu": prelu,
    "Pow": powered,
    "Reciprocal": real_form("1.0f / a"),
    "ReduceMax": reduction_form("x > total ? x : total"),
    "ReduceMean": reduction_form("total + x", is_mean=True),
    "ReduceMin": reduction_form("x < total ? x : total"),
    "ReduceSum": reduction_form("total + x"),
    "Relu": relu,
    "Reshape": reshape,
    "Round": real_form("rintf(a)"),
    "Shape": shape_of,
    "Sigmoid": real_form("1.0f / (1.0f + expf(-a))"),
    "Slice": sliced,
    "Softmax": softmax_form(is_logarithm=False),
    "Softplus": real_form("(a > 0.0f ? a : 0.0f) + log1pf(expf(-fabsf(a)))"),
    "Split": split,
    "Sqrt": real_form("sqrtf(a)"),
    "Squeeze": squeeze,
    "Sub": same_form("a - b"),
    "Sum": same_form("a + b", is_folded=True),
    "Tanh": real_form("tanhf(a)"),
    "TopK": top_k_form,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Where": where,
}
"""Function that appends the C of an operator, by the name of the operator."""
