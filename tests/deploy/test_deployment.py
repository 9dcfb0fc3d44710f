"""The files that stand beside an integer-only network for the emission of C: what is written is read again."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.deployment import DEPLOYMENT_FILE, Deployment, deployment_bytes, read_deployment
from deploy.sample_codes import MAX_SAMPLES, VECTORS_FILE, fitting_samples, read_vectors, vectors_bytes
from network.errors import IntegerFileError
from network.host_graph import HostGraph, HostRead
from network.kernel_sizes.tables import Optimization, sizes_for
from network.kernels import IN_PLACE_KERNELS
from network.layers import Shape
from network.memory.books import accounting_named
from network.memory.deployed import DeployedAccounting
from tests.deploy.random_networks import Builder


def network(extent: int = 6) -> Any:
    builder = Builder(np.random.default_rng(5), Shape(3, extent, extent), bits=4)
    builder.add_input(Shape(2, 1, 1), 2)
    builder.fully_connected("input", 4)
    builder.fully_connected("input2", 4)
    return builder.network()


GRAPH = HostGraph((HostRead("y", "fully_connected0", (1, 4)),), ("y",), b"model")


def test_a_deployment_is_read_as_it_was_written(tmp_path: Path) -> None:
    for deployment in (
        Deployment(),
        Deployment.of(DeployedAccounting(in_place=IN_PLACE_KERNELS[:2], reuses_input=False), GRAPH),
        Deployment.of(DeployedAccounting(sizes_for("cortex-m7", Optimization.SIZE)), None),
        Deployment.of(accounting_named("paper"), GRAPH),
    ):
        (tmp_path / DEPLOYMENT_FILE).write_bytes(deployment_bytes(deployment))
        assert read_deployment(tmp_path, network()) == deployment
        assert deployment.accounting.in_place == deployment.in_place
        assert deployment.accounting.sizes.optimization is deployment.optimization
        assert deployment.accounting.reuses_input == deployment.reuses_input


def test_a_folder_without_the_files_is_of_an_earlier_version(tmp_path: Path) -> None:
    assert read_deployment(tmp_path, network()) == Deployment()
    assert read_vectors(tmp_path, network()) is None


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": 2}, {"format_version": None}, {"in_place": ["teleport"]}, {"in_place": 3},
        {"optimization": "O9"}, {"core": 7}, {"reuses_input": "yes"}, {"host_graph": []}, {"more": 1},
        {"pairs": ["fully_connected0"]},
        {"host_graph": {"reads": [{"value": "y", "tensor": "nowhere", "dims": [4]}], "outputs": ["y"]}},
        {"host_graph": {"reads": [{"value": "y", "tensor": "fully_connected0", "dims": [5]}], "outputs": ["y"]}},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_deployment_is_rejected(change: dict[str, Any], tmp_path: Path) -> None:
    content = json.loads(deployment_bytes(Deployment.of(DeployedAccounting(), GRAPH))) | change
    (tmp_path / DEPLOYMENT_FILE).write_text(json.dumps(content))
    with pytest.raises(IntegerFileError, match=DEPLOYMENT_FILE):
        read_deployment(tmp_path, network())


def test_vectors_are_read_as_they_were_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    codes = {
        "input": rng.integers(0, 16, (7, 6, 6, 3), dtype=np.uint8), "input2": rng.integers(0, 4, (7, 1, 1, 2), np.uint8)
    }  # fmt: skip
    content = vectors_bytes(network(), codes)
    assert content == vectors_bytes(network(), codes)
    (tmp_path / VECTORS_FILE).write_bytes(content)
    found = read_vectors(tmp_path, network())
    assert found is not None
    assert found.keys() == codes.keys()
    assert all((found[name] == codes[name]).all() for name in codes)


def test_the_number_of_kept_samples_is_limited() -> None:
    assert fitting_samples(network()) == MAX_SAMPLES
    assert fitting_samples(network(), 10, 400) == 3
    assert fitting_samples(network(1000)) == 1


@pytest.mark.parametrize("damage", ["shape", "code", "type", "count", "missing", "object", "bytes", "bomb", "scalar"])
def test_damaged_vectors_are_rejected(damage: str, tmp_path: Path) -> None:
    first, second = np.zeros((2, 6, 6, 3), np.uint8), np.zeros((2, 1, 1, 2), np.uint8)
    of_damage: dict[str, dict[str, Any]] = {
        "shape": {"input0": first[:, :5], "input1": second}, "code": {"input0": first + 16, "input1": second},
        "type": {"input0": first.astype(np.int64), "input1": second}, "count": {"input0": first[:1], "input1": second},
        "missing": {"input0": first}, "object": {"input0": np.array([None] * 2), "input1": second},
        "scalar": {"input0": np.uint8(1), "input1": np.uint8(1)},
    }  # fmt: skip
    arrays = of_damage.get(damage, {})
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    content = buffer.getvalue() if arrays else b"PK\x03\x04 no archive"
    if damage == "bomb":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("input0.npy", "w") as file:
            for _ in range(300):
                file.write(bytes(2**20))
        content = buffer.getvalue()
    (tmp_path / VECTORS_FILE).write_bytes(content)
    with pytest.raises(IntegerFileError, match=VECTORS_FILE):
        read_vectors(tmp_path, network())


def test_a_graph_of_another_network_is_noticed(tmp_path: Path) -> None:
    (tmp_path / DEPLOYMENT_FILE).write_bytes(deployment_bytes(Deployment(host_graph=GRAPH)))
    other = replace(network(), outputs=("fully_connected1",))
    with pytest.raises(IntegerFileError, match="does not belong to the network"):
        read_deployment(tmp_path, other)
