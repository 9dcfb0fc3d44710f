"""`bitbudget train` states what the host computes, and writes it as a program beside the integer-only network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from api.cli.main import run
from deploy.files import load
from deploy.interpreter import real_values
from deploy.interpreter import run as interpret
from tests.api.small_files import tiny_dataset, tiny_network
from tests.onnx_files import to_onnx


def test_what_the_host_computes_is_reported_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load_from_string(to_onnx(tiny_network()))
    scores = model.graph.output[0].name
    model.graph.node.append(onnx.helper.make_node("Softmax", [scores], ["p"], axis=1))
    model.graph.node.append(onnx.helper.make_node("ArgMax", ["p"], ["class"], axis=1))
    model.graph.output[0].name = "p"
    model.graph.output.add(name="class")
    (tmp_path / "tiny.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "data.npz").write_bytes(tiny_dataset())
    out = tmp_path / "out"
    arguments = [
        "train", str(tmp_path / "tiny.onnx"), f"--data={tmp_path / 'data.npz'}", f"--out={out}", "--flash=4kB",
        "--ram=1kB", "--method=mixpc", "--accounting=paper", "--epochs=0",
    ]  # fmt: skip
    assert run(arguments) == 0
    text = capsys.readouterr().out
    assert f"the host computes 'p': Softmax of '{scores}'" in text
    assert "host.py" in text
    steps = [
        {"output": "p", "tensors": [scores], "operators": ["Softmax"]},
        {"output": "class", "tensors": [scores], "operators": ["Softmax", "ArgMax"]},
    ]
    assert json.loads((out / "report.json").read_text())["host_steps"] == steps
    assert json.loads((out / "network.json").read_text())["host_steps"] == steps
    network = load(out)
    with np.load(tmp_path / "data.npz") as data:
        np.save(tmp_path / "sample.npy", data["test_x"][0])
    script = [sys.executable, str(out / "host.py")]
    subprocess.run([*script, "before", "sample.npy", "codes.npy"], cwd=tmp_path, check=True, timeout=60)
    codes = interpret(network, np.load(tmp_path / "codes.npy")[None])[scores]
    np.save(tmp_path / "scores.npy", codes[0])
    subprocess.run([*script, "after", "scores.npy", "outputs.npz"], cwd=tmp_path, check=True, timeout=60)
    values = real_values(network, scores, codes).reshape(1, -1)
    with np.load(tmp_path / "outputs.npz") as outputs:
        np.testing.assert_allclose(outputs["arr_0"], np.exp(values) / np.exp(values).sum(), rtol=1e-5)
        assert outputs["arr_1"].tolist() == [[int(values.argmax())]]
