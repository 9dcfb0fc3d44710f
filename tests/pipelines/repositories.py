"""Real git repositories with a network that a branch has changed."""

from __future__ import annotations

import json
from pathlib import Path

from network.json_reading.description import write_json
from network.network import Network
from tests.api.compared_files import grown, renamed
from tests.api.small_files import tiny_network
from tests.pipelines.runner import git

NETWORK = "models/tiny.json"
HOSTILE = "::error::owned `|<img src=x onerror=alert(1)> @everyone [a](https://a.example)"
"""Name of a layer that tries to end the code span and the cell, and to give a command to GitHub's runner."""


def write_network(folder: Path, network: Network, names: dict[str, str] | None = None) -> None:
    """Write a network into a repository, with some of its names replaced."""
    path = folder / NETWORK
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(renamed(json.loads(write_json(network, with_weights=True)), names or {})))


def commit(folder: Path, message: str) -> str:
    """Commit everything in a repository, and return the identifier of the commit."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def forked_repository(folder: Path) -> tuple[str, str]:
    """Make a repository whose branch `change` lets the network grow, with a hostile name, while `main` goes on.

    `main` gets a commit after the fork that the comparison must not see: a network that cannot be read.

    Returns:
        The merge base, and the tip of `main`. The branch `change` is checked out.
    """
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    write_network(folder, tiny_network())
    base = commit(folder, "A network")
    git(folder, "checkout", "--quiet", "-b", "change")
    write_network(folder, grown(tiny_network()), {"added": HOSTILE})
    commit(folder, "A layer more")
    git(folder, "checkout", "--quiet", "main")
    (folder / NETWORK).write_text("broken")
    tip = commit(folder, "Something else")
    git(folder, "checkout", "--quiet", "change")
    return base, tip
