"""Options of a command made from a model: the help shows names, range and default, and values are passed unchanged."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import click
import pytest
from click.testing import CliRunner
from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from api.cli.model_options import model_of, model_options
from network.errors import RequestError
from network.options import Options


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Row(Options):
    start: StrictInt = Field(ge=1, le=9, description="first step")
    rate: StrictFloat = Field(ge=0.0, description="rate from then on")


class Inner(Options):
    deep: StrictBool = Field(default=True, description="go deep")


class Chosen(Options):
    colour: Colour = Field(default=Colour.RED, description="a colour")
    other_colour: Colour | None = Field(default=None, description="another colour")
    count: StrictInt = Field(default=3, ge=0, le=2**63 - 1, description="a count")
    seconds: StrictFloat | None = Field(default=None, gt=0.0, lt=600.0, description="a time in seconds")
    text: StrictStr = Field(default="native", description="a text")
    exact: StrictBool = Field(default=False, description="be exact")
    rows: tuple[Row, ...] = Field(default=(), description="rows")
    inner: Inner | None = Field(default=None, description="inner options")
    mapped: dict[StrictStr, Inner] = Field(default={}, description="by JSON alone")


def invoked(*arguments: str) -> Any:
    """Return the model that the command makes from its arguments, or the output of the command."""
    found: list[Chosen] = []

    @click.command()
    @model_options(Chosen, without=("text",))
    def command(**given: Any) -> None:
        found.append(model_of(Chosen, given))

    result = CliRunner().invoke(command, list(arguments))
    if isinstance(result.exception, RequestError):
        raise result.exception
    return found[0] if found else " ".join(result.output.split())


@pytest.mark.parametrize(
    "line",
    [
        "--colour [red|blue] A colour. [default: red]",
        "--other-colour [red|blue] Another colour.",
        "--count INTEGER RANGE A count. [default: 3; 0<=x<=9223372036854775807]",
        "--seconds FLOAT RANGE A time in seconds. [0.0<x<600.0]",
        "--exact Be exact.",
        "--row START RATE Rows. May be repeated. [START 1 to 9; RATE at least 0]",
        "--inner Inner options.",
        "--inner-deep / --no-inner-deep Go deep.",
    ],
)
def test_the_help_shows_names_range_and_default(line: str) -> None:
    shown = invoked("--help")
    assert line in shown
    assert "--text" not in shown
    assert "--mapped" not in shown


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {}),
        (["--colour=blue", "--other-colour=red", "--count=4"], {"colour": "blue", "other_colour": "red", "count": 4}),
        (["--seconds=3", "--exact"], {"seconds": 3.0, "exact": True}),
        (["--row", "1", "0.5", "--row", "2", "0"], {"rows": [{"start": 1, "rate": 0.5}, {"start": 2, "rate": 0.0}]}),
        (["--inner"], {"inner": {}}),
        (["--no-inner-deep"], {"inner": {"deep": False}}),
    ],
)
def test_values_arrive(arguments: list[str], expected: dict[str, Any]) -> None:
    assert invoked(*arguments) == Chosen.model_validate(expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--colour=green"], "'green' is not one of 'red', 'blue'"),
        (["--seconds=0"], "0.0 is not in the range 0.0<x<600.0"),
        (["--count=-1"], "-1 is not in the range"),
        (["--row", "0", "1"], "0 is not in the range 1<=x<=9"),
    ],
)
def test_other_values_are_refused(arguments: list[str], message: str) -> None:
    assert message in invoked(*arguments)


def test_what_is_not_a_number_is_refused() -> None:
    with pytest.raises(RequestError, match="seconds: expected"):
        invoked("--seconds=nan")
