"""The files of the pipelines, by the schemas that GitHub, GitLab and the Compose project publish, and by ShellCheck."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.pipelines.runner import PIPELINES, ROOT
from tests.pipelines.test_gitlab_component import COMPONENT, jobs_of

GITHUB = PIPELINES / "github"


@pytest.fixture(scope="module")
def check_jsonschema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program check-jsonschema, which carries the schemas, in an environment of its own."""
    folder = tmp_path_factory.mktemp("schemas") / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "check-jsonschema>=0.39"]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot install check-jsonschema: {done.stderr.strip().splitlines()[-1]}")
    return folder / "bin" / "check-jsonschema"


def faults(program: Path, schema: str, *files: Path) -> str:
    """Return what is wrong with files by a schema that the program carries; an empty text if nothing is."""
    command = [str(program), "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-actions", [GITHUB / "action.yml", GITHUB / "comment" / "action.yml"]),
        ("github-workflows", sorted((GITHUB / "examples").glob("*.yml"))),
        ("gitlab-ci", [PIPELINES / "gitlab" / "examples" / ".gitlab-ci.yml"]),
    ],
)
def test_the_files_follow_the_published_schemas(
    check_jsonschema: Path, tmp_path: Path, schema: str, files: list[Path]
) -> None:
    assert files
    assert faults(check_jsonschema, schema, *files) == ""
    broken, text = tmp_path / "broken.yml", files[0].read_text()
    for right, wrong in (("runs:", "walks:"), ("jobs:", "tasks:"), ("stages: [", "stages: [1, ")):
        text = text.replace(right, wrong)
    broken.write_text(text)
    assert faults(check_jsonschema, schema, broken) != ""


@pytest.mark.long
def test_the_jobs_of_the_component_follow_the_schema(check_jsonschema: Path, tmp_path: Path) -> None:
    """The schema describes one document; GitLab reads the jobs after the inputs are in their places."""
    jobs, header = tmp_path / "jobs.yml", tmp_path / "header.yml"
    jobs.write_text(yaml.safe_dump(jobs_of(source="https://example.com/bitbudget.git")))
    header.write_text(COMPONENT.read_text().split("\n---\n")[0])
    assert faults(check_jsonschema, "gitlab-ci", jobs) == ""
    assert faults(check_jsonschema, "gitlab-ci", header) == ""


@pytest.mark.parametrize("workflow", sorted((GITHUB / "examples").glob("*.yml")), ids=lambda path: path.name)
def test_the_example_workflows_give_inputs_that_the_actions_have(workflow: Path) -> None:
    document = yaml.safe_load(workflow.read_text())
    uses = [step for job in document["jobs"].values() for step in job["steps"] if "/bitbudget/" in step["uses"]]
    assert uses
    for step in uses:
        path = step["uses"].partition("@")[0].split("/", 2)[2]
        action = yaml.safe_load((ROOT / path / "action.yml").read_text())
        assert set(step["with"]) <= set(action["inputs"])


def test_the_workflow_of_forks_has_neither_secrets_nor_rights() -> None:
    """`pull_request` runs a stranger's code; the workflow that may write runs none."""
    texts = [(GITHUB / "examples" / name).read_text() for name in ("bitbudget.yml", "bitbudget-comment.yml")]
    check, comment = map(yaml.safe_load, texts)
    assert "pull_request" in check[True]  # YAML 1.1 reads `on` as true
    assert check["permissions"] == {"contents": "read"}
    assert "secrets." not in texts[0]
    assert set(comment[True]) == {"workflow_run"}
    assert comment["permissions"] == {}
    assert "actions/checkout" not in texts[1]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
def test_the_scripts_pass_shellcheck() -> None:
    scripts = sorted(map(str, PIPELINES.glob("*.sh")))
    done = subprocess.run([str(shutil.which("shellcheck")), *scripts], capture_output=True, text=True, check=False)
    assert done.stdout == ""
