"""The documents: their links lead to files, and what README shows is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.command_outputs import PAGES, selected, with_outputs
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
EXTENSION_PAGES = sorted(path.relative_to(ROOT) for path in (ROOT / "docs").glob("adding-*.md"))
README_LINES = 170
ARCHITECTURE_LINES = 150


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
    prose = re.sub(r"^```.*?^```$", "", text_of(document), flags=re.MULTILINE | re.DOTALL)
    counts = re.findall(r"\b\d+ (?:devices|microcontrollers)\b", prose)
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


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_modules_that_are_named_exist(document: Path) -> None:
    for path in re.findall(r"`((?:network|solver|deploy|qat|api|tests|docs|examples)/[\w/]+\.\w+)`", text_of(document)):
        assert (ROOT / path).is_file(), f"{document} names {path}"


@pytest.mark.parametrize("document", EXTENSION_PAGES, ids=str)
def test_names_in_a_row_about_a_module_exist_there(document: Path) -> None:
    """The tables of the extension pages have modules in the first cell, and names in them in the second."""
    rows = re.findall(r"^\| (`[^|]*\.py`) \| (.*) \|$", text_of(document), re.MULTILINE)
    for modules, addition in rows:
        code = "".join(text_of(Path(path)) for path in re.findall(r"`([\w/]+\.py)`", modules))
        for name in re.findall(r"`(_*[A-Za-z]\w*)`", addition):
            assert re.search(rf"\b{name}\b", code), f"{document}: {modules} has no {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_shown_output_is_what_the_command_prints(page: Path) -> None:
    """Except for those of commands with samples, which depend on the machine; widths of columns may differ."""
    text = page.read_text(encoding="utf-8")
    assert text.count("$ bitbudget ") == text.count("<!-- output: ") > 0
    assert _without_widths(with_outputs(text)) == _without_widths(text), "run: make docs"


def test_a_selection_has_dots_for_what_is_left_out() -> None:
    assert list(selected(["a 1", "b", "c", "d", "a 2", "e"], ["a", "-3:-2"])) == ["a 1", "...", "d", "a 2", "..."]
    assert list(selected(["a", "b"], [":"])) == ["a", "b"]
    with pytest.raises(ValueError, match="'f' selects none of the 2 lines"):
        list(selected(["a", "b"], ["f"]))


def _without_widths(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_picture_shows_todays_figures(tmp_path: Path) -> None:
    before, after = solutions()
    draw(before, after, tmp_path / "fit.svg")
    drawn, kept = ((path).read_text(encoding="utf-8") for path in (tmp_path / "fit.svg", PICTURE))
    labels = re.compile(r"<text [^>]*>([^<]*)</text>")
    assert labels.findall(drawn) == labels.findall(kept), "run: python docs/fit_picture.py"
    assert any(f"{after.memory.ram_bytes:,.0f}" in label for label in labels.findall(kept))
