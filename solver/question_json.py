"""Conversion of a question (network, budget, options) to JSON text and back, so that another process can solve it.

    {"network": {...},            description without weights (docs/json-description.md): element counts are enough
     "budget": {"flash_bytes": 60000, "ram_bytes": 40000},
     "accounting": "deployed",    name of the accounting; its kernels follow from the device
     "optimization": "O2",        optimization flag of the code that it counts; null: the solver chooses it
     "device": {...},             the whole device (docs/devices.md), or null
     "sensitivity": {...},        the table (docs/sensitivity.md), or null
     "options": {...},            every option of `SolveOptions`
     "speed": {...},              the table of core speeds (docs/exact.md), or null
     "measured_speeds": [["pointwise_convolution", 8, 8], ...],    rates of that table that were measured
     "max_cycles": null}

Keys are sorted, so that equal questions have the same text.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from network.budget import Budget
from network.devices.catalogue import device_of, device_to_json
from network.devices.core_speed_json import core_speed_of, core_speed_to_json
from network.devices.latency import CoreSpeed
from network.errors import NetworkError, RequestError
from network.json_reading.description import read_json, write_json
from network.json_reading.fields import Fields, load_object
from network.kernel_sizes.tables import Optimization
from network.memory.accounting import Accounting
from network.memory.books import ACCOUNTINGS, accountings_for, optimization_of
from network.network import Network
from network.sensitivity.table import SensitivityTable, sensitivity_of, sensitivity_to_document
from solver.options import SolveOptions
from solver.question import Question

_KEYS: Final = (
    "network", "budget", "accounting", "optimization", "device", "sensitivity", "options", "speed", "measured_speeds",
    "max_cycles",
)  # fmt: skip


_ADDED_OPTIONS: Final = {"allowed_schemes": None}
"""Options that questions of earlier releases lack, with the value that means what these questions meant.

