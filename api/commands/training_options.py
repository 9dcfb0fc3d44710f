"""A command-line option for every field of a job's `training`: one list of options, defaults and descriptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from pydantic.fields import FieldInfo

from api.requests import Training

Command = TypeVar("Command", bound=Callable[..., Any])


def training_options(command: Command) -> Command:
    """Decorate a command with `--epochs`, `--batch-size`, ..., and `--learning-rate-step EPOCH RATE`."""
    for name, field in reversed(Training.model_fields.items()):
        command = _option(name, field)(command)
    return command


def training_of(given: dict[str, Any]) -> Training:
    """What the options of `training_options` say."""
    return Training(**given | {"learning_rate_steps": list(given["learning_rate_steps"])})


def _option(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    option = f"--{name.replace('_', '-')}"
    text = f"{field.description}"
    if name == "learning_rate_steps":
        text = "Learning rate from an epoch (from 1) on, with --regime step; may be repeated."
        return click.option(
            "--learning-rate-step", name, multiple=True, type=(int, float), metavar="EPOCH RATE", help=text
        )
    if isinstance(field.default, bool):
        return click.option(option, name, is_flag=True, help=_sentence(text))
    schema = field.json_schema_extra
    choices = schema.get("enum") if isinstance(schema, dict) else None
    if isinstance(choices, list):
        text += f": {', '.join(map(str, choices))}"
    return click.option(
        option,
        name,
        type=type(field.default) if field.default is not None else int,
        default=field.default,
        show_default=field.default is not None,
        help=_sentence(text),
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
