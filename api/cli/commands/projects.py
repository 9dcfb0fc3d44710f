"""The command `bitbudget projects`: show what the projects of a service have, and set what they may have."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import click
from click.core import ParameterSource

from api.cli.database_options import database_options, opened_database
from api.cli.setting_options import settings_of
from api.schemas.projects import ProjectAnswer
from api.services.projects import describe_project, set_limits
from api.storage.database.quotas import UNLIMITED
from network.budget import parse_size_bytes

_DEFAULT: Final = "default"
_NONE: Final = "none"


class _Limit(click.ParamType[float | None]):
    """click parameter type of a limit: a number, `none` for no limit, or `default` for that of the settings.

    Args:
        name: Name of the type in messages.
        read: Function that reads a number; it raises ValueError or a `BitbudgetError`.
    """

    def __init__(self, name: str, read: Callable[[str], float]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value in {_DEFAULT, _NONE}:
            return None if value == _DEFAULT else UNLIMITED
        try:
            number = self._read(str(value))
        except ValueError:
            number = 0
        if not 1 <= number < 2**63:  # NaN neither
            self.fail(f"{value!r} is not valid; expected a number from 1, 'none' or 'default'", param, ctx)
        return number


@click.group("projects", short_help="Show and limit what the projects of the service have.")
def command() -> None:
    """Show what the projects of a service have, and set what they may have.

    A project exists as soon as something names it, such as a key. A running service notices changes at once.
    """


@command.command("list", short_help="List all projects.")
@database_options
def list_projects(as_json: bool, **where: Any) -> int:
    """List all projects with what they have and may have."""
    settings = settings_of(where)
    with opened_database(settings) as store:
        found = [describe_project(store.of_project(name), settings) for name in store.names_of_all_projects()]
    _show(found, as_json=as_json)
    return 0


@command.command("set", short_help="Set what a project may have.")
@click.argument("name")
@click.option(
    "--size",
    "max_bytes",
    type=_Limit("size", lambda text: parse_size_bytes(text, "--size")),
    help="Bytes that the project may store, such as 20GB; none: no limit; default: that of the settings.",
)
@click.option(
    "--queued-jobs",
    "max_queued_jobs",
    type=_Limit("count", int),
    help="Number of jobs of the project that may wait at once; none; default.",
)
@click.option(
    "--retention-days",
    type=_Limit("days", float),
    help="Days after which networks, datasets and finished jobs that were not used are deleted; none: they are kept; "
    "default.",
)
@click.pass_context
@database_options
def set_project(context: click.Context, /, name: str, as_json: bool, **options: Any) -> int:
    """Set what the project NAME may have; what is not given stays as it is."""
    limits = {each: options.pop(each) for each in ("max_bytes", "max_queued_jobs", "retention_days")}
    given = {
        each: value
        for each, value in limits.items()
        if context.get_parameter_source(each) is ParameterSource.COMMANDLINE
    }
    settings = settings_of(options)
    with opened_database(settings) as store:
        set_limits(store, name, **given)
        found = describe_project(store.of_project(name), settings)
    if as_json:
        click.echo(json.dumps(found.model_dump(mode="json"), indent=2))
    else:
        _show([found], as_json=False)
    return 0


def _show(projects: list[ProjectAnswer], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([each.model_dump(mode="json") for each in projects], indent=2))
        return
    from api.cli.text.columns import Rows, show, words

    rows = Rows(*map(words, ("project", "bytes", "of", "networks", "datasets", "jobs", "waiting", "of", "kept days")))
    for each in projects:
        rows.add(
            each.name,
            f"{each.stored_bytes:,}",
            _limit(each.max_bytes),
            str(each.networks),
            str(each.datasets),
            str(each.jobs),
            str(each.queued_jobs),
            _limit(each.max_queued_jobs),
            "all" if each.retention_days is None else f"{each.retention_days:g}",
        )
    show(rows)


def _limit(value: int | None) -> str:
    return "any" if value is None else f"{value:,}"
