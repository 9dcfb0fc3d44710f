"""What a model's JSON schema says of its fields."""

from __future__ import annotations

from enum import StrEnum

import pytest
from pydantic import Field, StrictFloat, StrictInt, StrictStr

from network.option_fields import ValueKind, number_text, option_fields
from network.options import Options


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(Options):
    count: StrictInt = Field(ge=1, description="a count")


class Outer(Options):
    colour: Colour | None = Field(default=None, description="a colour")
    seconds: StrictFloat = Field(default=1.5, gt=0.0, le=600.0, description="a time")
    inner: dict[StrictStr, Inner] = Field(default={}, description="by name")
    inners: tuple[Inner, ...] = Field(default=(), description="in order")


def test_fields_have_kinds_bounds_and_defaults() -> None:
    colour, seconds, inner, inners = option_fields(Outer)
    assert (colour.name, colour.is_nullable, colour.default, colour.is_required) == ("colour", True, None, False)
    assert colour.kinds == (ValueKind("string", choices=("red", "blue")),)
    assert seconds.kinds == (ValueKind("number", minimum=0, maximum=600, excludes_minimum=True),)
    assert (seconds.default, seconds.description) == (1.5, "a time")
    for each, kind, default in ((inner, "object", {}), (inners, "array", [])):
        (found,) = each.kinds
        assert (found.type, each.default) == (kind, default)
        assert found.values is not None
        assert found.values.model == "Inner"
        (count,) = found.values.fields
        assert (count.name, count.is_required, count.kinds) == ("count", True, (ValueKind("integer", minimum=1),))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ValueKind("integer", minimum=1, maximum=1024), "1 to 1,024"),
        (ValueKind("number", minimum=0.5), "at least 0.5"),
        (ValueKind("number", maximum=2.0), "at most 2"),
        (ValueKind("number", minimum=0, maximum=600, excludes_minimum=True), "more than 0, at most 600"),
        (ValueKind("number", minimum=0, maximum=1, excludes_maximum=True), "at least 0, less than 1"),
        (ValueKind("number"), ""),
    ],
)
def test_a_range_as_text(kind: ValueKind, text: str) -> None:
    assert kind.range_text == text


@pytest.mark.parametrize(
    ("number", "text"), [(3.0, "3"), (0.001, "0.001"), (10_000, "10,000"), (2**63 - 1, "2^63 - 1"), (255, "255")]
)
def test_a_number_as_text(number: float, text: str) -> None:
    assert number_text(number) == text
