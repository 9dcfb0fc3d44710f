"""The benchmark of the readers: what it says of a folder with one file of each kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.agreement import share_of_range, snr_db
from benchmarks.reading import main
from network.json_reading.description import write_json
from network.reading import read_network
from tests.network.onnx_reading.onnx_models import model, node, random
from tests.network.onnx_reading.quantized_models import float_model, statically_quantized
from tests.network.tflite_reading.tflite_models import Op, T, build, constant


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with networks that are read, one that is refused, and files that are not networks."""
    content = float_model().SerializeToString()
    (tmp_path / "float.onnx").write_bytes(content)
    (tmp_path / "codes.onnx").write_bytes(statically_quantized(float_model(), "QOperator").SerializeToString())
    (tmp_path / "refused.onnx").write_bytes(model([node("Selu", "x", "y")], ("N", 3, 8, 8), {}).SerializeToString())
    (tmp_path / "described.json").write_text(write_json(read_network(content, "described"), with_weights=True))
    tensors = [T((1, 6)), constant(random(3, 6)), T((1, 3))]
    (tmp_path / "tiny.TFLITE").write_bytes(build(tensors, [Op("FULLY_CONNECTED", (0, 1), (2,))]))
    (tmp_path / "notes.txt").write_text("not a network")
    (tmp_path / "inner.onnx").mkdir()
    return tmp_path


def run(*arguments: object) -> Any:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_every_file_has_its_answer(folder: Path) -> None:
    result = json.loads(run(folder, "--json").stdout)
    rows = {row["file"]: row for row in result["rows"]}
    assert list(rows) == ["codes.onnx", "described.json", "float.onnx", "refused.onnx", "tiny.TFLITE"]
    assert (result["read"], result["refused"], result["uncomparable"]) == (4, 1, 1)
    for name in ("float.onnx", "tiny.TFLITE"):
        assert rows[name]["largest_difference"] < 1e-5
        assert (rows[name]["layers"] > 0, rows[name]["snr_db"], rows[name]["is_quantized"]) == (True, None, False)
    assert rows["tiny.TFLITE"]["layers"] == 1
    assert 25 < rows["codes.onnx"]["snr_db"] < 100
    assert rows["codes.onnx"]["largest_difference"] is None
    assert "'Y' (Selu)" in rows["refused.onnx"]["refusal"]
    assert rows["described.json"]["uncomparable"] == "no other runtime computes a JSON description"
    assert all(row["seconds"] > 0 for row in rows.values())


def test_the_table_names_the_reasons_and_counts(folder: Path) -> None:
    shown = run(folder)
    assert shown.exit_code == 0
    assert "\nrefused.onnx refused: " in shown.stdout
    assert "\ndescribed.json not compared: no other runtime" in shown.stdout
    assert shown.stdout.endswith("read: 4; refused: 1; read but not compared: 1\n")


def test_a_wrong_folder_is_one_line(tmp_path: Path) -> None:
    for folder, message in (
        (tmp_path / "missing", "No such file"),
        (tmp_path, "has no files with the extension"),
    ):
        answer = run(folder)
        assert answer.exit_code == 2
        assert message in answer.stderr
        assert answer.stderr.count("\n") == 1


def test_figures_by_hand() -> None:
    expected, found = np.array([0.0, 10.0]), np.array([0.0, 9.0])
    assert share_of_range(expected, found) == pytest.approx(0.1)
    assert share_of_range(np.array([4.0]), np.array([3.0])) == pytest.approx(0.25)
    assert snr_db(expected, found) == pytest.approx(20)
