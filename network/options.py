"""The base class of everything that a caller may choose: each option is defined once, as a field with its bounds.

    class CalibrationOptions(Options):
        samples: StrictInt = Field(default=512, ge=1, le=1_000_000, description="number of samples to calibrate on")

The same class serves the library, a request's JSON, the command's `--help` and the tables in `docs/`. Where a value is
refused, the library raises `RequestError`; the HTTP service lists the faults of all fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self, dataclass_transform

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from network.errors import RequestError

if TYPE_CHECKING:  # pydantic does not export its metaclass; type checkers need it to know the constructor's arguments
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


@dataclass_transform(kw_only_default=True, field_specifiers=(Field,))
class _RefusedAsRequestError(ModelMetaclass):
    """Turns pydantic's error into ours where an instance is made by a call.

    A class and not an `__init__`, which pydantic would also call inside the validation of a whole request: there its
    own error has to survive, because it names every field that is wrong.
    """

    if not TYPE_CHECKING:  # type checkers would lose the constructor's own arguments

        def __call__(cls, *args: Any, **fields: Any) -> Any:  # noqa: N805  # of a metaclass
            try:
                return super().__call__(*args, **fields)
            except ValidationError as error:
                raise RequestError(refusal(error)) from None


class Options(BaseModel, metaclass=_RefusedAsRequestError):
    """Frozen options, each with a type, a default, bounds and a description.

    Raises:
        RequestError: a field is unknown, missing, of another type or outside its bounds; names the field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other values, checked like any other instance.

        Args:
            changes: New values by field name.

        Raises:
            RequestError: If a new value is invalid.
        """
        return type(self)(**{name: getattr(self, name) for name in type(self).model_fields} | changes)


def refusal(error: ValidationError) -> str:
    """One sentence for the first fault of a validation: the field, what was expected, and what came."""
    first = error.errors()[0]
    if first["type"] == NAMED_FAULT:
        return fault_text(first)
    where = ".".join(str(part) for part in first["loc"]) or "the options"
    return f"{where}: {fault_text(first)}"


_EXPECTED: Final[Mapping[str, str]] = {
    "missing": "the field is required",
    "extra_forbidden": "there is no such field",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "string_type": "expected a text",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "dict_type": "expected an object",
    "model_type": "expected an object",
    "model_attributes_type": "expected an object",
    "too_short": "expected {min_length} or more entries",
    "too_long": "expected {max_length} or fewer entries",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected {ge} or more",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected {le} or less",
    "enum": "expected one of: {expected}",
    "literal_error": "expected one of: {expected}",
}
"""Type of a fault, as pydantic names it -> what was expected, with the fault's own values filled in."""

NAMED_FAULT: Final = "named_fault"
"""Type of a fault whose text names the field and what came."""

_COMPLETE: Final = frozenset({"missing", "extra_forbidden", NAMED_FAULT})
"""Faults whose text names the input already, or that have none."""


def fault_text(fault: Mapping[str, Any]) -> str:
    """What was expected and what came, from one entry of `ValidationError.errors()`, for a person to read."""
    known = _EXPECTED.get(fault["type"])
    expected = (
        str(fault["msg"]).removeprefix("Value error, ") if known is None else known.format(**fault.get("ctx", {}))
    )
    if fault["type"] in _COMPLETE:
        return expected
    given = fault.get("input")
    if given is None or isinstance(given, bool | int | float):
        return f"{expected}; it is {json.dumps(given)}"
    return f"{expected}; it is {given[:60]!r}" if isinstance(given, str) else expected
