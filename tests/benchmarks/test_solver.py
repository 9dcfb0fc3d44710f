"""What is concluded from the solver benchmark's rows, and that the same rows give the same plot."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

from benchmarks import solver
from benchmarks.plot_solver import draw
from benchmarks.solver_rows import NATIVE, Row, conclusions, document, growth, rows_of, table


def forged(exponent: float) -> list[Row]:
    """Native's seconds are a power of the layers from 1,000 on; below they say nothing."""
    native = [Row("chain", layers, NATIVE, 1e-6 * layers**exponent, 1.0, 0.0) for layers in (1000, 3000, 10_000)]
    return [Row("chain", 28, NATIVE, 5.0, 1.0, 0.0), *native, Row("chain", 3000, "CBC", 9.0, math.inf, math.inf)]


@pytest.mark.parametrize("exponent", [1.0, 1.5, 2.0])
def test_growth_is_the_exponent(exponent: float) -> None:
    assert growth(forged(exponent), "chain") == pytest.approx(exponent)
    assert growth(forged(exponent), "residual") is None


def test_conclusions() -> None:
    first, *others = conclusions(forged(1.0))
    assert first.startswith("chain, 3,000 layers: 3,000 times")
    assert any("layers^1.00" in line for line in others)


def test_the_table_has_a_line_for_each_size() -> None:
    lines = table(forged(1.0)).splitlines()
    assert lines[0] == "| layers | chain: native | chain: CBC |"
    assert lines[2:4] == ["| 28 | 5 |  |", "| 1,000 | 0.001 |  |"]
    assert lines[4] == "| 3,000 | 0.003 | 9, nothing found |"


def test_rows_come_back_from_json() -> None:
    rows = forged(1.0)
    assert rows_of(json.loads(json.dumps(document(rows, 20.0), allow_nan=False))) == rows


def test_the_same_rows_give_the_same_plot(tmp_path: Path) -> None:
    files = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for file in files:
        draw(forged(1.0), 20.0, file)
    one, two = (file.read_text() for file in files)
    assert one == two
    assert "<dc:date>" not in one
    for text in ("layers", "time to solve (seconds)", "native", "CBC (PuLP)"):
        assert text in one


def test_a_small_run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["solver", "--json", "--max-layers", "28", "--peer-limit", "5", "--runs", "1"])
    solver.main()
    rows = rows_of(json.loads(capfd.readouterr().out))
    assert [(row.form, row.solver) for row in rows] == [
        (form, name) for form in ("chain", "residual") for name in (NATIVE, "HiGHS", "CBC")
    ]
    for form in ("chain", "residual"):
        ours, *theirs = (row.objective for row in rows if row.form == form)
        assert theirs == pytest.approx([ours, ours], rel=1e-6)
