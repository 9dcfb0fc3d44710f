"""Options of `bitbudget serve`, derived from the fields of `Settings`: name, type, bounds, default and help text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from api.server_settings import secrets_directory
from api.setting_types import SIZE, AbsolutePath
from api.settings import MIB, Settings
from network.budget import parse_size_bytes
from network.errors import RequestError

Command = TypeVar("Command", bound=Callable[..., Any])

_PREFIX: Final = "BITBUDGET_"


class _Size(click.ParamType[int]):
    """click parameter type of a size in bytes, such as 64MiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return parse_size_bytes(value, param.opts[0] if param else "the size")


def environment_variable(field: FieldInfo) -> str:
    """Return the name of the environment variable that sets a field of the service's `Settings`."""
    return str(field.validation_alias)


def option_name(field: FieldInfo) -> str:
    """Return the command-line option of a field of `Settings`, such as --max-jobs for BITBUDGET_MAX_JOBS."""
    return "--" + environment_variable(field).removeprefix(_PREFIX).lower().replace("_", "-")


def default_text(field: FieldInfo) -> str:
    """Return the default value of a setting of the service as a user writes it, such as 64MiB; 'none' for None."""
    if SIZE in field.metadata and field.default is not None and field.default % MIB == 0:
        return f"{field.default // MIB}MiB"
    if isinstance(field.default, bool):
        return str(field.default).lower()
    return "none" if field.default is None else str(field.default)


def setting_options(command: Command) -> Command:
    """Add one option for each field of `Settings` to a click command; the value is None if the option is not given."""
    for name, field in reversed(Settings.model_fields.items()):
        help_text = f"{field.description}  [env: {environment_variable(field)}; default: {default_text(field)}]"
        if field.annotation is bool:
            add_option = click.option(option_name(field), name, is_flag=True, default=None, help=help_text)
        else:
            add_option = click.option(option_name(field), name, type=_type_of(field), default=None, help=help_text)
        command = add_option(command)
    return command


def settings_of(options: dict[str, Any]) -> Settings:
    """Build the service's settings from options, else environment variables, else files of secrets, else defaults.

    Args:
        options: Value of each option by the name of its field; None for an option that was not given.

    Raises:
        RequestError: If an environment variable has an invalid value.
    """
    try:
        chosen = {name: value for name, value in options.items() if value is not None}
        return Settings(_secrets_dir=secrets_directory(), **chosen)  # type: ignore[call-arg]  # of BaseSettings
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        given = "" if first["type"] == "value_error" else f"; it is {str(first['input'])[:60]!r}"
        raise RequestError(f"{where}: {message}{given}") from None


def _type_of(field: FieldInfo) -> click.ParamType[Any]:
    if SIZE in field.metadata:
        return _Size()
    if field.annotation in {int, float, int | None, float | None}:
        bounds = {
            bound: getattr(each, bound)
            for each in field.metadata
            for bound in ("ge", "gt", "le")
            if hasattr(each, bound)
        }
        kind = click.FloatRange if field.annotation in {float, float | None} else click.IntRange
        return kind(bounds.get("ge", bounds.get("gt")), bounds.get("le"), min_open="gt" in bounds)
    if field.annotation in {str, str | None}:
        return click.STRING
    if get_origin(field.annotation) is Literal:
        return click.Choice(get_args(field.annotation))
    if field.annotation in {Path, AbsolutePath | None}:
        return click.Path(path_type=Path)
    raise TypeError(f"no option type is known for a setting of type {field.annotation!r}")
