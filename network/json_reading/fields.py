"""Reading one JSON object field by field: every type, range and key is checked, and every error names its owner."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from network.errors import InvalidNetwork, UnreadableFile
from network.layers import Float32Array
from network.names import MAX_NAME_LENGTH, is_name

MAX_NUMBER: Final = 2**31 - 1
_MAX_TENSOR_RANK: Final = 4

Missing: Final = object()
"""The default of a field that must be there."""


def load_object(content: bytes) -> dict[str, Any]:
    """The one object in the bytes of a JSON file.

    Raises:
        UnreadableFile: no JSON in UTF-8, a key given twice, NaN or infinity, or nested too deep.
    """
    try:
        value = json.loads(
            content.decode("utf-8-sig"), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant
        )
    except RecursionError as error:
        raise UnreadableFile("the JSON is nested too deep; a network needs a handful of levels") from error
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"the file is no UTF-8 text, so no JSON: byte {error.start} is wrong") from error
    except json.JSONDecodeError as error:
        raise UnreadableFile(f"the file is no JSON, or truncated: {error}") from error
    except ValueError as error:  # an integer of more digits than Python converts
        raise UnreadableFile(f"the JSON has a number with too many digits: {str(error)[:80]}") from error
    if not isinstance(value, dict):
        raise UnreadableFile(f"the JSON is {described(value)}; expected an object")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise UnreadableFile(f"the JSON gives the key '{shown(twice)}' twice in one object")
    return found


def _refuse_constant(name: str) -> float:
    raise UnreadableFile(f"the JSON holds {name}, which is no number; leave the field out or give a finite number")


def shown(text: str) -> str:
    """A text from outside, short and printable."""
    return text[:80].encode("unicode_escape").decode()


def described(value: object) -> str:
    """A JSON value in a few words, whatever its size."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return f"the text '{shown(value)}'"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    return f"the number {str(value)[:40]}"


class Fields:
    """One object's fields.

    Args:
        value: what stands in the file.
        owner: how errors call it, e.g. "layer 'conv1'".
        known: the keys it may have.

    Raises:
        InvalidNetwork: not an object, or a key that is not known.
    """

    def __init__(self, value: object, owner: str, known: Iterable[str]) -> None:
        if not isinstance(value, dict):
            raise InvalidNetwork(f"{owner} is {described(value)}; expected an object")
        self.owner = owner
        self._fields: Mapping[str, Any] = value
        allowed = tuple(known)
        unknown = next((key for key in value if key not in allowed), None)
        if unknown is not None:
            raise InvalidNetwork(f"{owner} has the unknown key '{shown(unknown)}'; known are {', '.join(allowed)}")

    def __contains__(self, key: str) -> bool:
        return key in self._fields

    def refused(self, key: str, expected: str) -> InvalidNetwork:
        """The error for a field that is not what it should be."""
        return InvalidNetwork(f"{self.owner} has {described(self._fields[key])} as its {key}; expected {expected}")

    def raw(self, key: str, default: object = Missing) -> Any:
        if key in self._fields:
            return self._fields[key]
        if default is Missing:
            raise InvalidNetwork(f"{self.owner} lacks its {key}")
        return default

    def text(self, key: str, default: object = Missing) -> str:
        value = self.raw(key, default)
        if key in self._fields and not is_name(value):
            raise self.refused(key, f"a text of 1 to {MAX_NAME_LENGTH} printable characters")
        return str(value)

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """One text or a list of texts."""
        value = self.raw(key, default)
        values = [value] if isinstance(value, str) else value
        if key in self._fields and not (isinstance(values, list) and all(map(is_name, values))):
            raise self.refused(key, "a name or a list of names, of printable characters")
        return tuple(values)

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.raw(key, default)
        if not isinstance(value, bool):
            raise self.refused(key, "true or false")
        return value

    def integer(self, key: str, default: object = Missing, *, least: int = 1) -> int:
        value = self.raw(key, default)
        if not _is_integer(value, least):
            raise self.refused(key, f"a whole number from {least} to {MAX_NUMBER}")
        return int(value)

    def integers(self, key: str, lengths: tuple[int, ...], *, least: int = 1) -> tuple[int, ...]:
        """A list of whole numbers, of one of the lengths."""
        value = self.raw(key)
        if not isinstance(value, list) or len(value) not in lengths or not all(_is_integer(v, least) for v in value):
            counts = " or ".join(map(str, lengths))
            raise self.refused(key, f"{counts} whole numbers from {least} to {MAX_NUMBER}")
        return tuple(value)

    def pair(self, key: str, default: object = Missing) -> tuple[int, int]:
        """One number for height and width, or [height, width]."""
        if isinstance(self.raw(key, default), list):
            height, width = self.integers(key, (2,))
            return height, width
        extent = self.integer(key, default)
        return extent, extent

    def number(self, key: str, default: object = Missing) -> float:
        value = self.raw(key, default)
        if key in self._fields and not _is_number(value):
            raise self.refused(key, "a finite number")
        return float(value)

    def numbers(self, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """One number or a list of them."""
        value = self.raw(key, default)
        values = value if isinstance(value, list | tuple) else [value]
        if not values or not all(map(_is_number, values)):
            raise self.refused(key, "a finite number, or a list of them")
        return tuple(map(float, values))

    def array(self, key: str) -> Float32Array | None:
        """A tensor: nested lists of numbers, or {"shape", "float32_base64"}; None where it is left out."""
        if key not in self._fields:
            return None
        value = self._fields[key]
        if isinstance(value, dict):
            return self._decoded(key)
        shape: list[int] = []
        flat = [value]
        while all(isinstance(row, list) for row in flat) and len(shape) < _MAX_TENSOR_RANK:
            lengths = {len(row) for row in flat}
            if len(lengths) != 1 or lengths == {0}:
                raise self.refused(key, "numbers in lists of one length, none of them empty")
            shape += lengths
            flat = [element for row in flat for element in row]
        if not shape or not all(map(_is_number, flat)):
            raise self.refused(key, f"finite numbers in lists, at most {_MAX_TENSOR_RANK} inside each other")
        # What is too large for float32 becomes infinite, and is refused with the layer's name.
        with np.errstate(over="ignore"):
            return np.array(flat, dtype=np.float64).astype(np.float32).reshape(shape)

    def _decoded(self, key: str) -> Float32Array:
        tensor = Fields(self._fields[key], f"the {key} of {self.owner}", ("shape", "float32_base64"))
        shape = tensor.integers("shape", (1, 2, 4))
        encoded = tensor.raw("float32_base64")
        needed = 4 * math.prod(shape)
        expected = f"base64 of {needed} bytes: {'x'.join(map(str, shape))} little-endian float32"
        # Four characters for three bytes: the length is settled before anything is decoded.
        if not isinstance(encoded, str) or len(encoded) != -(-needed // 3) * 4:
            raise tensor.refused("float32_base64", expected)
        try:
            content = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise tensor.refused("float32_base64", expected) from error
        if len(content) != needed:
            raise tensor.refused("float32_base64", expected)
        array: Float32Array = np.frombuffer(content, dtype="<f4").astype(np.float32, copy=False).reshape(shape)
        return array


def _is_integer(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_NUMBER


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**1000
