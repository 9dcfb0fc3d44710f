"""Make command-line options from the fields of a pydantic model: names, types, bounds, defaults and help texts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource
from pydantic import BaseModel, ValidationError

from api.cli.files import read_json
from network.errors import RequestError
from network.option_fields import SIZE_FORMAT, OptionField, ValueKind, option_fields
from network.options import refusal

Command = TypeVar("Command", bound=Callable[..., Any])
Model = TypeVar("Model", bound=BaseModel)

_WITHIN: Final = "__"
"""Separator of a field and a field of its model, in the name of a command's parameter."""


def model_options(
    model: type[BaseModel],
    without: Collection[str] = (),
    *,
    only: Sequence[str] | None = None,
    flags: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[Command], Command]:
    """Return a decorator that gives a click command one option for each field of a pydantic model.

    A simple field becomes one option (`--batch-size`), and a flag if it is a boolean (`--nesterov`). A nested model
    becomes a flag (`--post-training`) and one option for each of its fields (`--post-training-samples`). A list of
    models becomes an option that may be repeated, with one value for each field (`--learning-rate-step 5 0.01`). A
    mapping becomes no option.

    Args:
        model: The model whose fields become options.
        without: Names of the fields that become no options.
        only: Names of the fields that become options, in this order; None for all.
        flags: Field name -> its option, where that is not the field's own name (`--time-limit`).
    """

    def decorate(command: Command) -> Command:
        fields = {field.name: field for field in option_fields(model)}
        chosen = [fields[name] for name in (fields if only is None else only) if name not in without]
        options = [option for field in chosen for option in _options(field, flags.get(field.name))]
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def model_of(model: type[Model], given: dict[str, Any], file: Path | None = None) -> Model:
    """Build a pydantic model from command-line options and a JSON file; options override the file.

    Args:
        model: The model whose fields became options.
        given: Parameter of the running command -> its value, and values of further fields of the model; parameters that
            belong to no field are ignored.
        file: JSON file with fields of the model; an option on the command line overrides the field of the file.

    Raises:
        RequestError: if the file cannot be read, or a field is unknown or has an invalid value.
    """
    values = {} if file is None else read_json(file, "training options, as in a request to the service")
    fields = {field.name: field for field in option_fields(model)}
    context = click.get_current_context()
    for parameter, value in given.items():
        name, _, inner = parameter.partition(_WITHIN)
        if name not in fields or context.get_parameter_source(parameter) is ParameterSource.DEFAULT:
            continue
        if _nested(fields[name]):
            before = values.get(name)
            values[name] = {**(before if isinstance(before, dict) else {}), **({inner: value} if inner else {})}
        elif row := _row(fields[name]):
            values[name] = [dict(zip((column.name for column in row), each, strict=True)) for each in value]
        else:
            values[name] = value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RequestError(refusal(error)) from None


def _options(field: OptionField, flag: str | None = None) -> Iterator[Callable[[Any], Any]]:
    """Yield the click options for one field of a pydantic model."""
    option = flag or _flag_name(field.name)
    if nested := _nested(field):
        yield click.option(option, field.name, is_flag=True, help=_sentence(field.description))
        for inner in nested:
            yield _option(f"{option}-{inner.name.replace('_', '-')}", f"{field.name}{_WITHIN}{inner.name}", inner)
    elif row := _row(field):
        kinds = [_simple(column) for column in row]
        names = [column.name.upper() for column in row]
        ranges = [f"{name} {kind.range_text}" for name, kind in zip(names, kinds, strict=True) if kind is not None]
        yield click.option(
            option.removesuffix("s"),
            field.name,
            multiple=True,
            type=tuple(map(_type, kinds)),
            metavar=" ".join(names),
            help=f"{_sentence(field.description)} May be repeated.  [{'; '.join(ranges)}]",
        )
    elif _simple(field) is not None:
        yield _option(option, field.name, field)


def _option(option: str, parameter: str, field: OptionField) -> Callable[[Any], Any]:
    kind = _simple(field)
    if kind is not None and kind.type == "boolean":
        names = f"{option}/--no-{option.removeprefix('--')}" if field.default else option
        shows_default = bool(field.default)
        return click.option(
            names, parameter, is_flag=True, default=field.default, show_default=shows_default,
            help=_sentence(field.description),
        )  # fmt: skip
    return click.option(
        option,
        parameter,
        type=_type(kind),
        metavar="SIZE" if kind is not None and kind.format == SIZE_FORMAT else None,
        default=field.default,
        show_default=field.default is not None,
        help=_sentence(field.description),
    )


def _nested(field: OptionField) -> tuple[OptionField, ...]:
    """Return the fields of the pydantic model that a field contains; empty if its value can be another type, too."""
    (first, *others) = field.kinds
    return () if others else first.fields


def _row(field: OptionField) -> tuple[OptionField, ...]:
    """Return the fields of the pydantic models in a list field; empty if the field is not a list of models."""
    (first, *_) = field.kinds
    return first.values.fields if first.type == "array" and first.values is not None else ()


def _simple(field: OptionField) -> ValueKind | None:
    """Return the type of a field's values that fits one command-line argument; None for lists and objects."""
    return next((kind for kind in field.kinds if kind.type not in {"array", "object"}), None)


def _type(kind: ValueKind | None) -> click.ParamType[Any]:
    """Return the click parameter type, with names and bounds for `--help`, of a value type of a pydantic field."""
    match kind:
        case ValueKind(type="integer", minimum=low, maximum=high):
            return click.IntRange(
                None if low is None else int(low),
                None if high is None else int(high),
                min_open=kind.excludes_minimum,
                max_open=kind.excludes_maximum,
            )
        case ValueKind(type="number", minimum=low, maximum=high):
            return click.FloatRange(low, high, min_open=kind.excludes_minimum, max_open=kind.excludes_maximum)
        case ValueKind(choices=(_, *_)):
            return click.Choice(kind.choices)
        case _:
            return click.STRING


def _flag_name(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _sentence(description: str) -> str:
    """Return the description of a pydantic field, which is a phrase, as a sentence for `--help`."""
    return f"{description[:1].upper()}{description[1:]}."
