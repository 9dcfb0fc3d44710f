"""Test the host program beside the integer-only network: its outputs are those that onnxruntime computes."""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
import pytest
from onnx import TensorProto, helper, numpy_helper

from deploy.host_lines import LINES
from deploy.host_program import host_files
from network.errors import NetworkError
from network.host_graph import HostGraph, HostRead
from network.network import Network
from network.reading import read_network
from tests.deploy.host_forms import CONSTANTS, FORMS, HEAD, model_of, with_types
from tests.deploy.host_runs import (
    imported,
    needs_sample,
    outputs_by_host,
    parts_of,
    run_host,
    sample_of,
    without_layers,
    write_host,
)
from tests.network.onnx_reading.onnx_models import model, node, read, runtime_outputs, samples_for

NETWORKS = Path(__file__).parents[3] / "shared" / "networks"

TOLERANCE = 1e-4
"""Largest allowed difference as a share of the range of the expected output."""


def assert_equal(expected: Any, found: Any) -> None:
    """Compare an output of the host program with onnxruntime's: shape, kind of numbers, and 1e-4 of the range."""
    expected, found = np.asarray(expected), np.asarray(found)
    assert found.shape == expected.shape
    assert found.dtype.kind == expected.dtype.kind
    wanted, given = expected.astype(np.float64), found.astype(np.float64)
    spread = float(wanted.max() - wanted.min()) or float(abs(wanted).max()) or 1.0
    assert float(abs(wanted - given).max()) <= TOLERANCE * spread


def assert_host_computes(built: onnx.ModelProto, directory: Path) -> dict[str, bytes]:
    network = read(built)
    files = write_host(network, directory)
    (sample,) = samples_for(built, count=1)
    found = outputs_by_host(network, sample, directory)
    for expected, each in zip(runtime_outputs(built, sample[None]), found, strict=True):
        assert_equal(expected, each)
    return files


@pytest.mark.parametrize("form", FORMS)
def test_every_line_computes_what_onnxruntime_computes(form: str, tmp_path: Path) -> None:
    assert set(assert_host_computes(model_of(form), tmp_path)) <= {"host.py", "host.npz"}


def test_every_line_has_a_form() -> None:
    assert {form.split()[0] for form in FORMS} == set(LINES)


def test_softmax_of_an_old_opset_sums_over_all_axes_behind(tmp_path: Path) -> None:
    nodes = [each for each in HEAD if each.output[0] != "b"]
    for axis in (1, -2):
        built = model([*nodes, node("Softmax", "t", "y", axis=axis)], constants=CONSTANTS, opset=11)
        assert_host_computes(built, tmp_path)


def test_large_constants_are_stored_beside(tmp_path: Path) -> None:
    files = assert_host_computes(model([*HEAD, *FORMS["Add"]], constants=CONSTANTS), tmp_path)
    assert set(files) == {"host.py", "host.npz"}


def test_an_operator_without_a_line_runs_as_onnx(tmp_path: Path) -> None:
    nodes = [*HEAD, node("Sin", "s", "z"), node("Add", "z half", "y"), node("Identity", "g", "o")]
    files = assert_host_computes(model(nodes, constants=CONSTANTS, outputs="y o"), tmp_path)
    assert set(files) == {"host.py", "host_after.onnx"}
    assert b"needs numpy and onnx." in files["host.py"]
    assert b"no line of numpy for 'Sin'" in files["host.py"]


def test_a_sample_that_the_host_reads_again(tmp_path: Path) -> None:
    nodes = [node("Mul", "x half", "n"), node("Conv", "n w", "c"), node("Flatten", "c", "f"), node("Gemm", "f m", "g"),
             node("ReduceMean", "x", "r", axes=[1, 2, 3], keepdims=1), node("Flatten", "r", "h"),
             node("Sub", "g h", "y")]  # fmt: skip
    built = model(nodes, constants=CONSTANTS)
    built.graph.node.insert(0, node("Sigmoid", "x", "unused"))
    files = assert_host_computes(built, tmp_path)
    assert b"def after(codes, sample):" in files["host.py"]


def test_codes_become_real_values_before_the_steps(tmp_path: Path) -> None:
    network = read(model(HEAD[:4], constants=CONSTANTS, outputs="s"))
    write_host(network, tmp_path)
    host = imported(tmp_path)
    codes = np.arange(6, dtype=np.uint8).reshape(1, 1, 6)
    (found,) = host.after([codes])
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-(np.arange(6)[None] - 3) * 0.25)), rtol=1e-6)
    sample = np.full((3, 8, 8), 0.375, np.float32)
    assert set(host.before(sample).ravel().tolist()) == {5}  # 1.5 steps are rounded up, plus the zero point 3
    assert host.before(sample).shape == (8, 8, 3)


@pytest.mark.parametrize("name", ['"; import os; os.abort(); "', "'''", '"""', "\\", "a\u2028b", "{0}", "é" * 300])
def test_a_hostile_name_stays_text(name: str, tmp_path: Path) -> None:
    renamed = {"x": name, "g": f"{name} g", "s": f"{name} s", "y": f"{name} y", "big": f"{name} big"}
    built = model([*HEAD, *FORMS["Add"], node("Sin", "y", "z")], constants=CONSTANTS, outputs="y s g")
    for each in built.graph.node:
        each.input[:] = [renamed.get(value, value) for value in each.input]
        each.output[:] = [renamed.get(value, value) for value in each.output]
        each.name = f"{name} {each.name}"
    for values in (built.graph.input, built.graph.output, built.graph.initializer):
        for value in values:
            value.name = renamed.get(value.name, value.name)
    if not name.isprintable():
        with pytest.raises(NetworkError):
            read(built)
        return
    files = assert_host_computes(built, tmp_path)
    assert_only_our_code(files["host.py"])
    built.graph.output.add(name="z")
    files = assert_host_computes(built, tmp_path)
    assert "host_after.onnx" in files
    assert_only_our_code(files["host.py"])


