"""Tables of kernel speeds as JSON: those of the built-in cores, and a user's own.

    {"core": "my-core", "source": "measured on the board",
     "multiply_accumulates_per_cycle": {"pointwise_convolution": {"8/8": 0.5, "8/4": 0.4}},
     "elements_per_cycle": {"add": 0.1},
     "optimizations": {"Os": {"multiply_accumulates_per_cycle": {"pointwise_convolution": {"8/8": 0.4}},
                              "elements_per_cycle": {}}}}

"8/4" stands for 8 activation bits and 4 weight bits. `optimizations` may be missing: it has the rates that differ if
the code is compiled with a flag. Rates that a network does not need may be missing, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from network.allocation import BITS
from network.devices.latency import CoreSpeed, Key, Rates
from network.errors import RequestError
from network.kernel_sizes.tables import Optimization
from network.kernels import KERNELS_WITHOUT_WEIGHTS, WEIGHT_KERNELS
from network.names import described, is_name, shown

SLOWEST: Final = 1e-6
"""Smallest rate per cycle: a million cycles for one multiplication can only be a mistake."""

_RATES: Final = ("multiply_accumulates_per_cycle", "elements_per_cycle")
_OPTIMIZATIONS: Final = "optimizations"


def core_speed_of(given: Any) -> CoreSpeed:
    """Read a table of kernel speeds from a decoded JSON value.

    Args:
        given: Decoded JSON value: an object with the keys above.

    Raises:
        RequestError: if the value is not such an object, or has an unknown kernel, pair of bits or optimization flag,
            or a rate out of range.
    """
    table = _with_keys(given, "the table of speeds", ("core", "source", *_RATES), (_OPTIMIZATIONS,))
    for key in ("core", "source"):
        if not is_name(table[key]):
            raise RequestError(f"the table of speeds has {described(table[key])} as its {key}; expected printable text")
    rates = _rates(table)
    by_optimization = {
        flag: _rates(_with_keys(row, f"the table of speeds at -{flag}", _RATES))
        for flag, row in _known(table.get(_OPTIMIZATIONS, {}), tuple(Optimization), "optimization flag").items()
    }
    return CoreSpeed(
        table["core"],
        rates.multiply_accumulates_per_cycle,
        rates.elements_per_cycle,
        table["source"],
        frozenset(rates.multiply_accumulates_per_cycle),
        by_optimization,
    )


def core_speed_to_json(speed: CoreSpeed) -> dict[str, Any]:
    """Return a table of kernel speeds as a JSON object; `core_speed_of` reads it back."""
    document = {"core": speed.core, "source": speed.source, **_rates_to_json(speed.rates)}
    if speed.by_optimization:
        document[_OPTIMIZATIONS] = {
            str(flag): _rates_to_json(rates) for flag, rates in sorted(speed.by_optimization.items())
        }
    return document


def _rates_to_json(rates: Rates) -> dict[str, Any]:
    rows: dict[str, dict[str, float]] = {}
    for (kernel, activation, weight), rate in rates.multiply_accumulates_per_cycle.items():
        rows.setdefault(kernel, {})[f"{activation}/{weight}"] = rate
    return dict(zip(_RATES, (rows, dict(rates.elements_per_cycle)), strict=True))


def _rates(table: Mapping[str, Any]) -> Rates:
    rates: dict[Key, float] = {}
    for kernel, row in _known(table["multiply_accumulates_per_cycle"], WEIGHT_KERNELS, "kernel").items():
        pairs = {f"{activation}/{weight}": (activation, weight) for activation in BITS for weight in BITS}
        for pair, rate in _known(row, pairs, f"pair of activation and weight bits of {kernel}").items():
            rates[kernel, *pairs[pair]] = _rate(rate, f"{kernel} at {pair} bits", "multiply-accumulates")
    elements = {
        kind: _rate(rate, kind, "elements")
        for kind, rate in _known(table["elements_per_cycle"], KERNELS_WITHOUT_WEIGHTS, "kernel without weights").items()
    }
    return Rates(rates, elements)


def _with_keys(given: Any, what: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a JSON object that has the needed keys, and else optional ones alone."""
    table = _object(given, what)
    odd = sorted(map(str, table.keys() ^ {*needed, *(key for key in optional if key in table)}))
    if odd:
        raise RequestError(
            f"{what} {'lacks the key' if odd[0] in needed else 'has the unknown key'} '{shown(odd[0])}'; "
            f"expected {', '.join(sorted(needed))}{''.join(f', and optionally {key}' for key in optional)}"
        )
    return table


def _object(given: Any, what: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise RequestError(f"{what} is {described(given)}; expected a JSON object")
    return cast("dict[str, Any]", given)


def _known(given: Any, known: Iterable[str], what: str) -> dict[str, Any]:
    expected = tuple(known)
    rows = _object(given, f"the rates by {what}")
    for name in rows:
        if name not in expected:
            raise RequestError(
                f"the table of speeds has the unknown {what} '{shown(name)}'; expected one of {', '.join(expected)}"
            )
    return rows


def _rate(given: Any, what: str, unit: str) -> float:
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not is_number or not SLOWEST <= given <= 1 / SLOWEST:
        raise RequestError(
            f"the rate of {what} is {str(given)[:40]!r}; expected a number of {unit} per cycle from 0.000001 to 1000000"
        )
    return float(given)
