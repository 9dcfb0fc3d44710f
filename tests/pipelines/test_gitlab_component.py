"""The GitLab component: its inputs, and the real script of its jobs, which clones a repository and compares."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.api.compared_files import tiny_fit
from tests.pipelines.comment_servers import TOKEN, comment_server
from tests.pipelines.repositories import NETWORK, commit, forked_repository
from tests.pipelines.runner import PIPELINES, git, shell

COMPONENT = PIPELINES / "gitlab" / "bitbudget.yml"
Json = dict[str, Any]


def jobs_of(**inputs: str) -> Json:
    """Return the jobs of the component with inputs in their places, as GitLab inserts them."""
    header, body = COMPONENT.read_text().split("\n---\n")
    declared = yaml.safe_load(header)["spec"]["inputs"]
    assert set(inputs) <= set(declared)
    values = {name: inputs.get(name, (each or {}).get("default")) for name, each in declared.items()}

    def value(match: re.Match[str]) -> str:
        given = values[match[1]]
        assert given is not None, f"the input {match[1]} has no default"
        return str(given)

    document: Json = yaml.safe_load(re.sub(r"\$\[\[ inputs\.([a-z-]+) \]\]", value, body))
    return document


def run(job: Json, folder: Path, **variables: str) -> tuple[int, str]:
    """Run the script of a job, all lines in one shell, with its variables, and return its exit code and its log."""
    known = dict(variables)
    for name, value in job["variables"].items():
        known[name] = re.sub(r"\$([A-Z_]+)", lambda match: known.get(match[1], ""), value)
    done = shell("\n".join(job["script"]), folder, **known)
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a git repository with the scripts of this project and the tag v0.1.0."""
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(PIPELINES, folder / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "The scripts")
    git(folder, "tag", "v0.1.0")
    return folder


def test_a_merge_request_is_compared_and_commented(tmp_path: Path, source: Path) -> None:
    """Both jobs of the component, the second with the artifacts of the first."""
    repository = tmp_path / "repository"
    base, _ = forked_repository(repository)
    inputs = {"source": str(source), "network": NETWORK, "flash": "20kB", "ram": "4kB", "name": "tiny"}
    jobs = jobs_of(**inputs)
    assert set(jobs) == {"bitbudget tiny", "bitbudget comment tiny"}
    assert jobs["bitbudget comment tiny"]["needs"] == ["bitbudget tiny"]
    variables = {"CI_PROJECT_DIR": str(repository), "CI_MERGE_REQUEST_DIFF_BASE_SHA": base}
    code, log = run(jobs["bitbudget tiny"], repository, **variables)
    assert code == 0, log
    assert f"the base is {base}" in log
    assert jobs["bitbudget tiny"]["artifacts"]["paths"] == ["bitbudget-results/"]
    assert (repository / "bitbudget-results" / "base.json").is_file()
    with comment_server() as server:
        variables |= {"BITBUDGET_TOKEN": TOKEN, "CI_API_V4_URL": server.url}
        variables |= {"CI_MERGE_REQUEST_PROJECT_ID": "3", "CI_MERGE_REQUEST_IID": "12"}
        code, log = run(jobs["bitbudget comment tiny"], repository, **variables)
    assert code == 0, log
    ((method, path, body),) = server.requests
    assert (method, path) == ("POST", "/projects/3/merge_requests/12/notes")
    assert body["body"] == (repository / "bitbudget-results" / "comment.md").read_text()


def test_a_result_that_fails_is_commented_too(tmp_path: Path, source: Path) -> None:
    """The comment's job ends well: the other job has failed already."""
    folder = tmp_path / "bitbudget-results"
    folder.mkdir()
    (folder / "head.json").write_text(json.dumps(tiny_fit(flash="100")))
    job = jobs_of(source=str(source))["bitbudget comment default"]
    with comment_server() as server:
        code, log = run(
            job, tmp_path, CI_PROJECT_DIR=str(tmp_path), BITBUDGET_TOKEN=TOKEN, CI_API_V4_URL=server.url,
            CI_MERGE_REQUEST_PROJECT_ID="3", CI_MERGE_REQUEST_IID="12",
        )  # fmt: skip
    assert code == 0, log
    assert "does not fit" in server.requests[0][2]["body"]


def test_the_token_is_known_to_the_job_of_the_comment_alone() -> None:
    jobs = jobs_of(source="x")
    assert "BITBUDGET_TOKEN" not in json.dumps(jobs["bitbudget default"])
    assert "BITBUDGET_TOKEN" in jobs["bitbudget comment default"]["rules"][0]["if"]
