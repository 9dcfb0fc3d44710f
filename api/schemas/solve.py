"""What every question about bits has. Field descriptions are the OpenAPI document's.

Unknown fields are refused: a misspelt option would otherwise be silently left at its default. Names and ranges are
judged by the rooms below (`method_named`, `device_named`, ...), so that the command and the service say the same.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, WithJsonSchema

from api.operations.measures import MeasureChoice
from network.allocation import DEFAULT_WEIGHT_SCHEME, Bits, WeightScheme, as_bits
from network.budget import Budget, parse_size_bytes
from network.errors import RequestError
from network.memory.books import ACCOUNTINGS, DEFAULT_ACCOUNTING
from network.network import Network
from solver.exact.choices import Choices
from solver.exact.options import NATIVE_BACKEND, ExactOptions, backend_named
from solver.exact.program import DEFAULT_TIME_LIMIT_SECONDS
from solver.solution import Method

DEFAULT_METHOD: Final = Method.EXACT
MAX_TIME_LIMIT_SECONDS: Final = 600.0
ALL_OTHERS: Final = "*"


class Schedules(StrEnum):
    """Which order of layers the exact program may take."""

    BEST = "best"
    GIVEN = "given"


_Name = TypeVar("_Name", bound=StrEnum)

Size = Annotated[
    Any,  # judged by `parse_size_bytes`, which says what it expects better than a union of two types does
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}),
    Field(examples=[60000, "60kB", "512 KiB"]),
]
"""Bytes, or a number with kB, KiB, MB or MiB."""

DeviceChoice = Annotated[
    Any,
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": True}]}),
    Field(examples=["stm32f746ng", {"name": "my-board", "core": "cortex-m4", "flash": "480 KiB", "ram": "96 KiB"}]),
]
"""A name of the catalogue, or a device as `docs/devices.md` describes it."""


class SolveRequest(BaseModel):
    """How bits are chosen, whatever the budget."""

    model_config = ConfigDict(extra="forbid")

    method: str = Field(
        default=DEFAULT_METHOD,
        description="how bits are chosen: the best there are (exact), or by the paper's rules, weights per layer "
        "(mixpl) or per channel (mixpc)",
        json_schema_extra={"enum": list(Method)},
    )
    accounting: str = Field(
        default=DEFAULT_ACCOUNTING,
        description="the rule book that counts bytes",
        json_schema_extra={"enum": list(ACCOUNTINGS)},
    )
    sensitivity: str | dict[str, Any] | None = Field(
        default=None,
        description="what the exact program minimises, and what rules are compared by: 'weights' (from the weights "
        "alone); with samples 'fisher', 'hessian' or 'measured'; a table {weights: {layer: {8: x, 4: y, 2: z}}, "
        "activations: {tensor: {...}}}; or {job_id: ...} of a finished sensitivity job. Where none is given, exact "
        "takes 'fisher' if there are samples, else 'weights'",
        examples=["weights", "fisher", {"job_id": "64c30fc6784c4ee7b09e25090bba1b9c"}],
    )
    scheme: str = Field(
        default=DEFAULT_WEIGHT_SCHEME,
        description="how the exact program quantizes weights; the rules have schemes of their own",
        json_schema_extra={"enum": list(WeightScheme)},
    )
    schedule: str = Field(
        default=Schedules.BEST,
        description="the order of layers under the exact program: chosen with the bits (best), or the file's (given)",
        json_schema_extra={"enum": list(Schedules)},
    )
    allowed_weight_bits: dict[str, list[StrictInt]] = Field(
        default={},
        description="layer -> bits that its weights may have under the exact program; '*' stands for all other layers, "
        "which else may have 8, 4 and 2",
        examples=[{"first": [8]}],
    )
    allowed_activation_bits: dict[str, list[StrictInt]] = Field(
        default={},
        description="tensor -> bits that it may have under the exact program; '*' stands for all others but the "
        "network's input and outputs, which keep 8",
    )
    backend: str = Field(
        default=NATIVE_BACKEND,
        description="what solves the exact program: native, highs, or pulp and a solver that it finds, e.g. "
        "pulp:PULP_CBC_CMD",
    )
    time_limit_seconds: StrictFloat | StrictInt = Field(
        default=DEFAULT_TIME_LIMIT_SECONDS,
        description="after it, the exact program gives its best answer so far, with its bound",
    )
    reserved_flash: Size = Field(default=0, description="flash that the rest of the program takes: off the budget")
    reserved_ram: Size = Field(default=0, description="RAM that the rest of the program takes: off the budget")

    @property
    def weight_scheme(self) -> WeightScheme:
        """How the exact program quantizes weights.

        Raises:
            RequestError: an unknown scheme.
        """
        return _one_of("scheme", self.scheme, WeightScheme)

    @property
    def measure(self) -> MeasureChoice:
        """What the answer is judged by.

        Raises:
            RequestError: an unknown scheme.
        """
        return MeasureChoice(self.sensitivity, self.weight_scheme, minimises=self.method == Method.EXACT)

    def exact_options(self, network: Network | None = None) -> ExactOptions:
        """How the exact program is solved.

        Args:
            network: whose layers and tensors '*' stands for; without one, only what can be judged without is.

        Raises:
            RequestError: an unknown scheme, schedule or backend, bits that are none, or a time limit out of range.
        """
        weight_bits = _allowed("allowed_weight_bits", self.allowed_weight_bits)
        activation_bits = _allowed("allowed_activation_bits", self.allowed_activation_bits)
        if network is not None:
            kept = {network.input, *network.outputs}
            weight_bits = _for_all(weight_bits, [layer.name for layer in network.weight_layers])
            activation_bits = _for_all(activation_bits, [name for name in network.tensors if name not in kept])
        return ExactOptions(
            choices=Choices(self.weight_scheme, weight_bits, activation_bits),
            backend=backend_named(self.backend),
            time_limit_seconds=_time_limit(self.time_limit_seconds),
            chooses_schedule=_one_of("schedule", self.schedule, Schedules) is Schedules.BEST,
        )

    def left_of(self, flash_bytes: int, ram_bytes: int) -> tuple[int, int]:
        """Flash and RAM when the reserves are taken off; 0 where they take everything.

        Raises:
            RequestError: a reserve that makes no sense.
        """
        flash_reserved = _reserve_bytes("reserved_flash", self.reserved_flash)
        ram_reserved = _reserve_bytes("reserved_ram", self.reserved_ram)
        return max(flash_bytes - flash_reserved, 0), max(ram_bytes - ram_reserved, 0)

    def budget_of(self, flash_bytes: int, ram_bytes: int) -> Budget:
        """What is left of these when the reserves are taken off.

        Raises:
            RequestError: a reserve that makes no sense, or leaves nothing.
        """
        left = self.left_of(flash_bytes, ram_bytes)
        for what, size_bytes, remaining in zip(("flash", "ram"), (flash_bytes, ram_bytes), left, strict=True):
            if remaining == 0:
                raise RequestError(
                    f"reserved_{what} takes all of the {size_bytes} bytes: nothing is left for the network"
                )
        return Budget(*left)


def _one_of(what: str, name: str, kind: type[_Name]) -> _Name:
    try:
        return kind(name)
    except ValueError:
        raise RequestError(f"unknown {what} {name[:60]!r}; expected one of: {', '.join(kind)}") from None


def _allowed(what: str, given: dict[str, list[int]]) -> dict[str, tuple[Bits, ...]]:
    allowed = {}
    for name, bits in given.items():
        if not bits:
            raise RequestError(f"{what} leaves '{name[:60]}' no bits; expected one or more of 8, 4 and 2")
        allowed[name] = tuple(as_bits(each) for each in bits)
    return allowed


def _reserve_bytes(what: str, given: object) -> int:
    """A size that may be nothing at all."""
    if not isinstance(given, bool) and given in (0, "0"):
        return 0
    return parse_size_bytes(given, what)  # type: ignore[arg-type]  # it says what is wrong with any other type


def _for_all(allowed: dict[str, tuple[Bits, ...]], names: list[str]) -> dict[str, tuple[Bits, ...]]:
    """The names one by one in place of '*'."""
    others = allowed.pop(ALL_OTHERS, None)
    return allowed if others is None else {**dict.fromkeys(names, others), **allowed}


def _time_limit(seconds: float) -> float:
    if not 0 < seconds <= MAX_TIME_LIMIT_SECONDS:
        raise RequestError(
            f"time_limit_seconds is {seconds}; expected more than 0 and up to {MAX_TIME_LIMIT_SECONDS:g}"
        )
    return seconds
