"""Migration of a database of an earlier version, with alembic."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from api.storage.database.opening import revision_of
from api.storage.database.schema import SCHEMA_VERSION

FOLDER: Final = Path(__file__).with_name("migrations")
"""Folder of alembic's environment and of all migrations."""


def migrate(connection: Connection, version: int) -> None:
    """Bring the tables of a database to the present version.

    Args:
        connection: Connection in a transaction, which remains open.
        version: Version of the database's tables; 0 if it has none.
    """
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    if version:
        command.stamp(config, revision_of(version))  # versions 1 and 2 had no table of alembic
    command.upgrade(config, revision_of(SCHEMA_VERSION))
