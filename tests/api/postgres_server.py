"""A PostgreSQL server of its own for tests: in a temporary folder, reached by a socket in that folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path
from typing import Final, Self

import psycopg
import pytest

_PROGRAMS: Final = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
_PATIENCE_SECONDS: Final = 60


def missing_postgres() -> str | None:
    """Return why no PostgreSQL server can be started here; None if one can."""
    if not _PROGRAMS and shutil.which("initdb") is None:
        return "PostgreSQL is not installed (initdb was not found)"
    if os.geteuid() == 0 and not any(user.pw_name == "postgres" for user in pwd.getpwall()):
        return "PostgreSQL does not start as root, and the user postgres does not exist"
    return None


class PostgresServer:
    """A server that ends with its context; `new_database` makes databases on it."""

    def __init__(self) -> None:
        if reason := missing_postgres():
            pytest.skip(reason)
        found = shutil.which("initdb")
        self._programs = _PROGRAMS[-1] if _PROGRAMS else Path(str(found)).parent
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        if self._as_user:
            shutil.chown(self.folder, "postgres")
        self._numbers = count(1)
        self._run(
            "initdb", "-D", str(self.folder / "data"), "-U", "bitbudget", "-A", "trust", "--no-sync", "-E", "UTF8"
        )
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c fsync=off"
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-l", log, "-w", "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    def new_database(self) -> str:
        """Make an empty database, and return its URL."""
        name = f"test{next(self._numbers)}"
        with psycopg.connect(host=str(self.folder), user="bitbudget", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql+psycopg://bitbudget@/{name}?host={self.folder}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self._programs / program), *arguments]
        done = subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            timeout=_PATIENCE_SECONDS, check=False, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stderr}"
