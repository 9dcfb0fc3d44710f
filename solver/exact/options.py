"""How the exact program is solved. Imports no solver, so that a request is judged, and a rule applied, without one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from network.devices.latency import Latency
from network.errors import RequestError
from solver.exact.choices import Choices
from solver.exact.program import DEFAULT_TIME_LIMIT_SECONDS

NATIVE_BACKEND: Final = "native"
HIGHS_BACKEND: Final = "highs"
PULP_BACKEND: Final = "pulp"


@dataclass(frozen=True, slots=True)
class ExactOptions:
    """How the exact program is solved.

    Attributes:
        choices: the bits and the scheme that may be chosen.
        backend: "native", "highs", or "pulp:" and a solver that PuLP knows, e.g. "pulp:PULP_CBC_CMD".
        time_limit_seconds: after it, the best answer so far is given with its bound.
        chooses_schedule: the order of the layers may change; else the file's own is kept.
        latency: the most cycles of one inference, on a core.
    """

    choices: Choices = field(default_factory=Choices)
    backend: str = "native"
    time_limit_seconds: float = DEFAULT_TIME_LIMIT_SECONDS
    chooses_schedule: bool = True
    latency: Latency | None = None


def backend_named(name: str) -> str:
    """A backend's full name: "native", "highs", or "pulp:" and a solver that PuLP finds here; "pulp" alone is CBC.

    Raises:
        RequestError: an unknown one, or one that is not installed.
    """
    if name in {NATIVE_BACKEND, HIGHS_BACKEND}:
        return name
    kind, _, solver = name.partition(":")
    if kind != PULP_BACKEND:
        raise RequestError(f"unknown backend {name[:60]!r}; expected native, highs, pulp, or pulp: and a solver's name")
    from solver.exact.milp import DEFAULT_PULP_SOLVER, available_solvers

    found = available_solvers()
    solver = solver or DEFAULT_PULP_SOLVER
    if solver not in found:
        raise RequestError(f"PuLP finds no solver {solver[:60]!r} here; it finds: {', '.join(found) or 'none'}")
    return f"{PULP_BACKEND}:{solver}"
