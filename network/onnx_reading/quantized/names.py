"""Operators of quantization that are not standard ONNX operators, by their names."""

from __future__ import annotations

from typing import Final

RUNTIME_OPERATORS: Final = frozenset(
    {
        "DequantizeLinear", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "QGemm", "QLinearAdd",
        "QLinearAveragePool", "QLinearConcat", "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMul",
        "QLinearSigmoid", "QLinearSoftmax", "QuantizeLinear",
    }
)  # fmt: skip
"""Operators of ONNX Runtime's domain com.microsoft that are taken back to float."""

QONNX_OPERATORS: Final = frozenset({"BipolarQuant", "FloatQuant", "IntQuant", "MultiThreshold", "Quant", "Trunc"})
"""Operators of QONNX, which exporters write into several domains; not all of them are supported."""

FOREIGN_OPERATORS: Final = RUNTIME_OPERATORS | QONNX_OPERATORS
"""Operators that are parsed although their domain is not that of standard ONNX."""
