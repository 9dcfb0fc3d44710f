"""Execution of the ONNX form of an integer network in onnxruntime, and comparison with the interpreter by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]  # the package has no type annotations

from deploy.arithmetic import CodeArray
from deploy.execution import executor
from deploy.integer_network import IntegerNetwork
from deploy.interpreter import real_values
from deploy.qdq import onnx_bytes
from deploy.qdq_ranks import to_onnx_input


@dataclass(frozen=True)
class Runtime:
    """A form of the ONNX file and the options with which onnxruntime runs it.

    Attributes:
        narrow_types: Whether the file has narrow types (see `onnx_bytes`).
        optimized: Whether onnxruntime uses its fusions, which is its default; otherwise it runs node by node.
        fuses_integers: Whether the fusions may merge QuantizeLinear and DequantizeLinear into integer operators.
    """

    narrow_types: bool
    optimized: bool
    fuses_integers: bool


RUNTIMES = (
    Runtime(narrow_types=False, optimized=True, fuses_integers=True),
    Runtime(narrow_types=False, optimized=False, fuses_integers=False),
    Runtime(narrow_types=True, optimized=False, fuses_integers=False),
    Runtime(narrow_types=True, optimized=True, fuses_integers=False),
)


def session(model: onnx.ModelProto, runtime: Runtime) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if not runtime.optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if not runtime.fuses_integers:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def codes_in(
    runtime: Runtime, network: IntegerNetwork, input_codes: CodeArray | Mapping[str, CodeArray]
) -> dict[str, CodeArray]:
    """Compute the codes of every tensor with onnxruntime, [n, height, width, channels]."""
    given = {network.only_input.name: input_codes} if isinstance(input_codes, np.ndarray) else input_codes
    found: dict[str, CodeArray] = dict(given)
    model = onnx.load_from_string(onnx_bytes(network, narrow_types=runtime.narrow_types))
    onnx.checker.check_model(model, full_check=True)
    known = {each.name: each for each in model.graph.value_info}
    model.graph.output.extend(known[name] for name in network.tensors if name in known)
    names = [output.name for output in model.graph.output if output.name in network.tensors]
    assert {*network.input_names, *names} == set(network.tensors)
    real = {
        each.name: to_onnx_input(each, real_values(network, each.name, found[each.name]).astype(np.float32))
        for each in network.inputs
    }
    count = len(found[network.input_names[0]])
    for name, values in zip(names, session(model, runtime).run(names, real), strict=True):
        tensor = network.tensors[name]
        assert values.shape == (count, *tensor.shape)
        codes = values.astype(np.float64) / np.float32(tensor.scale) + tensor.zero_point
        np.testing.assert_allclose(codes, np.round(codes), atol=1e-3, err_msg=f"{name}: values between codes")
        found[name] = np.round(codes).astype(np.uint8).transpose(0, 2, 3, 1)
    return found


def differences(network: IntegerNetwork, codes: dict[str, CodeArray]) -> dict[str, CodeArray]:
    """Return by layer the differences between given output codes and the interpreter's, for the same input codes."""
    found = {}
    for layer in network.layers:
        execute = executor(layer, tuple(network.tensors[name] for name in layer.inputs), network.tensors[layer.output])
        expected = execute(*(codes[name] for name in layer.inputs)).astype(np.int16)
        found[layer.name] = np.abs(expected - codes[layer.output]).astype(np.uint8)
    return found
