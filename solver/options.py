"""The options for choosing bits, each defined once for the library, the service and the command line.

This module does not import scipy or PuLP, so that checking a request and applying one of the paper's rules is fast.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from network.allocation import WEIGHT_SCHEMES, Bits, WeightScheme
from network.errors import RequestError
from network.options import Options

DEFAULT_TIME_LIMIT_SECONDS: Final = 60.0
"""Time limit of the exact program in seconds if none is given."""

MAX_TIME_LIMIT_SECONDS: Final = 86_400.0
"""Largest time limit of the exact program in seconds."""

MIN_SOLVE_SECONDS: Final = 1.0
"""Smallest time limit of one solve of a series in seconds, even if the time for the series is used up."""

ALL_OTHERS: Final = "*"
"""Key that stands for every layer or tensor that is not listed."""

NATIVE_BACKEND: Final = "native"
HIGHS_BACKEND: Final = "highs"
PULP_BACKEND: Final = "pulp"


class Method(StrEnum):
    """Methods that choose bits: exact (an integer program), and MixPL and MixPC, the rules of arXiv 1905.13082."""

    EXACT = "exact"
    MIXPL = "mixpl"
    MIXPC = "mixpc"


class LayerOrder(StrEnum):
    """Layer orders from which the method `exact` may choose: only the given one, or any valid one."""

    BEST = "best"
    """Any valid order; the program chooses one together with the bits."""

    GIVEN = "given"
    """The order of the network's file."""


def backend_named(name: str) -> str:
    """Return the full name of a solver backend: "native", "highs", or "pulp:" and the name of a solver in PuLP.

    Args:
        name: Name of the backend; "pulp" alone stands for CBC.

    Raises:
        RequestError: If the backend is unknown or its solver is not installed.
    """
    if name in {NATIVE_BACKEND, HIGHS_BACKEND}:
        return name
    kind, _, solver = name.partition(":")
    if kind != PULP_BACKEND:
        raise RequestError(
            f"unknown backend {name[:60]!r}; expected native, highs, pulp, or pulp: and the name of a solver in PuLP"
        )
    from solver.exact.milp import DEFAULT_PULP_SOLVER, available_solvers

    found = available_solvers()
    solver = solver or DEFAULT_PULP_SOLVER
    if solver not in found:
        raise RequestError(
            f"PuLP finds no solver {solver[:60]!r} on this machine; it finds: {', '.join(found) or 'none'}"
        )
    return f"{PULP_BACKEND}:{solver}"


AllowedBits = Annotated[list[Bits], Field(min_length=1)]
"""Bits that a tensor may have: one or more of 8, 4 and 2."""


AllowedSchemes = Annotated[list[WeightScheme], Field(min_length=1)]
"""Schemes that the weights of a layer may have: one or more."""


class SolveOptions(Options):
    """Options for choosing the bits of a network; all except `method` apply only to the method `exact`."""

    method: Method = Field(
        default=Method.EXACT,
        description="how bits are chosen. exact: minimizes the summed sensitivity, with a proof; mixpl, mixpc: the "
        "rules of the paper (arXiv 1905.13082), with weights quantized per layer or per channel",
    )
    scheme: WeightScheme | None = Field(
        default=None,
        description="quantization scheme of all weights for the method exact; none: chosen for each layer among the "
        "allowed schemes; each of the paper's rules has its own scheme",
    )
    allowed_schemes: AllowedSchemes | None = Field(
        default=None,
        description="quantization schemes that the weights of a layer may have, for the method exact; none: all; "
        "PerChannelSymLSQ is preferred where sums are equal",
    )
    schedule: LayerOrder = Field(
        default=LayerOrder.BEST,
        description="order in which the layers run, for the method exact. best: chosen together with the bits; given: "
        "the order of the file",
    )
    allowed_weight_bits: dict[str, AllowedBits] = Field(
        default={},
        description="name of a layer -> bits that the layer's weights may have, for the method exact; '*' stands for "
        "all layers that are not named; without '*', these may have 8, 4 and 2 bits",
        examples=[{"first": [8]}],
    )
    allowed_activation_bits: dict[str, AllowedBits] = Field(
        default={},
        description="name of a tensor -> bits that the tensor may have, for the method exact; '*' stands for "
        "all tensors that are not named; the network's inputs and outputs always have 8 bits",
    )
    backend: Annotated[str, AfterValidator(backend_named)] = Field(
        default=NATIVE_BACKEND,
        json_schema_extra={"pattern": r"^(native|highs|pulp(:.+)?)$"},
        description="solver of the integer program of the method exact: native, highs, pulp, or pulp: and the name "
        "of a solver that PuLP finds, such as pulp:PULP_CBC_CMD",
    )
    time_limit_seconds: float = Field(
        default=DEFAULT_TIME_LIMIT_SECONDS,
        gt=0,
        le=MAX_TIME_LIMIT_SECONDS,
        strict=True,
        description="time in seconds after which the method exact returns the best bits found so far, with a lower "
        "bound",
    )

    @property
    def schemes(self) -> tuple[WeightScheme, ...]:
        """Schemes that the weights of a layer may have, the preferred one first; at least one."""
        if self.scheme is not None:
            return (self.scheme,)
        allowed = WEIGHT_SCHEMES if self.allowed_schemes is None else self.allowed_schemes
        return tuple(scheme for scheme in WEIGHT_SCHEMES if scheme in allowed)

    @property
    def only_scheme(self) -> WeightScheme | None:
        """The scheme of all weights if only one is allowed; None if there is a choice."""
        first, *others = self.schemes
        return None if others else first

    @property
    def restricts_bits(self) -> bool:
        """Whether a user has listed the allowed bits of at least one tensor."""
        return bool(self.allowed_weight_bits or self.allowed_activation_bits)
