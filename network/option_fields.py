"""Description of the values that each option of an option class accepts, read from its JSON schema.

The command's `--help` and the tables in `docs/` are made from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

_REFERENCE: Final = "#/$defs/"
_NULL: Final = "null"

SIZE_FORMAT: Final = "size"
"""JSON schema's `format` of a text that is a number of bytes with or without a unit, such as 60kB."""


@dataclass(frozen=True, slots=True)
class ValueKind:
    """One type of value that an option accepts, with its bounds or its allowed values.

    Attributes:
        type: Type of the value in JSON: boolean, integer, number, string, array or object.
        format: Format of a string, as the schema names it; empty without one.
        choices: The names that a string may be; empty if any string is accepted.
        examples: Examples of strings that are accepted; may be empty.
        minimum: Smallest number; None without one.
        maximum: Largest number; None without one.
        excludes_minimum: Whether a number must be greater than `minimum`, not equal to it.
        excludes_maximum: Whether a number must be less than `maximum`, not equal to it.
        model: Name of the model that an object is an instance of; empty for anything else.
        fields: Options of the model; empty for anything else.
        values: Kind of an array's elements, or of a mapping's values; None for anything else, and for a union.
    """

    type: str
    format: str = ""
    choices: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    excludes_minimum: bool = False
    excludes_maximum: bool = False
    model: str = ""
    fields: tuple[OptionField, ...] = ()
    values: ValueKind | None = None

    @property
    def range_text(self) -> str:
        """Text of the bounds of a number that an option accepts, such as "1 to 1024"; empty without bounds."""
        low = None if self.minimum is None else number_text(self.minimum)
        high = None if self.maximum is None else number_text(self.maximum)
        if low is not None and high is not None and not (self.excludes_minimum or self.excludes_maximum):
            return f"{low} to {high}"
        lower = f"{'more than' if self.excludes_minimum else 'at least'} {low}" if low is not None else ""
        upper = f"{'less than' if self.excludes_maximum else 'at most'} {high}" if high is not None else ""
        return ", ".join(filter(None, (lower, upper)))


@dataclass(frozen=True, slots=True)
class OptionField:
    """One option of an option class: its name, its default value and the values that it accepts.

    Attributes:
        name: Name of the field.
        description: Description of the field; empty without one.
        default: Default value, as JSON has it; None for a required field.
        is_required: Whether the field has no default.
        is_nullable: Whether None is accepted.
        kinds: The other kinds of values that are accepted; more than one for a union.
    """

    name: str
    description: str
    default: Any
    is_required: bool
    is_nullable: bool
    kinds: tuple[ValueKind, ...]


def number_text(number: float) -> str:
    """Return a number as text: whole numbers without a decimal point, 2^n - 1 above 2^32 as a power of two."""
    if number != int(number):
        return f"{number}"
    whole = int(number)
    is_long_power = whole > 2**32 and (whole + 1).bit_count() == 1
    return f"2^{whole.bit_length()} - 1" if is_long_power else f"{whole:,}"


def option_fields(model: type[BaseModel]) -> tuple[OptionField, ...]:
    """Return the options of an option class in the order of their definition, as its JSON schema describes them."""
    schema = model.model_json_schema()
    return _fields(schema, schema.get("$defs", {}))


def _fields(schema: Mapping[str, Any], models: Mapping[str, Any]) -> tuple[OptionField, ...]:
    required = schema.get("required", ())
    return tuple(_field(name, name in required, each, models) for name, each in schema.get("properties", {}).items())


def _field(name: str, is_required: bool, schema: Mapping[str, Any], models: Mapping[str, Any]) -> OptionField:
    kinds = [_kind(each, models) for each in _alternatives(schema)]
    return OptionField(
        name=name,
        description=schema.get("description", ""),
        default=schema.get("default"),
        is_required=is_required,
        is_nullable=any(kind.type == _NULL for kind in kinds),
        kinds=tuple(kind for kind in kinds if kind.type != _NULL),
    )


def _alternatives(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the JSON schemas of which a value must match one; alternatives of nested unions are included."""
    if "anyOf" not in schema:
        yield schema
    for each in schema.get("anyOf", ()):
        yield from _alternatives(each)


def _kind(schema: Mapping[str, Any], models: Mapping[str, Any]) -> ValueKind:
    if "$ref" in schema:
        schema = models[schema["$ref"].removeprefix(_REFERENCE)]
    values = schema.get("items") or schema.get("additionalProperties")
    kinds = list(_alternatives(values)) if values else []
    fields = _fields(schema, models)
    lowest, highest = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    return ValueKind(
        type=schema["type"],
        format=schema.get("format", ""),
        choices=tuple(schema.get("enum", ())),
        examples=tuple(schema.get("examples", ())) if schema["type"] == "string" else (),
        minimum=schema.get("minimum", lowest),
        maximum=schema.get("maximum", highest),
        excludes_minimum=lowest is not None,
        excludes_maximum=highest is not None,
        model=schema.get("title", "") if fields else "",
        fields=fields,
        values=_kind(kinds[0], models) if len(kinds) == 1 else None,
    )
