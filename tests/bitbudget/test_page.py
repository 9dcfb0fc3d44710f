"""The page about the Python API: each of its examples runs, and prints what the page shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import bitbudget
from docs.example_outputs import PAGE, with_outputs

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_examples_run_and_print_what_is_shown() -> None:
    variables: dict[str, Any] = {"__name__": "page"}
    assert with_outputs(TEXT, variables) == TEXT, "run: make docs"
    trained, integers = variables["trained"], variables["integers"]
    assert isinstance(trained, bitbudget.TrainResult)
    assert trained.accuracy is not None
    assert trained.accuracy.integer_only > 90
    assert variables["reached"] == trained.accuracy.integer_only
    assert isinstance(integers, bitbudget.IntegerNetwork)
    assert integers.name == "own"


def test_other_output_is_noticed() -> None:
    page = "```python\nprint(6 * 7)\n```\n\n```text\n41\n```\n\n```python\nprint('not shown')\n```\n\nEnd.\n"
    assert with_outputs(page, {}) == page.replace("41", "42")


def test_every_public_function_stands_on_the_page() -> None:
    functions = [name for name in bitbudget.__all__ if name[0].islower()]
    assert [name for name in functions if f"bitbudget.{name}(" not in TEXT] == []


def test_every_error_stands_on_the_page() -> None:
    classes = {name: getattr(bitbudget, name) for name in bitbudget.__all__}
    errors = [
        name for name, each in classes.items() if isinstance(each, type) and issubclass(each, bitbudget.BitbudgetError)
    ]
    assert len(errors) > 8
    assert [name for name in errors if f"`{name}`" not in TEXT] == []


@pytest.mark.parametrize("path", sorted(PAGE.parent.glob("*.md")), ids=lambda path: path.name)
def test_names_in_the_documents_are_public(path: Path) -> None:
    named = re.findall(r"\bbitbudget\.([a-z_]+|[A-Z]\w+)\b(?=\()", path.read_text(encoding="utf-8"))
    assert set(named) - set(bitbudget.__all__) == set()
