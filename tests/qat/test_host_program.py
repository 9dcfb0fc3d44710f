"""The host program as a script around the integer interpreter: its outputs follow those of the source file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
import pytest

from deploy.host_program import host_files
from deploy.interpreter import quantize_input, real_values, run
from network.allocation import Folding, Scheme, WeightScheme
from network.reading import read_network
from qat.conversion import convert
from qat.prepare import prepare
from tests.deploy.host_runs import imported
from tests.qat.zoo import allocation_of

NETWORKS = Path(__file__).parents[3] / "shared" / "networks"
SCHEME = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)

FILES = ("dronet_v2", "minimal/heads_joined_at_the_end", "minimal/final_tanh")

LARGEST_SHARE = 0.03
"""Largest allowed error of the integer-only network with 8 bits, as a share of 1 or of the output's largest value."""


def as_script(directory: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "host.py", *arguments], cwd=directory, check=True, timeout=120)


@pytest.mark.skipif(not NETWORKS.is_dir(), reason="the published networks are beside the project, not in it")
@pytest.mark.parametrize("name", FILES)
def test_sample_to_outputs_of_the_file(name: str, tmp_path: Path) -> None:
    path = NETWORKS / f"{name}.onnx"
    network = read_network(path.read_bytes(), "network")
    samples = np.random.default_rng(3).normal(size=(8, *network.only_input.format.dims)).astype(np.float32)
    integers = convert(prepare(network, allocation_of(network, 8, SCHEME), samples).eval())
    for file, content in host_files(integers, network.host_graph, network.host_steps).items():
        (tmp_path / file).write_bytes(content)
    np.save(tmp_path / "sample.npy", samples[0])
    as_script(tmp_path, "before", "sample.npy", "codes.npy")
    codes = np.load(tmp_path / "codes.npy")[None]
    tensor = network.only_input.format.to_input_tensor(samples[:1], network.only_input.shape)
    np.testing.assert_array_equal(codes, quantize_input(integers, tensor))
    outputs = run(integers, codes)
    files = [f"output_{index}.npy" for index in range(len(outputs))]
    for file, output in zip(files, network.outputs, strict=True):
        np.save(tmp_path / file, outputs[output][0])
    as_script(tmp_path, "after", *files, "outputs.npz")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    dims = [extent if isinstance(extent, int) else 1 for extent in given.shape]
    expected = session.run(None, {given.name: samples[0].reshape(dims)})
    reals = [real_values(integers, each, outputs[each])[0].transpose(1, 2, 0) for each in network.outputs]
    from_reals = imported(tmp_path).finish(reals)
    with np.load(tmp_path / "outputs.npz") as found:
        assert len(found) == len(expected)
        for index, wanted in enumerate(expected):
            values = found[f"arr_{index}"]
            assert values.shape == wanted.shape
            np.testing.assert_allclose(values, from_reals[index], rtol=1e-5, atol=1e-6)
            assert abs(wanted - values).max() <= LARGEST_SHARE * max(1.0, abs(wanted).max())
