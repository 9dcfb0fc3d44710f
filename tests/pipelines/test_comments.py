"""The comment: written once, updated in place, on GitHub from an artifact of a fork, which is data and nothing more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import post_comment
from tests.api.compared_files import Json, renamed, tiny_fit
from tests.pipelines.comment_servers import BOT, BOT_ID, SHA, TOKEN, Comments, comment_server
from tests.pipelines.runner import Runner

MARKER = "<!-- bitbudget: tiny -->"
HOSTILE = "`|\n\n<!-- bitbudget: other -->\n# @everyone\x1b[2J ${{ secrets.TOKEN }} $(touch owned) </details>"
CONTEXTS = {
    "github.event.workflow_run.head_repository.owner.login": "stranger",
    "github.event.workflow_run.head_branch": "a&state=closed$(touch owned)",
    "github.event.workflow_run.head_sha": SHA,
    "github.token": TOKEN,
}


@pytest.fixture
def server() -> Iterator[Comments]:
    with comment_server() as known:
        yield known


@pytest.fixture
def comment(tmp_path: Path) -> Path:
    path = tmp_path / "comment.md"
    path.write_text(f"{MARKER}\n### fits\n")
    return path


def post(server: Comments, monkeypatch: pytest.MonkeyPatch, kind: str, comment: Path, **settings: str) -> int:
    """Run the script for a pull request, or merge request, number 12."""
    both = {"COMMENT_TOKEN": TOKEN, "GITHUB_API_URL": server.url, "GITHUB_REPOSITORY": "a/b", "COMMENT_AUTHOR": BOT}
    both |= {"HEAD_OWNER": "stranger", "HEAD_BRANCH": "x", "HEAD_SHA": SHA, "CI_API_V4_URL": server.url}
    both |= {"CI_MERGE_REQUEST_PROJECT_ID": "3", "CI_MERGE_REQUEST_IID": "12"}
    for name, value in (both | settings).items():
        monkeypatch.setenv(name, value)
    return post_comment.main([kind, str(comment)])


def comment_job(tmp_path: Path, server: Comments, artifact: dict[str, Json]) -> tuple[Runner, int]:
    """Run the steps of the second workflow on an artifact, and return the job and its exit code."""
    folder = tmp_path / "runner" / "bitbudget-artifact"
    folder.mkdir(parents=True)
    for name, document in artifact.items():
        (folder / name).write_text(json.dumps(document))
    (tmp_path / "workspace").mkdir()
    runner = Runner("github/comment/action.yml", tmp_path / "workspace", tmp_path / "runner")
    return runner, runner.run({"name": "tiny"}, CONTEXTS, GITHUB_API_URL=server.url, GITHUB_REPOSITORY="a/b")


def test_the_comment_is_made_from_the_figures_of_the_artifact_alone(tmp_path: Path, server: Comments) -> None:
    """Neither a ready comment nor a script in the artifact is used, and the names in it stay in their cells."""
    document = renamed(tiny_fit(), {"last": HOSTILE, "tiny": HOSTILE})
    artifact = {"head.json": document, "comment.md": {}, "compare.sh": {}, "bitbudget": {}}
    runner, code = comment_job(tmp_path, server, artifact)
    assert code == 0, runner.log
    ((method, path, body),) = server.requests
    assert (method, path) == ("POST", "/repos/a/b/issues/12/comments")
    lines = body["body"].splitlines()
    assert lines[0] == MARKER
    assert sum("@everyone" in line for line in lines) == 2  # the name of the network, and of the layer at the peak
    assert all(line.count("`") in {2, 4} for line in lines if "@everyone" in line)
    assert not list((tmp_path / "workspace").iterdir())


def test_the_pull_request_is_found_by_the_event(tmp_path: Path, server: Comments) -> None:
    """A branch's name is one value of the query, and a newer commit gets no comment about an older one."""
    server.pulls[0]["head"]["sha"] = "2" * 40
    runner, code = comment_job(tmp_path, server, {"head.json": tiny_fit()})
    assert code == 0, runner.log
    assert server.queries == [{"state": "open", "head": "stranger:a&state=closed$(touch owned)"}]
    assert server.requests == []
    assert "there is a newer commit" in runner.log


def test_an_artifact_that_is_not_a_result_gives_no_comment(tmp_path: Path, server: Comments) -> None:
    runner, code = comment_job(tmp_path, server, {"head.json": {"fits": True}})
    assert code == 2
    assert "not a result that can be compared" in runner.log
    assert server.requests == []


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_a_second_run_updates_the_comment_of_the_first(
    server: Comments, monkeypatch: pytest.MonkeyPatch, comment: Path, kind: str
) -> None:
    """The comment is found behind a full page of others."""
    for number in range(130):
        server.add(f"comment {number}", "somebody", 1)
    assert post(server, monkeypatch, kind, comment) == 0
    server.add("an answer", "somebody", 1)
    comment.write_text(f"{MARKER}\n### fails\n")
    assert post(server, monkeypatch, kind, comment) == 0
    assert [method for method, _, _ in server.requests] == ["POST", {"github": "PATCH", "gitlab": "PUT"}[kind]]
    assert [each["body"] for each in server.comments if MARKER in each["body"]] == [f"{MARKER}\n### fails\n"]


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_a_comment_of_somebody_else_or_of_another_name_is_left_alone(
    server: Comments, monkeypatch: pytest.MonkeyPatch, comment: Path, kind: str
) -> None:
    server.add(f"{MARKER}\nplanted", "stranger", 99)
    server.add("<!-- bitbudget: tiny2 -->\nanother network", BOT, BOT_ID)
    server.add(f"quoted:\n{MARKER}", BOT, BOT_ID)
    server.add("", BOT, BOT_ID)
    assert post(server, monkeypatch, kind, comment) == 0
    assert [method for method, _, _ in server.requests] == ["POST"]


def test_the_pipeline_of_a_fork_on_gitlab_has_no_token_and_ends_well(
    server: Comments, monkeypatch: pytest.MonkeyPatch, comment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert post(server, monkeypatch, "gitlab", comment, COMMENT_TOKEN="") == 0
    assert "there is no token" in capsys.readouterr().out
    assert server.requests == []


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_a_refusal_is_told_without_the_token(
    server: Comments, monkeypatch: pytest.MonkeyPatch, comment: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    assert post(server, monkeypatch, kind, comment, COMMENT_TOKEN="wrong-token") == 1  # noqa: S106
    error = capsys.readouterr().err
    assert "401" in error
    assert "wrong-token" not in error


@pytest.mark.parametrize("text", ["### no hidden line", "<!-- bitbudget: a b -->\n", f"{MARKER}\n{'x' * 65_000}"])
def test_only_a_comment_of_this_project_is_sent(
    server: Comments, monkeypatch: pytest.MonkeyPatch, comment: Path, text: str
) -> None:
    comment.write_text(text)
    assert post(server, monkeypatch, "github", comment) == 2
    assert (server.requests, server.queries) == ([], [])
