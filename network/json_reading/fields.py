"""Reader of untrusted JSON objects, which checks the key, the type and the range of every field.

Every error names the object and the field, what was expected and what came. The caller chooses the class of the error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

from network.errors import BitbudgetError, InvalidNetwork, UnreadableFile
from network.names import MAX_NAME_LENGTH, described, is_name, shown

MAX_NUMBER: Final = 2**31 - 1

Missing: Final = object()
"""Default value of a field that is required."""


def load_object(content: bytes, what: str = "the file", error: type[BitbudgetError] = UnreadableFile) -> dict[str, Any]:
    """Parse the bytes of a JSON file that contains one object, and return that object.

    Args:
        content: The bytes of the whole file, in UTF-8 with or without a byte order mark.
        what: The name of the file in error messages.
        error: The class of the error that is raised.

    Raises:
        BitbudgetError: of the class `error`, if the content is not UTF-8, is not valid JSON, is nested too deeply,
            holds NaN, an infinity or a number of too many digits, gives a key twice in one object, or is not an object.
    """

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise error(f"{what} gives the key '{shown(twice)}' twice in one object; remove one of them")
        return found

    def refuse_constant(name: str) -> NoReturn:
        raise error(f"{what} contains {name}, which is not valid JSON; leave the field out or give a finite number")

    try:
        value = json.loads(
            content.decode("utf-8-sig"), object_pairs_hook=without_duplicates, parse_constant=refuse_constant
        )
    except RecursionError as caught:
        raise error(f"{what} is nested too deeply; expected only a few levels of lists and objects") from caught
    except UnicodeDecodeError as caught:
        raise error(
            f"{what} is not UTF-8 text, so it is not valid JSON: the byte at offset {caught.start} is invalid"
        ) from caught
    except json.JSONDecodeError as caught:
        raise error(f"{what} is not valid JSON, or it is truncated: {caught}") from caught
    except ValueError as caught:  # an integer of more digits than Python converts
        raise error(f"{what} contains a number with too many digits: {str(caught)[:80]}") from caught
    if not isinstance(value, dict):
        raise error(f"{what} contains {described(value)}; expected an object")
    return value


class Fields:
    """Reader of the fields of one JSON object; it raises an error for an unknown key or an invalid value.

    Args:
        value: The decoded JSON value that should be an object.
        owner: The name of the object in error messages, e.g. "layer 'conv1'".
        known: The keys that the object may have; None allows every key.
        error: The class of the errors that this object and its children raise.

    Raises:
        BitbudgetError: of the class `error`, if the value is not an object or has an unknown key. The methods raise the
            same class if a required field is missing, or if a field has another type, length or range.
    """

    def __init__(
        self,
        value: object,
        owner: str,
        known: Iterable[str] | None = None,
        *,
        error: type[BitbudgetError] = InvalidNetwork,
    ) -> None:
        if not isinstance(value, dict):
            raise error(f"{owner} is {described(value)}; expected an object")
        self.owner = owner
        self._fields: Mapping[str, Any] = value
        self._error = error
        if known is None:
            return
        allowed = tuple(known)
        unknown = next((key for key in value if key not in allowed), None)
        if unknown is not None:
            raise error(f"{owner} has the unknown key '{shown(unknown)}'; known keys are {', '.join(allowed)}")

    def __contains__(self, key: str) -> bool:
        return key in self._fields

    def refused(self, key: str, expected: str) -> BitbudgetError:
        """Return the error for a field of a JSON object whose value is not what was expected."""
        return self._error(f"{self.owner} has {described(self._fields[key])} as its {key}; expected {expected}")

    def raw(self, key: str, default: object = Missing) -> Any:
        """Return the value of a field of a JSON object, without a check of its type."""
        if key in self._fields:
            return self._fields[key]
        if default is Missing:
            raise self._error(f"{self.owner} lacks its {key}")
        return default

    def child(self, key: str, known: Iterable[str] | None = None) -> Fields:
        """Return a reader of a JSON object that is the value of a field of another JSON object."""
        return Fields(self.raw(key), f"the {key} of {self.owner}", known, error=self._error)

    def children(self, key: str) -> list[Fields]:
        """Return a reader of each JSON object in a list; errors name such an object by its index and its name."""
        values = self.raw(key)
        if not isinstance(values, list):
            raise self.refused(key, "a list")
        children = []
        for index, value in enumerate(values):
            name = value.get("name") if isinstance(value, dict) else None
            label = f" '{shown(name)}'" if isinstance(name, str) else ""
            children.append(Fields(value, f"{key}[{index}]{label} of {self.owner}", error=self._error))
        return children

    def text(self, key: str, default: object = Missing) -> str:
        """Return the value of a JSON field that must be a valid name: one line of printable characters."""
        value = self.raw(key, default)
        if key in self._fields and not is_name(value):
            raise self.refused(key, f"a text of 1 to {MAX_NAME_LENGTH} printable characters")
        return str(value)

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of a JSON field that must be a list of valid names or a single one."""
        value = self.raw(key, default)
        values = [value] if isinstance(value, str) else value
        if key in self._fields and not (isinstance(values, list) and all(map(is_name, values))):
            raise self.refused(key, "a name or a list of names, of printable characters")
        return tuple(values)

    def string(self, key: str) -> str:
        """Return the value of a JSON field that must be a text, of any length and any characters."""
        value = self.raw(key)
        if not isinstance(value, str):
            raise self.refused(key, "a text")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        """Return the value of a JSON field that must be a list of texts, of any length and any characters."""
        values = self.raw(key)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self.refused(key, "a list of texts")
        return tuple(values)

    def flag(self, key: str, default: object = Missing) -> bool:
        """Return the value of a JSON field that must be true or false."""
        value = self.raw(key, default)
        if not isinstance(value, bool):
            raise self.refused(key, "true or false")
        return value

    def integer(self, key: str, default: object = Missing, *, least: int = 1, most: int = MAX_NUMBER) -> int:
        """Return the value of a JSON field that must be a whole number in a given range."""
        value = self.raw(key, default)
        if not _is_integer(value, least, most):
            raise self.refused(key, f"a whole number from {least} to {most}")
        return int(value)

    def integers(
        self, key: str, lengths: tuple[int, ...] | None = None, *, least: int = 1, most: int = MAX_NUMBER
    ) -> tuple[int, ...]:
        """Return the value of a JSON field that must be a list of whole numbers, of a given length if any is given."""
        values = self.raw(key)
        is_list = isinstance(values, list) and (lengths is None or len(values) in lengths)
        if not is_list or not all(_is_integer(value, least, most) for value in values):
            counts = "a list of" if lengths is None else " or ".join(map(str, lengths))
            raise self.refused(key, f"{counts} whole numbers from {least} to {most}")
        return tuple(values)

    def pair(self, key: str, default: object = Missing) -> tuple[int, int]:
        """Return [height, width] from a JSON field that must be two whole numbers, or one for both."""
        if isinstance(self.raw(key, default), list):
            height, width = self.integers(key, (2,))
            return height, width
        extent = self.integer(key, default)
        return extent, extent

    def number(self, key: str, default: object = Missing) -> float:
        """Return the value of a JSON field that must be a finite number; only a default value may be infinite."""
        value = self.raw(key, default)
        if key in self._fields and not is_number(value):
            raise self.refused(key, "a finite number")
        return float(value)

    def numbers(self, key: str, default: object = Missing) -> tuple[float, ...]:
        """Return the values of a JSON field that must be a finite number or a list of finite numbers."""
        value = self.raw(key, default)
        values = value if isinstance(value, list | tuple) else [value]
        if not values or not all(map(is_number, values)):
            raise self.refused(key, "a finite number, or a list of them")
        return tuple(map(float, values))


def _is_integer(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_number(value: object) -> bool:
    """Return whether a decoded JSON value is a finite number within the range of a float64."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**1000
