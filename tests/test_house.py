"""The house rules that a linter does not know: the size of modules, their names, and complete phrases in docstrings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("network", "solver", "deploy", "qat", "api", "bitbudget")
MAX_LINES = 300
DUMPING_GROUNDS = re.compile(r"(^|_)(utils?|helpers?|common|misc|managers?)$")
SECTION = re.compile(r"^(Args|Attributes):$")
ENTRY = re.compile(r"^    \*{0,2}(\w+): (.*)$")


def modules(*folders: str) -> list[str]:
    return sorted(
        str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.py") if path.is_file()
    )


def entries(module: str) -> Iterator[tuple[str, str]]:
    """The entries of all `Args` and `Attributes` sections of a module: name and first line."""
    for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            continue
        is_listing = False
        for line in (ast.get_docstring(node) or "").splitlines():
            if SECTION.match(line):
                is_listing = True
            elif line and not line.startswith(" "):
                is_listing = False
            elif is_listing and (entry := ENTRY.match(line)):
                yield entry[1], entry[2]


@pytest.mark.parametrize("module", modules(*ROOMS, "benchmarks", "examples"))
def test_a_module_is_small_and_has_a_name_that_says_what_it_holds(module: str) -> None:
    path = ROOT / module
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
    assert not DUMPING_GROUNDS.search(path.stem)


@pytest.mark.parametrize("module", modules(*ROOMS))
def test_entries_of_docstrings_are_phrases(module: str) -> None:
    fragments = [f"{name}: {text}" for name, text in entries(module) if text[:1].islower() or len(text.split()) < 2]
    assert fragments == []
