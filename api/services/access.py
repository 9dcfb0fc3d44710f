"""What a caller of the service may do: the project to which the caller belongs, and scopes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from api.settings import DEFAULT_PROJECT
from network.errors import RequestError

_PROJECT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


class Scope(StrEnum):
    """Right of a caller within its project."""

    READ = "read"
    SOLVE = "solve"
    TRAIN = "train"
    ADMIN = "admin"


SCOPE_MEANINGS: Final = {
    Scope.READ: "see networks, datasets, jobs and artifacts",
    Scope.SOLVE: "upload and delete networks, and ask questions about them",
    Scope.TRAIN: "upload and delete datasets; create, cancel, repeat and delete jobs; all about webhooks",
    Scope.ADMIN: "all of these, and the figures of the whole service",
}
"""What each scope allows."""


@dataclass(frozen=True, slots=True)
class Access:
    """Rights of the caller of one request.

    Attributes:
        project: Name of the caller's project; the caller sees nothing of other projects.
        scopes: What the caller may do there.
        key_id: Identifier of the caller's key, or of the subject of its token; None for a service without keys.
    """

    project: str
    scopes: frozenset[Scope]
    key_id: str | None

    def allows(self, scope: Scope) -> bool:
        """Return whether the caller has a scope; `admin` includes all others."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


EVERYBODY: Final = Access(DEFAULT_PROJECT, frozenset(Scope), None)
"""Rights of each caller of a service without keys."""


def checked_project(name: str) -> str:
    """Return the name of a project if it is valid.

    Raises:
        RequestError: If it is not.
    """
    if _PROJECT.fullmatch(name) is None:
        raise RequestError(
            f"the project {name[:80]!r} is not a valid name; expected 1 to 64 letters, digits, '.', '_' or '-', the "
            "first of them a letter or a digit"
        )
    return name
