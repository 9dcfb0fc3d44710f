"""A pipeline that trains both networks and links their C: quality and linked bytes are compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from deploy.building.cores import core_named
from deploy.building.toolchains import has_compiler
from tests.api.small_files import DIGITS_ONNX
from tests.pipelines.repositories import commit
from tests.pipelines.runner import Runner, git


@pytest.mark.long
@pytest.mark.skipif(not has_compiler(core_named("cortex-m4")), reason="needs GCC for ARM")
def test_a_change_of_nothing_changes_neither_quality_nor_a_linked_byte(tmp_path: Path) -> None:
    """Both trainings and both links give the same, so that every difference in a comment is one of the change."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    shutil.copy(DIGITS_ONNX, folder / "digits.onnx")
    commit(folder, "A network")
    (folder / "README").write_text("Digits")
    commit(folder, "A text")
    runner = Runner("github/action.yml", folder, tmp_path / "runner")
    inputs = {"network": "digits.onnx", "data": "digits", "device": "stm32f411re", "flash": "18kB", "ram": "2800"}
    inputs |= {"options": "--epochs 1", "build": "always", "max-quality-drop": "0", "base": "HEAD^"}
    assert runner.run(inputs, {}) == 0, runner.log
    results = tmp_path / "runner" / "bitbudget-results" / "default"
    base, head = (json.loads((results / f"{name}-build.json").read_text()) for name in ("base", "head"))
    assert base == head
    assert head["is_good"]
    assert runner.log.count("no layer changed") == 2
    assert "| trained | base | head | difference | budget |" in runner.summary
    assert "| linked | base | head | difference | budget |" in runner.summary
    quality = json.loads((results / "head.json").read_text())["quality"]["integer_only"]
    assert f"| accuracy | {quality:.2f} % | {quality:.2f} % | +0.00 | may drop by 0 |" in runner.summary
