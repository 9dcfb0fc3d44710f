"""A command-line option for every field of a request: one list of options, defaults and descriptions."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

Command = TypeVar("Command", bound=Callable[..., Any])
Model = TypeVar("Model", bound=BaseModel)


def model_options(model: type[BaseModel], without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Decorate a command with `--epochs`, `--batch-size`, ..., and `--learning-rate-step EPOCH RATE`.

    Args:
        model: whose fields become options.
        without: fields that do not.
    """

    def decorate(command: Command) -> Command:
        for name, field in reversed(model.model_fields.items()):
            if name not in without:
                command = _option(name, field)(command)
        return command

    return decorate


def model_of(model: type[Model], given: dict[str, Any]) -> Model:
    """What the options of `model_options` say."""
    return model(**{name: list(value) if isinstance(value, tuple) else value for name, value in given.items()})


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
