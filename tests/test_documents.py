"""The documents: their links lead to files, and what README shows is what the code does."""

from __future__ import annotations

import re
import shlex
from itertools import groupby
from pathlib import Path

import pytest

from api.cli.main import run
from docs.fit_picture import PICTURE, draw, solutions

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for folder in ("", "docs", "docs/decisions", "docs/benchmarks", "examples/digits")
    for path in (ROOT / folder).glob("*.md")
)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")
NAMED_IN_FILE = re.compile(r"\[`(\w+)`\]\((?:\.\./)*([\w/]+\.py)\)")
ARCHITECTURE = Path("docs/architecture.md")
README_LINES = 170
ARCHITECTURE_LINES = 150
OMITTED = "..."
SHOWN = re.compile(
    r"^```text\n\$ bitbudget (?P<command>.*?)(?: \| tail -n (?P<tail>\d+))?\n(?P<output>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def text_of(document: Path) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def linked_from(document: Path) -> set[Path]:
    """Return the files of this project that a document links to, relative to its root."""
    found = ((ROOT / document).parent / target for target, _ in LINK.findall(text_of(document)) if target)
    return {path.resolve().relative_to(ROOT) for path in found}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    text = text_of(document)
    for target, anchor in LINK.findall(text):
        linked = (ROOT / document).parent / target if target else ROOT / document
        assert linked.exists(), f"{document} links to {target}"
        if anchor:
            headings = {
                "#" + re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
                for heading in re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            }
            assert anchor in headings, f"{document} links to {target}{anchor}"


@pytest.mark.parametrize("document", [document for document in DOCUMENTS if document != Path("CHANGELOG.md")], ids=str)
def test_the_size_of_the_catalogue_is_not_typed_by_hand(document: Path) -> None:
    """It changes with every device that is added."""
    counts = re.findall(r"\b\d+ (?:devices|microcontrollers)\b", text_of(document))
    assert counts == [], f"{document} says {counts}; do not count the catalogue in prose"


def test_the_first_pages_are_short() -> None:
    assert len(text_of(Path("README.md")).splitlines()) <= README_LINES
    assert len(text_of(ARCHITECTURE).splitlines()) <= ARCHITECTURE_LINES


def test_from_readme_to_the_packing_of_two_bit_weights_in_three_clicks() -> None:
    assert ARCHITECTURE in linked_from(Path("README.md"))
    for path, function in (("deploy/weight_packing.py", "pack_weights"), ("deploy/arithmetic.py", "pack_rows")):
        assert Path(path) in linked_from(ARCHITECTURE)
        assert f"[`{function}`](../{path})" in text_of(ARCHITECTURE)
        assert f"def {function}(" in text_of(Path(path))


def test_every_page_is_reached_from_readme() -> None:
    """No page is an orphan; the pages of decisions are reached by their folder."""
    reached, left = set[Path](), {Path("README.md")}
    while left:
        document = left.pop()
        reached.add(document)
        left |= {path for path in linked_from(document) if path.suffix == ".md"} - reached
    assert {document for document in DOCUMENTS if document.parent == Path("docs")} - reached == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_a_name_that_links_to_a_module_is_defined_there(document: Path) -> None:
    for name, path in NAMED_IN_FILE.findall(text_of(document)):
        defined = re.search(rf"^\s*(?:async )?(?:def|class) {name}\b|^{name}\b.* =", text_of(Path(path)), re.MULTILINE)
        assert defined, f"{document} says that {path} defines {name}"


def shown_outputs() -> list[tuple[str, re.Match[str]]]:
    """Return the outputs of commands that documents show; those that depend on samples differ between machines."""
    return [
        (f"{document}: {shown['command']}", shown)
        for document in (Path("README.md"), Path("docs/command.md"))
        for shown in SHOWN.finditer(text_of(document))
        if "--data" not in shown["command"]
    ]


@pytest.mark.parametrize("shown", [pytest.param(shown, id=name) for name, shown in shown_outputs()])
def test_a_shown_output_is_what_the_command_prints(
    shown: re.Match[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Parts between lines of dots must follow each other in the output, each in one piece; widths of columns may differ."""
    monkeypatch.chdir(ROOT)
    run(shlex.split(shown["command"]))
    printed = _without_widths(capsys.readouterr().out)
    if shown["tail"]:
        printed = printed[-int(shown["tail"]) :]
    lines = _without_widths(shown["output"])
    parts = [list(part) for is_dots, part in groupby(lines, lambda line: line == OMITTED) if not is_dots]
    if len(parts) == 1:
        assert lines == printed
    for part in parts:
        starts = [i for i in range(len(printed)) if printed[i : i + len(part)] == part]
        assert starts, "the command does not print:\n" + "\n".join(part)
        printed = printed[starts[0] + len(part) :]


def _without_widths(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_picture_shows_todays_figures(tmp_path: Path) -> None:
    draw(*solutions(), tmp_path / "fit.svg")
    drawn, kept = ((path).read_text(encoding="utf-8") for path in (tmp_path / "fit.svg", PICTURE))
    labels = re.compile(r"<text [^>]*>([^<]*)</text>")
    assert labels.findall(drawn) == labels.findall(kept), "run: python docs/fit_picture.py"
    assert any("402,960" in label for label in labels.findall(kept))
