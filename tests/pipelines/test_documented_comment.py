"""The comment in docs/pipelines.md is what the scripts write today."""

from __future__ import annotations

from docs.pipeline_comment import BLOCK, PAGE, comment_of_a_larger_network, with_comment


def test_the_page_shows_the_comment_of_a_real_run() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(BLOCK.findall(page)) == 1
    comment = comment_of_a_larger_network()
    assert "`conv14_pw` (new)" in comment
    assert with_comment(page, comment) == page, "run python docs/pipeline_comment.py"
