"""Fields that all requests for the bits of a network have in common."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from api.schemas.sensitivity_fields import SensitivityField
from api.schemas.sizes import ReservedSize
from network.kernel_sizes.tables import Optimization
from network.memory.books import BookName
from solver.options import SolveOptions

MAX_WIDE_LAYERS: Final = 100_000
"""Largest number of layers that a request names."""


class SolveRequest(SolveOptions):
    """Request fields that say how the bits of a network are chosen, for any memory budget."""

    accounting: BookName = Field(default=BookName.DEPLOYED, description="rule set that counts bytes")
    optimization: Optimization | None = Field(
        default=None,
        description="optimization flag with which the C code is compiled, whose size the accounting deployed counts: "
        "O2 for speed, Os for size, O3 for unrolled loops; null: O2, or Os where the bytes that it saves buy bits or "
        "are needed to fit",
    )
    sensitivity: SensitivityField | None = Field(
        default=None,
        description="sensitivities whose sum the method exact minimizes; for other methods, the sum is only "
        "reported. weights: from the weights alone; fisher, hessian, measured: from samples; a table; or a finished "
        "sensitivity job; null: exact uses fisher if there are samples, otherwise weights",
    )
    reserved_flash: ReservedSize = Field(
        default="0",
        validate_default=True,
        description="flash that the rest of the program needs; it is subtracted from the budget",
    )
    reserved_ram: ReservedSize = Field(
        default="0",
        validate_default=True,
        description="RAM that the rest of the program needs; it is subtracted from the budget",
    )

    wide_layers: list[str] = Field(
        default=[],
        max_length=MAX_WIDE_LAYERS,
        description="names of layers that the accounting deployed counts with constants of 32 bits instead of 16; the "
        "report of a training whose result exceeds its budget names them",
    )

    @property
    def options(self) -> SolveOptions:
        """Options of the solver that a request contains."""
        return SolveOptions.model_construct(**{name: getattr(self, name) for name in SolveOptions.model_fields})
