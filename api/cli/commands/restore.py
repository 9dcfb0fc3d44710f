"""The command `bitbudget restore`: make a data directory and a database from a backup."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("restore", short_help="Restore a backup of a service.")
@click.argument("source", metavar="FILE.tar", type=click.Path(path_type=Path))
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Data directory, which must be empty or not exist.  [env: BITBUDGET_DATA; default: bitbudget-data]",
)
@click.option(
    "--database",
    metavar="URL",
    help="URL of an empty database; none: an SQLite file in the data directory.  [env: BITBUDGET_DATABASE]",
)
@click.option("--store", metavar="URL", help="URL of an empty store, if the service has one.  [env: BITBUDGET_STORE]")
def command(source: Path, data: Path | None, database: str | None, store: str | None) -> int:
    """Restore what bitbudget backup has written, into an empty data directory and an empty database.

    Every name, record and hash in the backup is checked; if one is wrong, nothing is restored. Jobs that ran when the
    backup was made are queued again, and continue from their last checkpoint.

    \b
    Exit codes:
      0  the backup is restored
      2  the backup is not usable, or the target is not empty; nothing was changed

    \b
    Example:
      bitbudget restore monday.tar --data restored
      bitbudget serve --data restored
    """
    from api.cli.setting_options import settings_of
    from api.storage.backup.restoring import restore_backup

    settings = settings_of({"data_directory": data, "database_url": database, "store_url": store})
    summary = restore_backup(source, settings)
    click.echo(f"restored in {settings.data_directory}; uploaded files: {summary.files}, jobs: {summary.jobs}")
    return 0
