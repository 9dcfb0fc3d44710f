"""The command `bitbudget keys`: make, list, rotate and revoke the keys of a service."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any, Final

import click

from api.cli.database_options import database_options, opened_database
from api.cli.setting_options import settings_of
from api.services.access import SCOPE_MEANINGS, Scope
from api.services.access_keys import NewKey, create_key, is_valid, revoke_key, rotate_key
from api.settings import DEFAULT_PROJECT
from api.storage.records import ApiKey

_SECONDS_OF_DAY: Final = 86400.0
_SECONDS_OF_HOUR: Final = 3600.0
_MAX_DAYS: Final = 36500.0
_USUAL_SCOPES: Final = (Scope.READ, Scope.SOLVE, Scope.TRAIN)


@click.group("keys", short_help="Make, list, rotate and revoke keys of the service.")
def command() -> None:
    """Make, list, rotate and revoke the keys with which callers use the service.

    As soon as a service has a key, every request needs one. A running service notices changes within two seconds.
    """


@command.command("create", short_help="Make a key.")
@click.argument("name")
@click.option("--project", default=DEFAULT_PROJECT, show_default=True, help="Project that the key gives access to.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="Right of the key; may be repeated. "
    + " ".join(f"{scope}: {meaning}." for scope, meaning in SCOPE_MEANINGS.items())
    + f"  [default: {', '.join(_USUAL_SCOPES)}]",
)
@click.option(
    "--days",
    type=click.FloatRange(0, _MAX_DAYS, min_open=True),
    help="Days after which the key is refused.  [default: never]",
)
@database_options
def create(name: str, project: str, scopes: tuple[str, ...], days: float | None, as_json: bool, **where: Any) -> int:
    """Make a key for NAME, such as a person or a pipeline, and print it: the only time that it is shown."""
    chosen = [Scope(each) for each in scopes] or list(_USUAL_SCOPES)
    with opened_database(settings_of(where)) as store:
        new = create_key(store, project, name, chosen, None if days is None else days * _SECONDS_OF_DAY)
    _show_new(new, as_json=as_json)
    return 0


@command.command("list", short_help="List all keys.")
@click.option("--project", help="List only the keys of this project.")
@database_options
def list_keys(project: str | None, as_json: bool, **where: Any) -> int:
    """List all keys, also revoked ones and those that have expired."""
    with opened_database(settings_of(where)) as store:
        keys = store.api_keys_of_all_projects() if project is None else store.of_project(project).api_keys()
    if as_json:
        click.echo(json.dumps([_document(key) for key in keys], indent=2))
    else:
        from api.cli.text.columns import Rows, show, words

        columns = ("id", "project", "name", "scopes", "state", "created", "expires", "last used")
        rows = Rows(*map(words, columns))
        for key in keys:
            times = (key.created_at, key.expires_at, key.last_used_at)
            rows.add(key.id, key.project, key.name, " ".join(key.scopes), _state(key), *map(_day, times))
        show(rows)
    return 0


@command.command("rotate", short_help="Replace a key by a new one.")
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap-hours",
    type=click.FloatRange(0, _MAX_DAYS * 24),
    default=24.0,
    show_default=True,
    help="Hours for which the old key is still accepted.",
)
@database_options
def rotate(key_id: str, overlap_hours: float, as_json: bool, **where: Any) -> int:
    """Make a key like the one with the identifier ID, and let the old one expire."""
    with opened_database(settings_of(where)) as store:
        new = rotate_key(store, key_id, overlap_hours * _SECONDS_OF_HOUR)
    _show_new(new, as_json=as_json)
    return 0


@command.command("revoke", short_help="Revoke a key at once.")
@click.argument("key_id", metavar="ID")
@database_options
def revoke(key_id: str, as_json: bool, **where: Any) -> int:
    """Revoke the key with the identifier ID; a running service refuses it within two seconds."""
    with opened_database(settings_of(where)) as store:
        key = revoke_key(store, key_id)
    click.echo(json.dumps(_document(key), indent=2) if as_json else f"the key {key.id} ({key.name}) is revoked")
    return 0


def _show_new(new: NewKey, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_document(new.record) | {"key": new.text}, indent=2))
        return
    click.echo(new.text)
    click.echo(
        f"The key {new.record.id} gives {', '.join(new.record.scopes)} in the project {new.record.project}; it "
        f"expires: {_day(new.record.expires_at)}. Keep it now: it is not stored and cannot be shown again.",
        err=True,
    )


def _document(key: ApiKey) -> dict[str, Any]:
    times = {
        name: None if value is None else datetime.fromtimestamp(value, UTC).isoformat()
        for name in ("created_at", "expires_at", "revoked_at", "last_used_at")
        for value in (getattr(key, name),)
    }
    return {
        "id": key.id,
        "project": key.project,
        "name": key.name,
        "scopes": key.scopes,
        "state": _state(key),
        **times,
    }


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "valid" if is_valid(key, time.time()) else "expired"


def _day(moment: float | None) -> str:
    return "never" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")
