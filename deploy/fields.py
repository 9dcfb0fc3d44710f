"""Strict reading of JSON from an untrusted file: every field has its type and its range, or an error names it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from network.errors import IntegerFileError


class Fields:
    """A JSON object, and where in the file it stands."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise IntegerFileError(f"{where} must be an object, is {_shown(value)}")
        self._values: Mapping[str, Any] = value
        self.where = where

    def text(self, name: str) -> str:
        value = self.value(name)
        return value if isinstance(value, str) else self.refuse(name, "a text")

    def flag(self, name: str) -> bool:
        value = self.value(name)
        return value if isinstance(value, bool) else self.refuse(name, "true or false")

    def integer(self, name: str, low: int, high: int) -> int:
        value: int = self.value(name)
        return value if _is_integer(value, low, high) else self.refuse(name, f"a whole number from {low} to {high}")

    def number(self, name: str) -> float:
        value = self.value(name)
        return float(value) if _is_number(value) else self.refuse(name, "a finite number")

    def texts(self, name: str) -> tuple[str, ...]:
        values = self._list(name)
        return (
            tuple(values) if all(isinstance(value, str) for value in values) else self.refuse(name, "a list of texts")
        )

    def integers(self, name: str, low: int, high: int, count: int | None = None) -> tuple[int, ...]:
        values = self._list(name)
        if not all(_is_integer(value, low, high) for value in values) or len(values) != (count or len(values)):
            return self.refuse(name, f"a list of {count or ''} whole numbers from {low} to {high}")
        return tuple(values)

    def pair(self, name: str, low: int, high: int) -> tuple[int, int]:
        first, second = self.integers(name, low, high, count=2)
        return first, second

    def numbers(self, name: str) -> tuple[float, ...]:
        values = self._list(name)
        if not all(_is_number(value) for value in values):
            return self.refuse(name, "a list of finite numbers")
        return tuple(float(value) for value in values)

    def child(self, name: str) -> Fields:
        return Fields(self.value(name), f"'{name}' of {self.where}")

    def children(self, name: str) -> list[Fields]:
        return [Fields(value, f"'{name}[{index}]' of {self.where}") for index, value in enumerate(self._list(name))]

    def refuse(self, name: str, expected: str) -> NoReturn:
        raise IntegerFileError(f"'{name}' of {self.where} must be {expected}, is {_shown(self.value(name))}")

    def has(self, name: str) -> bool:
        return name in self._values

    def value(self, name: str) -> Any:
        if name not in self._values:
            raise IntegerFileError(f"{self.where} has no field '{name}'")
        return self._values[name]

    def _list(self, name: str) -> list[Any]:
        value = self.value(name)
        return value if isinstance(value, list) else self.refuse(name, "a list")


def parse_json(content: bytes, where: str) -> Any:
    """The value of a JSON text; NaN, infinities, doubled fields and bottomless nesting are refused.

    Raises:
        IntegerFileError: no such text.
    """

    def without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise ValueError("an object has a field twice")
        return fields

    def no_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON number")

    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=without_doubles, parse_constant=no_constant)
    except RecursionError:
        raise IntegerFileError(f"{where} is nested too deeply to be a network") from None
    except ValueError as error:
        raise IntegerFileError(f"{where} is no JSON text: {error}") from error


def first_difference(expected: object, found: object, where: str) -> str | None:
    """What differs between two JSON values, in words; None if nothing does."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return _first_difference_of_objects(expected, found, where)
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        differences = (first_difference(one, other, f"{where}[{index}]") for index, (one, other) in pairs)
        return next((difference for difference in differences if difference is not None), None)
    if expected == found and isinstance(expected, bool) == isinstance(found, bool):
        return None
    return f"{where} must be {_shown(expected)}, is {_shown(found)}"


def _first_difference_of_objects(expected: dict[str, Any], found: dict[str, Any], where: str) -> str | None:
    for name in {**expected, **found}:
        if name not in found:
            return f"{where} has no field '{name}'"
        if name not in expected:
            return f"{where} has the unknown field '{name[:60]}'"
        difference = first_difference(expected[name], found[name], f"{where}.{name}")
        if difference is not None:
            return difference
    return None


def _is_integer(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float's range
        return False


def _shown(value: object) -> str:
    text = json.dumps(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:60]}..."