Such a question names the one scheme of all weights, so that it needs no list of allowed schemes.
"""


def question_to_json(question: Question) -> str:
    """Return a question (network, budget, options) as JSON text without weights; `question_from_json` reads it back.

    Args:
        question: The network, the budget and the options.

    Raises:
        ValueError: If the accounting is not the one that its name and the device stand for, e.g. a subclass.
    """
    speed = question.speed
    document = {
        "network": json.loads(write_json(question.network, with_weights=False)),
        "budget": {"flash_bytes": question.budget.flash_bytes, "ram_bytes": question.budget.ram_bytes},
        "accounting": _accounting_name(question),
        "optimization": _optimization(question),
        "device": None if question.device is None else device_to_json(question.device),
        "sensitivity": None if question.sensitivity is None else sensitivity_to_document(question.sensitivity),
        "options": question.options.model_dump(mode="json"),
        "speed": None if speed is None else core_speed_to_json(speed),
        "measured_speeds": [] if speed is None else sorted(list(key) for key in speed.measured),
        "max_cycles": question.max_cycles,
    }
    return json.dumps(document, sort_keys=True)


def question_from_json(text: str) -> Question:
    """Read a question (network, budget, options) from JSON text.

    Args:
        text: Text that `question_to_json` wrote.

    Raises:
        RequestError: If the text is not valid JSON, if a key is missing or unknown, or if a value is invalid.
    """
    # Half of a surrogate pair cannot be encoded; with "surrogatepass", the decoding in `load_object` rejects it.
    document = load_object(text.encode("utf-8", "surrogatepass"), "the question", RequestError)
    fields = Fields(document, "the question", _KEYS, error=RequestError)
    given_device = fields.raw("device")
    device = None if given_device is None else device_of(given_device)
    budget = fields.child("budget", ("flash_bytes", "ram_bytes"))
    accounting, *alternatives = accountings_for(fields.text("accounting"), device, _named_optimization(fields))
    question = Question(
        network=_network(fields.raw("network")),
        budget=Budget(budget.raw("flash_bytes"), budget.raw("ram_bytes")),
        accounting=accounting,
        sensitivity=_table(fields.raw("sensitivity")),
        options=_options(fields),
        device=device,
        speed=_speed(fields),
        max_cycles=fields.raw("max_cycles"),
        alternatives=tuple(alternatives),
    )
    _ = question.latency  # rejects a ceiling that is out of range or has no speed
    return question


def _accounting_name(question: Question) -> str:
    """Return the name of a question's byte accounting rules; reject rules that differ from the built-in ones.

    Raises:
        ValueError: If the name, the device and the optimization stand for other rules.
    """
    name, given = question.accounting.name, (question.accounting, *question.alternatives)
    if name in ACCOUNTINGS:
        optimization = None if question.alternatives else optimization_of(question.accounting) or Optimization.SPEED
        named = accountings_for(name, question.device, optimization)
        if len(named) == len(given) and all(map(_is_same, named, given)):
            return name
    where = "no device" if question.device is None else f"device '{question.device.name}'"
    kind = type(question.accounting).__name__
    raise ValueError(
        f"the byte accounting '{name}' ({kind}) or one of its alternatives was changed and differs from the built-in "
        f"one of that name for {where}; only built-in ones can be written as JSON"
    )


def _is_same(first: Accounting, second: Accounting) -> bool:
    return type(first) is type(second) and vars(first) == vars(second)


def _optimization(question: Question) -> str | None:
    """Return the optimization of the code that a question counts; None if the solver chooses it."""
    return None if question.alternatives else (optimization_of(question.accounting) or Optimization.SPEED).value


def _named_optimization(fields: Fields) -> Optimization | None:
    """Read an optimization flag; None if the solver chooses it.

    Raises:
        RequestError: If no flag has that name.
    """
    if fields.raw("optimization") is None:
        return None
    name = fields.text("optimization")
    try:
        return Optimization(name)
    except ValueError:
        expected = ", ".join(Optimization)
        raise RequestError(
            f"the question has {name[:60]!r} as its 'optimization'; expected one of {expected}"
        ) from None


def _network(given: Any) -> Network:
    """Read a network without weights from its decoded JSON description.

    Raises:
        RequestError: If the description is invalid.
    """
    try:
        return read_json(json.dumps(given).encode(), "network")
    except NetworkError as error:
        raise RequestError(f"the question has an invalid network: {error}") from error


def _table(given: Any) -> SensitivityTable | None:
    """Read a sensitivity table from a decoded JSON value, which may be null for no table.

    Raises:
        RequestError: If the value is not a table.
    """
    try:
        return None if given is None else sensitivity_of(given)
    except OverflowError as error:
        raise RequestError("the question has a sensitivity that is too large for a floating-point number") from error


def _options(fields: Fields) -> SolveOptions:
    """Read the options for choosing bits from a decoded JSON value; none may be missing, except those added later.

    Raises:
        RequestError: If an option is missing, unknown or invalid.
    """
    names = tuple(SolveOptions.model_fields)
    options = fields.child("options", names)
    added = {name: options.raw(name, value) for name, value in _ADDED_OPTIONS.items()}
    return SolveOptions(**{name: options.raw(name) for name in names if name not in added}, **added)


def _speed(fields: Fields) -> CoreSpeed | None:
    """Read a table of core speeds from a decoded JSON value, which may be null for no table.

    Raises:
        RequestError: If the table is invalid, or if a measured rate is not in it.
    """
    given, measured = fields.raw("speed"), fields.raw("measured_speeds")
    if given is None:
        return None
    speed = core_speed_of(given)
    key_of = {json.dumps(list(key)): key for key in speed.multiply_accumulates_per_cycle}
    written = [json.dumps(key) for key in measured] if isinstance(measured, list) else None
    if written is None or not key_of.keys() >= set(written):
        raise fields.refused(
            "measured_speeds", 'a list of keys of rates in the table of speeds, e.g. ["pointwise_convolution", 8, 8]'
        )
    return replace(speed, measured=frozenset(key_of[key] for key in written))
