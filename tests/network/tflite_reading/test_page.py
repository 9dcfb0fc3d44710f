"""The page about TFLite lists the operators that the code reads."""

from __future__ import annotations

import re
from pathlib import Path

from network.tflite_reading.host_operators import OPERATORS as HOST_OPERATORS
from network.tflite_reading.operators import OPERATORS

PAGE = (Path(__file__).parents[3] / "docs" / "tflite.md").read_text()


def test_the_table_of_operators_is_that_of_the_code() -> None:
    table = PAGE[PAGE.index("| operator |") : PAGE.index("A fused clamp")]
    rows = re.findall(r"^\| ([A-Z0-9_]+) \| (.*) \|$", table, re.MULTILINE)
    assert rows == [(name, operator.forms) for name, operator in OPERATORS.items()]


def test_the_list_of_operators_of_the_host_is_that_of_the_code() -> None:
    listed = PAGE[PAGE.index("`host.py` computes these operators") : PAGE.index("## What is refused")]
    assert re.findall(r"\b[A-Z][A-Z0-9_]+\b", listed) == list(HOST_OPERATORS)
