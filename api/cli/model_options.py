"""A command-line option for every field of a request: one list of options, defaults and descriptions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import click
from click.core import ParameterSource
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from api.cli.files import read_json
from network.errors import RequestError

Command = TypeVar("Command", bound=Callable[..., Any])
Model = TypeVar("Model", bound=BaseModel)

_WITHIN: Final = "__"
"""Between the name of a field that is a model and the name of one of its own, in a parameter's name."""


def model_options(model: type[BaseModel], without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Decorate a command with `--epochs`, `--batch-size`, ..., and `--learning-rate-step EPOCH RATE`.

    A field that is a model itself, or null, becomes a flag that asks for it (`--post-training`) and an option for each
    of its own fields (`--post-training-samples`); a field that is a mapping becomes none.

    Args:
        model: whose fields become options.
        without: fields that do not.
    """

    def decorate(command: Command) -> Command:
        for name, field in reversed(model.model_fields.items()):
            if name not in without:
                for option in reversed(list(_options(name, field))):
                    command = option(command)
        return command

    return decorate


def model_of(model: type[Model], given: dict[str, Any], file: Path | None = None) -> Model:
    """What the options of `model_options` say; the others are as a JSON file has them.

    Args:
        model: of the options.
        given: parameters of the command that is running, and fields; what is no field of the model is left out.
        file: fields of the model, as the service takes them; an option that was given goes before them.

    Raises:
        RequestError: the file cannot be read, or holds something else.
    """
    fields = {} if file is None else read_json(file, "training options, as the service takes them")
    context = click.get_current_context()
    for parameter, value in given.items():
        name, _, inner = parameter.partition(_WITHIN)
        if name not in model.model_fields or context.get_parameter_source(parameter) is ParameterSource.DEFAULT:
            continue
        if _nested(model.model_fields[name]) is None:
            fields[name] = list(value) if isinstance(value, tuple) else value
            continue
        before = fields.get(name)
        fields[name] = {**(before if isinstance(before, dict) else {}), **({inner: value} if inner else {})}
    try:
        return model(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RequestError(f"{where or 'the options'}: {first['msg']}, not {str(first['input'])[:60]!r}") from None


def _options(name: str, field: FieldInfo) -> Iterator[Callable[[Any], Any]]:
    nested = _nested(field)
    if nested is not None:
        yield click.option(f"--{name.replace('_', '-')}", name, is_flag=True, help=_sentence(f"{field.description}"))
        for each, inner in nested.model_fields.items():
            yield _option(f"{name}_{each}", f"{name}{_WITHIN}{each}", inner)
    elif not isinstance(field.default, dict):
        yield _option(name, name, field)


def _nested(field: FieldInfo) -> type[BaseModel] | None:
    """The model that a field may be, where it may also be null."""
    kinds = get_args(field.annotation)
    if type(None) not in kinds:
        return None
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _option(name: str, parameter: str, field: FieldInfo) -> Callable[[Any], Any]:
    option = f"--{name.replace('_', '-')}"
    text = f"{field.description}"
    if name == "learning_rate_steps":
        text = "Learning rate from an epoch (from 1) on, with --regime step; may be repeated."
        return click.option(
            "--learning-rate-step", parameter, multiple=True, type=(int, float), metavar="EPOCH RATE", help=text
        )
    if isinstance(field.default, bool):
        switch = f"{option}/--no-{option.removeprefix('--')}" if field.default else option
        return click.option(
            switch, parameter, is_flag=True, default=field.default, show_default=field.default, help=_sentence(text)
        )
    schema = field.json_schema_extra
    choices = schema.get("enum") if isinstance(schema, dict) else None
    if isinstance(choices, list):
        text += f": {', '.join(map(str, choices))}"
    return click.option(
        option,
        parameter,
        type=type(field.default) if field.default is not None else int,
        default=field.default,
        show_default=field.default is not None,
        help=_sentence(text),
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
