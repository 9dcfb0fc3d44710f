"""The documents: every link to a file of this project leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for folder in ("", "docs", "docs/decisions", "docs/benchmarks", "examples/digits")
    for path in (ROOT / folder).glob("*.md")
)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    text = (ROOT / document).read_text()
    for target, anchor in LINK.findall(text):
        linked = (ROOT / document).parent / target if target else ROOT / document
        assert linked.exists(), f"{document} links to {target}"
        if anchor:
            headings = {
                "#" + re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
                for heading in re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            }
            assert anchor in headings, f"{document} links to {target}{anchor}"
