"""Base class of the records of one project in the database."""

from __future__ import annotations

from api.settings import DEFAULT_PROJECT
from api.storage.database.connections import Database


class ProjectRecords:
    """Records of one project in the database.

    Args:
        database: Connections to the database, whose tables are those of this version.
        project: Name of the project.

    Attributes:
        project: Name of the project.
    """

    def __init__(self, database: Database, project: str = DEFAULT_PROJECT) -> None:
        self._database = database
        self.project = project
