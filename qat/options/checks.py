"""Judging single options: names, flags, whole numbers and numbers in their bounds. Imports no torch."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from network.errors import RequestError

_Name = TypeVar("_Name", bound=StrEnum)


def member(kind: type[_Name], what: str, value: object) -> _Name:
    """The member of that name, which arrives as plain text from JSON and the command line.

    Raises:
        RequestError: there is none.
    """
    try:
        return kind(str(value))
    except ValueError:
        expected = ", ".join(kind)
        raise RequestError(f"{what} is {str(value)[:60]!r}; expected one of: {expected}") from None


def whole(what: str, value: object, least: int, most: int) -> None:
    """Refuse what is no whole number between the bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise RequestError(f"{what} is {str(value)[:60]}; expected a whole number from {least} to {most}")


def number(what: str, value: object, least: float, most: float) -> None:
    """Refuse what is no number between the bounds; NaN is between none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise RequestError(f"{what} is {str(value)[:60]}; expected a number from {least} to {most}")


def flag(what: str, value: object) -> None:
    """Refuse what is neither true nor false."""
    if not isinstance(value, bool):
        raise RequestError(f"{what} is {str(value)[:60]!r}; expected true or false")
