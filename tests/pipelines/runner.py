"""The steps of the GitHub action, run here as GitHub's runner would: the real shell, in a real repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PIPELINES = ROOT / "pipelines"
_EXPRESSION = re.compile(r"\$\{\{ *([^}]+?) *\}\}")

Json = dict[str, Any]


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which this project's `bitbudget` is on the PATH, without variables of a CI system."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GITHUB_", "CI_", "RUNNER_", "PIPELINE_", "GIT_", "COMMENT_"))
    }
    path = os.pathsep.join((str(Path(sys.executable).parent), kept["PATH"]))
    author = {f"GIT_{who}_{what}": "a@b.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return kept | author | {"PATH": path, "PYTHONPATH": str(ROOT), "GIT_CONFIG_GLOBAL": os.devnull} | more


def shell(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script by bash in a folder, as CI systems do, and return its exit code and its output of both kinds."""
    return subprocess.run(
        [str(shutil.which("bash")), "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=folder,
        env=environment(**variables), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, and return its output."""
    done = subprocess.run(
        [str(shutil.which("git")), *arguments],
        cwd=folder,
        env=environment(),
        text=True,
        capture_output=True,
        check=True,
    )
    return done.stdout.strip()


class Runner:
    """A job on a runner: runs the steps with `run` of a composite action; the steps with `uses` are left out.

    Args:
        action: Path of the action, such as `github/action.yml`.
        workspace: Folder with the checked-out repository.
        temporary: Folder for the runner's files.
    """

    def __init__(self, action: str, workspace: Path, temporary: Path) -> None:
        self.file = PIPELINES / action
        self.document: Json = yaml.safe_load(self.file.read_text())
        self.workspace = workspace
        self.temporary = temporary
        self.log = ""
        self.outputs: dict[str, dict[str, str]] = {}
        temporary.mkdir(exist_ok=True)

    @property
    def summary(self) -> str:
        """What the steps have written for the page of the run."""
        return (self.temporary / "summary").read_text()

    def run(self, inputs: Mapping[str, str], contexts: Mapping[str, str], **variables: str) -> int:
        """Run all steps until one fails, and return the exit code of the last one.

        Args:
            inputs: Inputs of the action.
            contexts: Values of other expressions, such as `github.event.pull_request.base.sha`.
            variables: More variables of the environment.
        """
        assert set(inputs) <= set(self.document["inputs"])
        values = dict(contexts)
        for name, given in self.document["inputs"].items():
            values[f"inputs.{name}"] = inputs.get(name, self._expanded(given["default"], values))
        for step in self.document["runs"]["steps"]:
            values |= {
                f"steps.{key}.outputs.{name}": value
                for key in self.outputs
                for name, value in self.outputs[key].items()
            }
            code = self._step(step, values, variables) if "run" in step else 0
            if code:
                return code
        return 0

    def _step(self, step: Json, values: Mapping[str, str], variables: Mapping[str, str]) -> int:
        output = self.temporary / "output"
        output.write_text("")
        given = {name: self._expanded(value, values) for name, value in step["env"].items()}
        done = shell(
            step["run"], self.workspace, GITHUB_ACTIONS="true", GITHUB_ACTION_PATH=str(self.file.parent),
            GITHUB_OUTPUT=str(output), GITHUB_STEP_SUMMARY=str(self.temporary / "summary"),
            GITHUB_PATH=str(self.temporary / "path"), RUNNER_TEMP=str(self.temporary), **given, **variables,
        )  # fmt: skip
        self.log += done.stdout
        if "id" in step:
            self.outputs[step["id"]] = dict(line.split("=", 1) for line in output.read_text().splitlines())
        return done.returncode

    @staticmethod
    def _expanded(text: str, values: Mapping[str, str]) -> str:
        """Replace expressions by their values; `a || b` is the first that is not empty."""

        def value(match: re.Match[str]) -> str:
            return next(filter(None, (values.get(name.strip(), "") for name in match[1].split("||"))), "")

        return _EXPRESSION.sub(value, text)
