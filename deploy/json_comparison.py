"""Comparison of two parsed JSON values, which describes their first difference in a sentence."""

from __future__ import annotations

from typing import Any

from network.names import described, shown


def first_difference(expected: object, found: object, where: str) -> str | None:
    """Return a sentence that describes the first difference between two parsed JSON values; None if they are equal.

    Args:
        expected: The expected value.
        found: The value that was found.
        where: The name of both values in the sentence; the path to the difference is added to it.

    Returns:
        One sentence, e.g. "network.json.layers[0].groups must be the number 1, is the number 2"; None if the values are
        equal. True and 1 are different values.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        return _first_difference_of_objects(expected, found, where)
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        differences = (first_difference(one, other, f"{where}[{index}]") for index, (one, other) in pairs)
        return next((difference for difference in differences if difference is not None), None)
    if expected == found and isinstance(expected, bool) == isinstance(found, bool):
        return None
    return f"{where} must be {described(expected)}, is {described(found)}"


def _first_difference_of_objects(expected: dict[str, Any], found: dict[str, Any], where: str) -> str | None:
    for key in {**expected, **found}:
        if key not in found:
            return f"{where} lacks its {key}"
        if key not in expected:
            return f"{where} has the unknown key '{shown(key)}'"
        difference = first_difference(expected[key], found[key], f"{where}.{key}")
        if difference is not None:
            return difference
    return None
