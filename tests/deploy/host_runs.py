"""Execution of the host program of a network, and the integer-only form of a network without layers."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy.host_program import host_files
from deploy.integer_network import IntegerNetwork, IntegerTensor
from network.network import Network
from tests.network.float_reference import evaluate

Array = npt.NDArray[Any]


def without_layers(network: Network) -> IntegerNetwork:
    """Return an integer-only network with the tensors of a network: what the host program is made from."""
    tensors = {name: IntegerTensor(name, shape, 8, 0.25, 3) for name, shape in network.shapes.items()}
    return IntegerNetwork(network.name, network.input, tensors, (), network.outputs, network.input_format)


def write_host(network: Network, directory: Path) -> dict[str, bytes]:
    """Write the files of the host program to a directory, and return them."""
    files = host_files(without_layers(network), network.host_graph, network.host_steps)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return files


def imported(directory: Path) -> Any:
    """Return the host program of a directory as a module."""
    spec = importlib.util.spec_from_file_location("host", directory / "host.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def needs_sample(network: Network) -> bool:
    return network.host_graph is not None and any(read.is_sample for read in network.host_graph.reads)


def outputs_by_host(network: Network, sample: Array, directory: Path) -> list[Array]:
    """Compute the outputs of the file of a network by the naive float network between `prepare` and `finish`."""
    host = imported(directory)
    prepared = host.prepare(sample)
    tensors = evaluate(network, sample[None])
    np.testing.assert_array_equal(prepared.transpose(2, 0, 1), tensors[network.input][0])
    values = [tensors[name][0].transpose(1, 2, 0).astype(np.float32) for name in network.outputs]
    found = host.finish(values, *([sample] if needs_sample(network) else []))
    return [np.asarray(each) for each in found]
