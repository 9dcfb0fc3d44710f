"""Test networks as people publish them: each gets the answer of the table, and equals onnxruntime where it is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks.agreement import share_of_range
from benchmarks.onnx_reference import OnnxReference
from network.errors import NetworkError
from network.joined_samples import joined_dims
from network.network import Network
from network.reading import read_network
from tests.network.float_reference import evaluate

SHARED = Path(__file__).parents[4] / "shared"
NETWORKS = SHARED / "networks"

pytestmark = pytest.mark.skipif(
    not NETWORKS.is_dir(), reason="the published networks lie beside the project, not in it"
)

READ: dict[str, tuple[int, list[str]]] = {
    # number of layers, and what the host computes for the outputs of the file
    "networks/dronet_v2": (15, ["Gather of '84'", "Gather, Sigmoid of '84'"]),
    "networks/micro_kws": (9, ["Softmax of 'Add__25:0'"]),
    "networks/mlperf_resnet8": (14, ["Softmax of 'model/dense/MatMul;model/dense/BiasAdd'"]),
    "networks/mnist_avr": (3, []),
    "networks/mnist_cntk": (5, []),
    "networks/mnist_small": (3, []),
    "networks/sine": (3, []),
    "networks/ultraface_slim": (
        42,
        [
            "Transpose (4 times), Reshape (4 times), Concat, Softmax of '232' and '278' and '318' and '350'",
            "Transpose (4 times), Reshape (4 times), Concat of '246' and '292' and '332' and '362'",
        ],
    ),
    "networks/minimal/dead_relu_layer": (2, []),
    "networks/minimal/flatten_axis_0_of_batch_1": (2, []),
    "networks/minimal/final_sigmoid": (2, ["Sigmoid of 'z'"]),
    "networks/minimal/final_tanh": (2, ["Tanh of 'z'"]),
    "networks/minimal/heads_joined_at_the_end": (2, ["Transpose (2 times), Reshape (2 times), Concat of 'c' and 'c2'"]),
    "networks/minimal/if_at_the_end": (1, ["ReduceMax, Greater, If of 'z'"]),
    "networks/minimal/input_minus_output_at_the_end": (2, ["Sub of 'x' and 'e'"]),
    "networks/minimal/integers_by_cast": (1, ["Cast (2 times), Div of 'm'"]),
    "networks/minimal/no_batch": (2, []),
    "networks/minimal/opset9": (3, []),
    "networks/minimal/opset9_converted_by_onnx": (3, []),
    "networks/minimal/outputs_taken_apart_at_the_end": (1, ["Gather of 'h'", "Gather of 'h'"]),
    "networks/minimal/regression_one_output": (2, []),
    "networks/minimal/rows_and_columns_swapped": (3, []),
    "networks/minimal/state_in_and_out": (3, []),
    "networks/minimal/two_outputs": (3, []),
    "networks/minimal/two_real_inputs": (3, []),
    "troubles/dead_head": (3, []),
    "troubles/mean_then_nhwc": (3, []),
    "troubles/nhwc_then_mean": (3, []),
}

REFUSED: dict[str, list[str]] = {
    # parts of the message, in this order
    "networks/autoencoder_1d": ["transposed convolution, 3 nodes", "10 layers can be read"],
    "networks/compact_transformer": ["attention, 1 node", "normalization", "3 nodes", "outside the ONNX standard"],
    "networks/dtln_1": ["recurrent cells, 2 nodes", "lstm_4", "lstm_5", "parts of tensors"],
    "networks/fastestdet": ["resizing, 1 node", "channel shuffles"],
    "networks/gtcrn": [
        "recurrent cells, 14 nodes", "'GRU_153' (GRU)", "normalization", "4 nodes", "transposed convolution, 11 nodes",
        "products", "activation functions", "parts of tensors", "inputs of a form",
    ],
    "networks/mnist_opset1": ["opset 1; expected opset 6", "export the network again"],
    "networks/silero_vad_16k": ["recurrent cells, 1 node", "LSTM"],
    "networks/sinet": ["resizing", "products", "activation functions", "PRelu", "channel shuffles"],
    "networks/yunet_s": ["resizing, 2 nodes", "50 layers can be read"],
    "networks/minimal/channel_shuffle": ["channel shuffle"],
    "networks/minimal/channel_shuffle_batch_1": ["channel shuffle"],
    "networks/minimal/embedding": ["'e' (Gather) looks up rows of a table"],
    "networks/minimal/int8_weights_in_gemm": ["matrix of type int8"],
    "networks/minimal/layer_norm_in_pieces": ["'mu' (ReduceMean) to node 'u' (Div) are a normalization in 7 pieces"],
    "networks/minimal/lstm_batch_first": ["'ys' (LSTM)", "recurrent layers are not supported"],
    "networks/minimal/lstm_with_activations": ["'ys' (LSTM)", "recurrent layers are not supported"],
    "networks/minimal/lstm_with_expand": ["recurrent cells", "LSTM", "'h0' (Expand)"],
    "networks/minimal/open_time": ["without a fixed extent", "--input-shape 1,1,96"],
    "networks/minimal/pool_over_a_flattened_image": ["'p' (MaxPool) reads the tensor 'c' (4x4x4) reshaped"],
    "networks/minimal/selu": ["'r' (Selu)"],
    "networks/minimal/squeeze_and_excitation": ["products", "'m' (Mul)", "activation functions", "'q3' (Sigmoid)"],
    "troubles/mel_norm": ["'a' (Conv) reads the network's input as an image", "normalization of each feature"],
}  # fmt: skip


ELSEWHERE = {"lfs_pointer", "quant_of_another_domain", "weights_outside"}
"""Minimal files whose answers other tests check: file formats, quantization, weights beside the file."""

WITH_OPTION = {"open_time"}
"""Minimal files that are refused, and read with an option in `test_reading_options.py`."""


def test_every_minimal_file_gets_its_expected_answer() -> None:
    lines = (NETWORKS / "minimal" / "expected.tsv").read_text().splitlines()[1:]
    answers = {name: answer for name, answer, *_ in (line.split("\t") for line in lines)}
    for name in answers.keys() - ELSEWHERE - WITH_OPTION:
        is_read = f"networks/minimal/{name}" in READ
        assert is_read or f"networks/minimal/{name}" in REFUSED, name
        assert answers[name].startswith("read") == is_read or name == "pool_over_a_flattened_image", name
    assert all(f"networks/minimal/{name}" in REFUSED for name in WITH_OPTION)


def test_the_same_function_in_two_orders_has_the_same_input_format() -> None:
    first, second = (
        read_network(content(f"troubles/{name}"), name).only_input.format
        for name in ("mean_then_nhwc", "nhwc_then_mean")
    )
    assert (first.dims, first.channels_last) == (second.dims, second.channels_last)
    np.testing.assert_allclose(first.subtract, second.subtract, rtol=1e-6)
    np.testing.assert_allclose(first.multiply, second.multiply, rtol=1e-6)


def content(name: str) -> bytes:
    return (SHARED / f"{name}.onnx").read_bytes()


def assert_equals_onnxruntime(network: Network, name: str) -> None:
    """Compare every output of the network with the value of that name in onnxruntime, to 1e-4 of its range."""
    reference = OnnxReference(onnx.load_from_string(content(name)), network.input_names)
    samples = np.random.default_rng(5).normal(size=(1, *joined_dims(network.inputs))).astype(np.float32)
    tensors = evaluate(network, samples)
    for tensor, expected in zip(network.outputs, reference.outputs_of(samples, network), strict=True):
        assert np.isfinite(expected).all()
        assert share_of_range(expected, tensors[tensor].ravel()) <= 1e-4


@pytest.mark.parametrize("name", READ)
def test_read(name: str) -> None:
    layers, host = READ[name]
    network = read_network(content(name), "published")
    assert len(network.layers) == layers
    assert [str(steps) for steps in network.host_steps] == host
    assert_equals_onnxruntime(network, name)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    with pytest.raises(NetworkError) as caught:
        read_network(content(name), "published")
    message = str(caught.value)
    assert "\n" not in message
    for part in REFUSED[name]:
        assert part in message
        message = message[message.index(part) + len(part) :]
