"""Base class of all option classes, in which each option has a type, a default value, bounds and a description.

    class CalibrationOptions(Options):
        samples: StrictInt = Field(default=512, ge=1, le=1_000_000, description="number of samples to calibrate on")

The same class serves the library, the JSON of a request, the `--help` of the command and the tables in `docs/`. If a
value is invalid, the library raises `RequestError`; the HTTP service lists the faults of all fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self, dataclass_transform

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from network.errors import RequestError
from network.option_fields import option_fields

if TYPE_CHECKING:  # pydantic does not export its metaclass; type checkers need it to know the constructor's arguments
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


@dataclass_transform(kw_only_default=True, field_specifiers=(Field,))
class _RefusedAsRequestError(ModelMetaclass):
    """Metaclass that raises `RequestError` instead of pydantic's error if an option has an invalid value.

    An `__init__` would not do: pydantic would also call it within the validation of a whole request, where pydantic's
    own error is needed, because it lists every invalid field.
    """

    if not TYPE_CHECKING:  # type checkers would lose the constructor's own arguments

        def __call__(cls, *args: Any, **fields: Any) -> Any:  # noqa: N805  # of a metaclass
            try:
                return super().__call__(*args, **fields)
            except ValidationError as error:
                raise RequestError(refusal(error)) from None


class Options(BaseModel, metaclass=_RefusedAsRequestError):
    """Base class of immutable sets of options; each option has a type, a default value, bounds and a description.

    Raises:
        RequestError: if a field is unknown, is missing, has another type or is out of range; names the field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    @model_validator(mode="wrap")
    @classmethod
    def _state_both_bounds(cls, given: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Name both bounds in the error of an option that is out of range; pydantic names only the violated bound."""
        try:
            return validate(given)
        except ValidationError as error:
            raise ValidationError.from_exception_data(
                error.title, [_with_both_bounds(cls, fault) for fault in error.errors(include_url=False)]
            ) from None

    def replace(self, **changes: Any) -> Self:
        """Return a copy of a set of options with some values replaced; the new values are checked.

        Args:
            changes: Name of each field to change -> its new value.

        Raises:
            RequestError: if a new value is invalid.
        """
        return type(self)(**{name: getattr(self, name) for name in type(self).model_fields} | changes)


def refusal(error: ValidationError) -> str:
    """Return one sentence about the first invalid option of a pydantic error: option, expected and given value."""
    first = error.errors()[0]
    if first["type"] == NAMED_FAULT:
        return fault_text(first)
    where = ".".join(str(part) for part in first["loc"]) or "the options"
    return f"{where}: {fault_text(first)}"


_BOUND_FAULTS: Final = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})

_OUT_OF_RANGE: Final = "out_of_range"
"""Type of a fault of a number whose field has two bounds; the context has the text of what was expected."""


def _with_both_bounds(model: type[BaseModel], fault: Mapping[str, Any]) -> InitErrorDetails:
    """Return one entry of a pydantic error's list in the format that pydantic needs to raise the error again.

    Args:
        model: Model whose validation found the fault.
        fault: The entry. If its field has a lower and an upper bound, the returned fault names both.
    """
    kind, context = fault["type"], fault.get("ctx", {})
    if kind in _BOUND_FAULTS and len(fault["loc"]) == 1:
        for field in option_fields(model):
            number = field.kinds[0] if field.kinds else None
            if field.name == fault["loc"][0] and number and number.minimum is not None and number.maximum is not None:
                what = "a whole number" if number.type == "integer" else "a number"
                joined = ", " if number.excludes_minimum or number.excludes_maximum else " from "
                kind, context = _OUT_OF_RANGE, {"expected": f"{what}{joined}{number.range_text}"}
    is_custom = kind in {_OUT_OF_RANGE, NAMED_FAULT}
    return InitErrorDetails(
        type=PydanticCustomError(kind, "{text}", context) if is_custom else kind,
        loc=fault["loc"],
        input=fault["input"],
        ctx=context,
    )


_EXPECTED: Final[Mapping[str, str]] = {
    "missing": "the field is required",
    "extra_forbidden": "there is no such field",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "string_type": "expected text",
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
    _OUT_OF_RANGE: "expected {expected}",
    "enum": "expected one of: {expected}",
    "literal_error": "expected one of: {expected}",
}
"""Type of a fault, as pydantic names it -> what was expected, with placeholders for the values of the fault."""

NAMED_FAULT: Final = "named_fault"
"""Type of a fault whose text names the field and the given value."""

_COMPLETE: Final = frozenset({"missing", "extra_forbidden", NAMED_FAULT})
"""Types of faults whose text already names the given value, or that have no given value."""


def fault_text(fault: Mapping[str, Any]) -> str:
    """Return a readable text of one entry of a pydantic error: the expected and the given value of an option.

    Args:
        fault: One entry of `ValidationError.errors()`.
    """
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
