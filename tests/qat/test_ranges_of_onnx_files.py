"""Ranges of a quantized ONNX file: an 8-bit integer-only network follows onnxruntime without any training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from benchmarks.agreement import snr_db
from benchmarks.onnx_reference import OnnxReference
from deploy.interpreter import quantize_input, real_values, run
from deploy.narrow_constants import ConstantsForm
from network.allocation import Folding, Scheme, WeightScheme
from network.json_reading.description import read_json, write_json
from network.network import Network
from network.reading import read_network
from qat.conversion import convert
from qat.prepare import prepare
from tests.qat.zoo import allocation_of

NETWORKS = Path(__file__).parents[3] / "shared" / "networks"
SCHEME = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)

FILES = {
    "micro_kws_qdq": (42.0, 2.0),
    "micro_kws_qoperator": (40.0, 2.5),
    "mlperf_autoencoder_qdq": (50.0, 1.0),
    "mlperf_dscnn_qdq": (49.0, 1.0),
}
"""File -> lowest signal-to-noise ratio in dB, and largest difference of an output in quantization steps of the file."""

LEAST_GAIN_DB = 5.0
"""Least increase of the signal-to-noise ratio over ranges that are measured on the same samples."""


def outputs_at_8_bits(network: Network, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    module = prepare(network, allocation_of(network, 8, SCHEME), samples).eval()
    integers = convert(module, constants=ConstantsForm.WIDE)  # as precise as the runtime's
    codes = run(
        integers, quantize_input(integers, network.only_input.format.to_input_tensor(samples, network.only_input.shape))
    )
    (output,) = network.outputs
    return real_values(integers, output, codes[output]).reshape(len(samples), -1)


@pytest.mark.skipif(not NETWORKS.is_dir(), reason="the published networks are beside the project, not in it")
@pytest.mark.parametrize("name", FILES)
def test_the_ranges_of_the_file_bring_onnxruntimes_outputs(name: str) -> None:
    path = NETWORKS / f"{name}.onnx"
    network = read_network(path.read_bytes(), name)
    assert len(network.ranges) >= len(network.shapes) - 1, "a max pool of codes has the range of its input"
    network = read_json(write_json(network, with_weights=True).encode(), name)
    reference = OnnxReference(onnx.load(path), network.input_names)
    each = reference.samples(32)
    samples = np.concatenate([sample.reshape(1, *network.only_input.format.dims) for sample in each])
    low, high = network.ranges[network.outputs[0]]
    # Before its last quantization, the file has values beyond the range of the codes.
    expected = np.clip([reference.outputs_of(sample, network)[0] for sample in each], low, high)
    found = outputs_at_8_bits(network, samples)
    least_snr_db, most_steps = FILES[name]
    assert snr_db(expected, found) >= least_snr_db
    assert abs(expected - found).max() / ((high - low) / 255) <= most_steps
    without = outputs_at_8_bits(replace(network, ranges={}), samples)
    assert snr_db(expected, found) >= snr_db(expected, without) + LEAST_GAIN_DB
