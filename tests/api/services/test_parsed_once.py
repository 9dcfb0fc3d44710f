"""A question is parsed once; what was computed for a kept network is not computed again, in a new process either."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
ONE_REQUEST = {"device": 1, "budget": 1, "rule book": 2}
"""A rule book for each optimization that the solver may choose."""
SIZES = {"size": 3}
"""The device's flash and RAM, and the RAM of the request."""


def fitted(data: Path, *arguments: str) -> Any:
    command = [sys.executable, "-W", "ignore", "-m", "tests.api.services.counted_fit", str(data), *arguments]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("method", ["exact", "mixpc"])
def test_a_fit_parses_everything_once_and_a_second_process_computes_nothing_again(tmp_path: Path, method: str) -> None:
    first = fitted(tmp_path, method, "upload")
    made = {"network file": 1, "table": 1} if method == "exact" else {}
    assert first["fits"]
    assert first["counts"] == ONE_REQUEST | SIZES | made
    again = fitted(tmp_path, method)
    assert again["counts"] == ONE_REQUEST | SIZES
    assert again["weight_bits"] == first["weight_bits"]
