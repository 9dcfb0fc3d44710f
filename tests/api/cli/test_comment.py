"""The comment of a pull request, in which names are any text: read by an independent parser of Markdown."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from api.cli.text.comment import MAX_ROWS, comment, marker_of
from api.cli.text.markdown import MAX_CHARACTERS, code_span
from api.operations.compared_results import result_of
from api.operations.comparison import compare
from api.schemas.comparison import ComparisonAnswer
from network.errors import RequestError
from tests.api.compared_files import Json, fitted, grown, renamed, tiny_fit
from tests.api.small_files import tiny_network

BASE = tiny_fit()
HEAD = fitted(grown(tiny_network()), flash="20kB", ram="4kB")
GITHUB_LIMIT = 65_536
HOSTILE = [
    "a|b|c",
    "a\\|b",
    "`code` ``more`` `",
    "```\nfence\n```",
    "@someone and @org/team",
    "https://example.com www.example.com a@example.com",
    "[text](https://example.com) ![image](https://example.com/x.png)",
    "<img src=x onerror=alert(1)><script>",
    "<!-- bitbudget: other -->\n--> </details>",
    "# title\n\n| a | b |\n| --- | --- |",
    "closes #1, GH-1, 0123456789abcdef0123456789abcdef01234567",
    "&lt;&#64;someone",
    "\\`",
    " ",
    "",
    "x" * 9_999,
    "\u202egnirts\u2066",
    "$x$ {{ template }} ${{ secrets.TOKEN }}",
]
MARKS = st.text(alphabet="`|\\<>@[]()!*_~#&;:/.$- \n\tax1", max_size=100)
names = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=100), MARKS, st.sampled_from(HOSTILE))


def parsed(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(markdown)


def answer_of(base: Json | None, head: Json) -> ComparisonAnswer:
    return compare(None if base is None else result_of(base, "base"), result_of(head, "head"))


def cells_of(tokens: list[Token]) -> list[Token]:
    """Return the contents of all cells of tables."""
    return [token for before, token in pairwise(tokens) if before.type in {"th_open", "td_open"}]


def shape_of(tokens: list[Token]) -> list[str]:
    """Return the blocks of a document, and below each the kinds of its inline parts, without their texts."""
    return [f"{token.type} {[child.type for child in token.children or []]}" for token in tokens]


PLAIN = shape_of(parsed(comment(answer_of(BASE, HEAD), "default")))


@settings(max_examples=60, deadline=None)
@given(st.lists(names, min_size=5, max_size=5, unique=True))
def test_the_document_has_the_same_parts_whatever_the_names_are(texts: list[str]) -> None:
    """Any name leaves rows, cells, spans and hidden lines as they are with plain names, and adds none."""
    mapping = dict(zip(("tiny", "first", "added", "last", "scores"), texts, strict=True))
    answer = answer_of(renamed(BASE, mapping), renamed(HEAD, mapping))
    tokens = parsed(comment(answer, "default"))
    assert shape_of(tokens) == PLAIN


def test_plain_names_are_shown_as_they_are() -> None:
    tokens = parsed(comment(answer_of(BASE, HEAD), "default"))
    spans = {child.content for token in tokens for child in token.children or [] if child.type == "code_inline"}
    assert {"tiny", "last", "added"} <= spans
    kinds = {child.type for token in tokens for child in token.children or []}
    assert kinds == {"text", "code_inline"}
    first, *_ = (token.content.strip() for token in tokens if token.type == "html_block")
    assert first == marker_of("default") == "<!-- bitbudget: default -->"


def test_flash_and_ram_of_the_tables_are_those_of_the_results() -> None:
    rows = [row.content for row in cells_of(parsed(comment(answer_of(BASE, HEAD), "default")))]
    at = rows.index("flash")
    before, after = BASE["memory"]["flash_bytes"], HEAD["memory"]["flash_bytes"]
    assert rows[at + 1 : at + 4] == [f"{before:,}", f"{after:,}", f"{after - before:+,}"]
    (layer,) = (each for each in HEAD["memory"]["layers"] if each["layer"] == "added")
    at = rows.index("`added` (new)")
    assert rows[at + 1 : at + 4] == ["-", f"{layer['flash_bytes']:,}", f"{layer['flash_bytes']:+,}"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_is_one_code_span(text: str) -> None:
    inline = parsed(f"| {code_span(text)} | end |\n| --- | --- |")
    first, end = cells_of(inline)
    assert [child.type for child in first.children or []] == ["code_inline"]
    assert end.content == "end"
    assert len((first.children or [])[0].content) <= MAX_CHARACTERS


def test_what_does_not_fit_is_explained_in_a_code_span() -> None:
    """The certificate is a sentence with the name of a layer in it."""
    document = renamed(tiny_fit(flash="100"), {"first": "@someone <b> | `x"})
    tokens = parsed(comment(answer_of(None, document), "default"))
    (problem,) = (
        child.content
        for token in tokens
        for child in token.children or []
        if child.type == "code_inline" and "are available" in child.content
    )
    assert "@someone <b> ¦ 'x" in problem
    assert {child.type for token in tokens for child in token.children or []} == {"text", "code_inline"}


def test_the_comment_of_a_large_change_is_short_enough_and_says_what_is_left_out() -> None:
    """Every layer changes and has a long name of characters of four bytes."""
    count = 3_000

    def document(flash_bytes: int) -> Json:
        layers = [
            {"layer": f"{number:05}{'😀' * 200}", "weight_bits": 8, "flash_bytes": flash_bytes + number}
            for number in range(count)
        ]
        shared = [{"region": "ram", "part": each["layer"], "size_bytes": flash_bytes} for each in layers]
        return BASE | {"memory": BASE["memory"] | {"layers": layers, "shared": shared, "steps": []}}

    answer = answer_of(document(0), document(2**52))
    assert (len(answer.layers), len(answer.shared)) == (count, count)
    text = comment(answer, "n" * 64)
    assert text.count(f"{count - MAX_ROWS:,} smaller changes are not shown.") == 2
    assert len(text.encode("utf-16-le")) / 2 < GITHUB_LIMIT


@pytest.mark.parametrize("name", ["", "a b", "-->", "a--!>\n", "-a", "ü", "x" * 65, "a\n"])
def test_a_name_that_could_end_the_hidden_line_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="expected 1 to 64 of the characters"):
        marker_of(name)
