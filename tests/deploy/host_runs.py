"""Execution of the host program of a network, and the integer-only form of a network without layers."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy.host_program import host_files
from deploy.integer_network import IntegerNetwork, IntegerTensor
from network.joined_samples import joined_dims, samples_of_inputs
from network.network import Network
from tests.network.float_reference import evaluate

Array = npt.NDArray[Any]


def without_layers(network: Network) -> IntegerNetwork:
    """Return an integer-only network with the tensors of a network: what the host program is made from."""
    tensors = {name: IntegerTensor(name, shape, 8, 0.25, 3) for name, shape in network.shapes.items()}
    return IntegerNetwork(network.name, network.inputs, tensors, (), network.outputs)


def write_host(network: Network, directory: Path) -> dict[str, bytes]:
    """Write the files of the host program to a directory, and return them."""
    files = host_files(without_layers(network), network.host_graph, network.host_steps)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return files


def imported(directory: Path) -> Any:
    """Return the host program of a directory as a module.

    It is compiled from its text: a second program of the same size at the same path within one second would otherwise
    get the bytecode that Python has kept of the first.
    """
    path = directory / "host.py"
    module = types.ModuleType("host")
    module.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)  # noqa: S102  # our own program
    return module


def sample_of(network: Network, rng: np.random.Generator) -> Array:
    """Return a random sample of a network; the joined one if it has several inputs."""
    return rng.normal(size=joined_dims(network.inputs)).astype(np.float32)


def parts_of(network: Network, sample: Array) -> list[Array]:
    """Return the sample of each input, in the order of the network."""
    return [each[0] for each in samples_of_inputs(sample[None], network.inputs).values()]


def needs_sample(network: Network) -> bool:
    return network.host_graph is not None and any(read.is_sample for read in network.host_graph.reads)


def outputs_by_host(network: Network, sample: Array, directory: Path) -> list[Array]:
    """Compute the outputs of the file of a network by the naive float network between `prepare` and `finish`.

    Args:
        network: The network.
        sample: The sample, joined if the network has several inputs.
        directory: The directory of the host program.
    """
    host = imported(directory)
    given = sample if len(network.inputs) == 1 else parts_of(network, sample)
    prepared = [host.prepare(given)] if len(network.inputs) == 1 else host.prepare(given)
    tensors = evaluate(network, sample[None])
    for name, values in zip(network.input_names, prepared, strict=True):
        np.testing.assert_array_equal(values.transpose(2, 0, 1), tensors[name][0])
    values = [tensors[name][0].transpose(1, 2, 0).astype(np.float32) for name in network.outputs]
    found = host.finish(values, *([given] if needs_sample(network) else []))
    return [np.asarray(each) for each in found]


def run_host(directory: Path, *arguments: str) -> None:
    """Run the host program as a script, and check that no package but numpy is imported."""
    code = (
        "import runpy, sys; sys.argv = ['host.py', *sys.argv[1:]]; runpy.run_path('host.py', run_name='__main__'); "
        "assert not {'onnx', 'torch', 'network', 'deploy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=directory, check=True, timeout=120)