def assert_only_our_code(text: bytes) -> None:
    """Check that a program imports nothing else, and that its only texts are its own and keys of dictionaries."""
    imports = {each.names[0].name for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Import)}
    assert imports == {"sys", "numpy"}
    from_imports = {each.module for each in ast.walk(ast.parse(text)) if isinstance(each, ast.ImportFrom)}
    assert from_imports <= {"pathlib", "onnx.reference"}
    calls = [each.func for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Call)]
    called = {each.id for each in calls if isinstance(each, ast.Name)}
    assert not called & {"eval", "exec", "compile", "open", "__import__"}


def test_a_description_cannot_read_other_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(np.zeros(6, np.float32).tobytes())
    tensor = numpy_helper.from_array(np.zeros(6, np.float32), "k")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(secret))
    graph = helper.make_graph(
        [helper.make_node("Add", ["g", "k"], ["y"])], "h", [helper.make_tensor_value_info("g", 1, [1, 6])],
        [onnx.ValueInfoProto(name="y")], [tensor],
    )  # fmt: skip
    content = helper.make_model(graph).SerializeToString()
    network = read(model(HEAD[:3], constants=CONSTANTS, outputs="g"))
    for hostile in (content, b"no model", content[:50]):
        given = HostGraph((HostRead("g", "g", (1, 6)),), ("y",), hostile)
        files = host_files(without_layers(network), given, ())
        assert set(files) == {"host.py"}
        ast.parse(files["host.py"])


@pytest.mark.parametrize("form", ["Add", "Slice backwards", "TopK", "Split", "Gather"])
def test_a_damaged_host_graph_of_a_description_gives_a_program(form: str) -> None:
    nodes = sorted([*HEAD, *FORMS[form]], key=lambda each: each.output[0] == "y")
    network = read(with_types(model(nodes, constants=CONSTANTS)))
    assert network.host_graph is not None
    rng = np.random.default_rng(0)
    for _ in range(60):
        content = bytearray(network.host_graph.model)
        for at in rng.integers(0, len(content), rng.integers(1, 5)).tolist():
            content[at : at + int(rng.integers(0, 3))] = rng.bytes(int(rng.integers(0, 3)))
        graph = replace(network.host_graph, model=bytes(content))
        files = host_files(without_layers(network), graph, network.host_steps)
        assert_only_our_code(files["host.py"])


def test_a_network_without_a_known_host_graph(tmp_path: Path) -> None:
    network = replace(read(model(HEAD[:4], constants=CONSTANTS, outputs="s")), host_graph=None)
    files = write_host(network, tmp_path)
    assert b"# Not in this file: \"Sigmoid of 'g'\" -> 's'" in files["host.py"]
    (found,) = imported(tmp_path).after([np.zeros((1, 1, 6), np.uint8)])
    assert found.shape == (1, 6, 1, 1)


def test_a_fixed_batch_has_no_host_graph() -> None:
    built = model(HEAD[:4], (2, 3, 8, 8), CONSTANTS, outputs="s")
    assert read(built).host_graph is None


def published() -> list[Path]:
    return sorted([*NETWORKS.glob("*.onnx"), *NETWORKS.glob("minimal/*.onnx")])


def network_of(path: Path) -> Network | None:
    try:
        return read_network(path.read_bytes(), path.stem)
    except NetworkError:
        return None


def is_float(path: Path) -> bool:
    return not any("Quant" in node.op_type or "QLinear" in node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.skipif(not NETWORKS.is_dir(), reason="shared/networks is not there")
def test_published_onnx_networks(tmp_path: Path) -> None:
    compared = []
    for path in published():
        network = network_of(path)
        if network is None or not is_float(path):
            continue
        write_host(network, tmp_path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        extents = {each.name: each.shape for each in session.get_inputs()}
        sample = sample_of(network, np.random.default_rng(1))
        given = {
            name: part.reshape([extent if isinstance(extent, int) else 1 for extent in extents[name]])
            for name, part in zip(network.input_names, parts_of(network, sample), strict=True)
        }
        expected = session.run(None, given)
        for wanted, found in zip(expected, outputs_by_host(network, sample, tmp_path), strict=True):
            assert_equal(wanted, found)
        compared.append(path.stem)
    assert len(compared) >= 20
    assert {"dronet_v2", "ultraface_slim", "micro_kws", "if_at_the_end", "input_minus_output_at_the_end"} <= {*compared}
    assert {"state_in_and_out", "two_real_inputs"} <= {*compared}


def test_the_program_needs_numpy_alone(tmp_path: Path) -> None:
    network = read(model([*HEAD, *FORMS["TopK"]], constants=CONSTANTS, outputs="y i"))
    write_host(network, tmp_path)
    assert not needs_sample(network)
    np.save(tmp_path / "sample.npy", np.zeros((3, 8, 8), np.float32))
    np.save(tmp_path / "g.npy", np.arange(6, dtype=np.uint8).reshape(1, 1, 6))
    run_host(tmp_path, "before", "sample.npy", "codes.npy")
    run_host(tmp_path, "after", "g.npy", "outputs.npz")
    assert (np.load(tmp_path / "codes.npy") == 3).all()
    with np.load(tmp_path / "outputs.npz") as outputs:
        assert outputs["arr_1"].tolist() == [[5, 4]]
        assert math.isclose(outputs["arr_0"][0, 0], 1 / (1 + math.exp(-0.5)), rel_tol=1e-6)
