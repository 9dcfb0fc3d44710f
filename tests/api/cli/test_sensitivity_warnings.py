"""The command `sensitivity` prints the warnings about the dataset, as `train` does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from api.cli.main import run
from tests.api.small_files import npz, tiny_json

X = np.random.default_rng(3).standard_normal((60, 1, 4, 4)).astype(np.float32)


def test_warnings_about_the_dataset_are_printed_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.json").write_bytes(tiny_json())
    labels = np.array([0] * 57 + [1, 1, 2])
    (tmp_path / "data.npz").write_bytes(npz(train_x=X, train_y=labels, test_x=X[:6], test_y=labels[:6]))
    arguments = ["sensitivity", str(tmp_path / "tiny.json"), "--data", str(tmp_path / "data.npz"), "--samples=20"]
    assert run(arguments) == 0
    printed = capsys.readouterr().err
    assert printed.count("warning: ") == 2
    assert "warning: the classes have very unequal sizes: of 60 training samples, class 0 has 57" in printed
    assert "warning: 6 of 6 test samples (100.0 %) are exactly equal to training samples" in printed
    assert run([*arguments, "--json"]) == 0
    output = capsys.readouterr()
    assert "warning" not in output.err
    assert len(json.loads(output.out)["warnings"]) == 2
