"""The GitHub action: its real steps, in a repository whose branch changed the network."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from api.operations.fit import answer_fit
from api.schemas.answer import NetworkName
from api.schemas.fit import FitRequest
from network.sensitivity.from_weights import weight_sensitivity
from tests.api.compared_files import grown, training_report
from tests.api.small_files import tiny_network
from tests.pipelines.repositories import NETWORK, commit, forked_repository, write_network
from tests.pipelines.runner import PIPELINES, Runner, git

BUDGET = {"flash": "20kB", "ram": "4kB"}
ACTIONS = ["github/action.yml", "github/comment/action.yml"]


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """Return the finished job for the pull request of a fork with a hostile layer name."""
    folder = tmp_path_factory.mktemp("fork")
    _, tip = forked_repository(folder / "repository")
    runner = Runner("github/action.yml", folder / "repository", folder / "runner")
    contexts = {"github.event.pull_request.base.sha": tip}
    code = runner.run({"network": NETWORK, "name": "tiny", "options": "--schedule given", **BUDGET}, contexts)
    assert code == 0, runner.log
    return runner


def results_of(runner: Runner, name: str) -> Path:
    return runner.temporary / "bitbudget-results" / name


def test_base_and_head_are_the_results_of_the_two_networks(fork: Runner) -> None:
    """The base is the merge base: the tip of the other branch has no readable network."""
    for name, network in (("base", tiny_network()), ("head", grown(tiny_network()))):
        answer = answer_fit(
            network, NetworkName(id="", name=""), FitRequest.model_validate(BUDGET), weight_sensitivity(network)
        )
        written = json.loads((results_of(fork, "tiny") / f"{name}.json").read_text())
        assert written["memory"]["flash_bytes"] == answer.memory.flash_bytes
        assert written["memory"]["ram_bytes"] == answer.memory.ram_bytes


def test_a_hostile_name_gives_no_command_to_the_runner(fork: Runner) -> None:
    """The runner obeys lines that begin with `::`; between the two markers it obeys none but the end marker."""
    lines = fork.log.splitlines()
    (start,) = (line for line in lines if line.startswith("::stop-commands::"))
    token = start.removeprefix("::stop-commands::")
    assert re.fullmatch("[0-9a-f]{32}", token)
    end = lines.index(f"::{token}::")
    assert any(line.startswith("::error::owned") for line in lines[lines.index(start) : end])
    assert not [line for line in lines[: lines.index(start)] + lines[end + 1 :] if "::" in line]
    assert set(fork.outputs["compare"]) == {"folder", "exit-code"}


def test_the_summary_is_the_comment_and_holds_the_name_in_one_line(fork: Runner) -> None:
    comment = (results_of(fork, "tiny") / "comment.md").read_text()
    assert fork.summary == comment
    assert comment.startswith("<!-- bitbudget: tiny -->\n### ✅ bitbudget: `tiny` fits\n")
    (row,) = (line for line in comment.splitlines() if "(new)" in line)
    assert row.startswith("| `::error::owned '¦<img src=x onerror=alert(1)> @everyone [a](https://a.example)` (new) |")
    assert row.count("`") == 2


def test_nothing_of_the_comparison_stays_in_the_repository(fork: Runner) -> None:
    assert git(fork.workspace, "status", "--porcelain", "--ignored") == ""
    assert len(git(fork.workspace, "worktree", "list").splitlines()) == 1


def test_without_a_merge_base_only_the_budget_counts(tmp_path: Path) -> None:
    """A network that needs more than its budget fails; a new branch has no earlier commit."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    write_network(folder, tiny_network())
    commit(folder, "A network")
    runner = Runner("github/action.yml", folder, tmp_path / "runner")
    contexts = {"github.event.before": "0" * 40}
    assert runner.run({"network": NETWORK, "flash": "3kB", "ram": "4kB"}, contexts) == 1
    assert "there is no merge base" in runner.log
    assert runner.outputs["compare"]["exit-code"] == "1"
    assert not (results_of(runner, "default") / "base.json").exists()
    assert "does not fit" in runner.summary.splitlines()[1]


def test_a_committed_result_fails_if_its_quality_drops(tmp_path: Path, fork: Runner) -> None:
    """A folder that a training has written is compared by its report, without fitting anything."""
    folder = tmp_path / "repository"
    (folder / "trained").mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    fit = json.loads((results_of(fork, "tiny") / "base.json").read_text())
    for accuracy in (91.0, 90.2):
        (folder / "trained" / "report.json").write_text(json.dumps(training_report(fit, accuracy)))
        commit(folder, f"{accuracy} %")
    runner = Runner("github/action.yml", folder, tmp_path / "runner")
    inputs = {"result": "trained", "max-quality-drop": "0.5", "base": "HEAD^"}
    assert runner.run(inputs, {}) == 1
    assert "FAILS: THE QUALITY DROPS BY MORE THAN THE LIMIT" in runner.log
    assert "| accuracy | 91.00 % | 90.20 % | -0.80 | may drop by 0.5 |" in runner.summary


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside.json", "missing.json"])
def test_a_network_outside_of_the_repository_is_not_read(tmp_path: Path, target: str) -> None:
    """A fork can make the network a link to any file of the runner."""
    folder = tmp_path / "repository"
    folder.mkdir()
    write_network(tmp_path, tiny_network())
    (tmp_path / NETWORK).rename(tmp_path / "outside.json")
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "network.json").symlink_to(target)
    commit(folder, "A link")
    runner = Runner("github/action.yml", folder, tmp_path / "runner")
    assert runner.run({"network": "network.json", **BUDGET}, {}) == 2
    assert re.search("'network.json' (is outside of the repository|does not exist)", runner.log)
    assert not (results_of(runner, "default") / "head.json").exists()


@pytest.mark.parametrize("action", ACTIONS)
def test_no_expression_stands_in_a_script(action: str) -> None:
    """An expression in a script is replaced before the shell reads it, so that a branch's name could be a command."""
    steps = Runner(action, PIPELINES, PIPELINES).document["runs"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    assert len(scripts) >= 2
    assert not [script for script in scripts if "${{" in script]
