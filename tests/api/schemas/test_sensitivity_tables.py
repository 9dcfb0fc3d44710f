"""Sensitivity tables in requests: their figures are as the schema says, so that an answer can repeat them."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from api.schemas.fit import FitRequest

ROW = {"8": 0.0, "4": 1.0, "2": 2.0}


@pytest.mark.parametrize("figure", [-1.0, -math.inf, math.inf, math.nan])
@pytest.mark.parametrize("part", ["weights", "activations", "weights_by_scheme"])
def test_a_figure_that_the_schema_forbids_is_refused(part: str, figure: float) -> None:
    wrong = {"first": {**ROW, "2": figure}}
    rows = {part: {"PerChannelSymLSQ": wrong} if part == "weights_by_scheme" else wrong}
    with pytest.raises(ValidationError, match=r"the sensitivity of 'first' is .*; expected a number from 0"):
        FitRequest.model_validate({"sensitivity": {"weights": {}, "activations": {}, **rows}})


def test_a_table_is_repeated_as_it_was_sent() -> None:
    table = {"method": "own", "weights": {"first": ROW}, "activations": {"image": ROW}}
    request = FitRequest.model_validate({"sensitivity": table})
    assert request.model_dump(mode="json")["sensitivity"] == {**table, "weights_by_scheme": {}}
