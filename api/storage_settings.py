"""Settings of what the service stores: data directory, database and store, with the places in the data directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from api.server_settings import ServerSettings
from api.setting_types import SIZE, AbsolutePath


class StorageSettings(ServerSettings):
    """Settings of what the service stores; `Settings` has them too."""

    data_directory: AbsolutePath = Field(
        default=Path("bitbudget-data"),
        validation_alias="BITBUDGET_DATA",
        description="Directory for everything that the service stores. Services share a directory only "
        "if they share a database by its URL.",
    )
    database_url: str | None = Field(
        default=None,
        validation_alias="BITBUDGET_DATABASE",
        repr=False,  # it may have a password
        description="URL of the database, such as postgresql+psycopg://USER:PASSWORD@HOST/DATABASE; none: the SQLite "
        "file bitbudget.sqlite in the data directory. Other users of the machine can read options of a command, so "
        "give a URL with a password by the environment variable.",
    )
    store_url: str | None = Field(
        default=None,
        validation_alias="BITBUDGET_STORE",
        description="URL of the store of networks, datasets, checkpoints and artifacts, such as s3://BUCKET/PREFIX "
        "(needs the extra s3; keys, region and endpoint by the variables of AWS) or file:///FOLDER; none: the data "
        "directory.",
    )
    max_cache_bytes: Annotated[int, SIZE] = Field(
        default=4 * 2**30,
        validation_alias="BITBUDGET_MAX_CACHE_SIZE",
        description="Size of the copies of files of the store that are kept in the data directory; the one that was "
        "used least recently is deleted first.",
    )

    @property
    def database(self) -> str | Path:
        """URL of the service's database, or the path of its SQLite file."""
        return self.database_url or self.data_directory / "bitbudget.sqlite"

    @property
    def cache_directory(self) -> Path:
        """Path of the directory of copies of files of the store, which may be deleted while nothing runs."""
        return self.data_directory / "cache"

    @property
    def networks_directory(self) -> Path:
        """Path of the directory of uploaded networks."""
        return self.data_directory / "networks"

    @property
    def derived_directory(self) -> Path:
        """Path of the directory of files that are computed from uploaded networks and may be deleted at any time."""
        return self.data_directory / "derived"

    @property
    def answers_directory(self) -> Path:
        """Path of the directory of kept answers to questions, which may be deleted at any time."""
        return self.data_directory / "answers"

    @property
    def datasets_directory(self) -> Path:
        """Path of the directory of uploaded datasets."""
        return self.data_directory / "datasets"

    @property
    def incoming_directory(self) -> Path:
        """Path of the directory of uploads that are being received; it is emptied when the service starts."""
        return self.data_directory / "incoming"

    @property
    def partial_directory(self) -> Path:
        """Path of the directory of uploads that arrive in pieces."""
        return self.data_directory / "partial"

    @property
    def jobs_directory(self) -> Path:
        """Path of the directory that has one subdirectory for each job."""
        return self.data_directory / "jobs"
