"""The command `bitbudget backup`: write everything that a service stores into one file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("backup", short_help="Write what a service stores into one file.")
@click.argument("target", metavar="FILE.tar", type=click.Path(path_type=Path))
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Data directory of the service.  [env: BITBUDGET_DATA; default: bitbudget-data]",
)
@click.option(
    "--database",
    metavar="URL",
    help="URL of the database, if it is not the SQLite file in the data directory.  [env: BITBUDGET_DATABASE]",
)
@click.option("--store", metavar="URL", help="URL of the store of the service, if it has one.  [env: BITBUDGET_STORE]")
def command(target: Path, data: Path | None, database: str | None, store: str | None) -> int:
    """Write all records, networks, datasets and files of jobs of a service into one file. The service may run.

    The backup of a service on SQLite can be restored into PostgreSQL, and that of a data directory into a store of
    objects, and the other way round. The file has the hashes
    of API keys: only its owner may read it.

    \b
    Exit codes:
      0  the backup is written
      2  the backup could not be made

    \b
    Example:
      bitbudget backup --data bitbudget-data monday.tar
    """
    from api.cli.setting_options import settings_of
    from api.storage.backup.making import make_backup

    summary = make_backup(settings_of({"data_directory": data, "database_url": database, "store_url": store}), target)
    for warning in summary.warnings:
        click.echo(f"bitbudget: warning: {warning}", err=True)
    click.echo(f"{target}: {summary.size_bytes:,} bytes; uploaded files: {summary.files}, jobs: {summary.jobs}")
    return 0
