"""Write the comment of a pipeline into docs/pipelines.md, and its text: `python docs/pipeline_comment.py`.

The script makes a git repository with two commits, MobileNetV1 and MobileNetV1 with one block more, and runs
`pipelines/compare.sh` in it, as the GitHub action and the GitLab component do.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "pipelines.md"
NETWORK: Final = ROOT / "examples" / "mobilenet_v1.json"
BLOCK: Final = re.compile(
    r"(?P<begin><!-- made by docs/pipeline_comment.py: the comment -->\n).*?(?P<end><!-- the end of the comment -->)",
    re.DOTALL,
)


def with_comment(text: str, comment: str) -> str:
    """Return the text of a page with the comment in its place.

    Args:
        text: The page, in Markdown.
        comment: Comment of a pipeline, in Markdown.
    """
    return BLOCK.sub(lambda block: f"{block['begin']}\n{comment}\n{block['end']}", text)


def comment_of_a_larger_network() -> str:
    """Return the comment for MobileNetV1 that got one more block, under budgets that hold both."""
    bash, git = shutil.which("bash"), shutil.which("git")
    if bash is None or git is None:
        raise FileNotFoundError("the script needs bash and git")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITHUB_", "PIPELINE_"))}
    names = {f"GIT_{who}_{what}": "ci@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = os.pathsep.join((str(Path(sys.executable).parent), kept["PATH"]))
    budget = {"PIPELINE_FLASH": "2MB", "PIPELINE_RAM": "512kB", "PIPELINE_BASE": "HEAD^", "PIPELINE_NAME": "mobilenet"}
    environment = kept | names | budget | {"PATH": path, "PIPELINE_NETWORK": NETWORK.name, "PYTHONPATH": str(ROOT)}
    network = json.loads(NETWORK.read_text(encoding="utf-8"))
    with TemporaryDirectory() as folder:
        repository = Path(folder, "repository")
        repository.mkdir()
        _run(repository, environment, git, "init", "--quiet")
        for document in (network, _with_block(network)):
            (repository / NETWORK.name).write_text(json.dumps(document), encoding="utf-8")
            _run(repository, environment, git, "add", "--all")
            _run(repository, environment, git, "commit", "--quiet", "--message", "A network")
        _run(repository, environment, bash, str(ROOT / "pipelines" / "compare.sh"), f"{folder}/results")
        return Path(folder, "results", "comment.md").read_text(encoding="utf-8")


def _run(folder: Path, environment: dict[str, str], *command: str) -> None:
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)  # noqa: S603  # our own


def _with_block(network: dict[str, Any]) -> dict[str, Any]:
    """Return the description of MobileNetV1 with its last block twice."""
    layers = list(network["layers"])
    depthwise, pointwise, pool, classes = layers[-4:]
    twice = [
        depthwise | {"name": "conv14_dw", "inputs": [pointwise["output"]], "output": "conv14_dw_relu6"},
        pointwise | {"name": "conv14_pw", "inputs": ["conv14_dw_relu6"], "output": "conv14_pw_relu6"},
        pool | {"inputs": ["conv14_pw_relu6"]},
    ]
    return network | {"layers": [*layers[:-2], *twice, classes]}


def main() -> None:
    """Write the comment into its page."""
    before = PAGE.read_text(encoding="utf-8")
    after = with_comment(before, comment_of_a_larger_network())
    if after != before:
        PAGE.write_text(after, encoding="utf-8")
        print(f"{PAGE.name} is written")


if __name__ == "__main__":
    main()
