"""JSON schemas of the request for bits under a memory budget, and of the answer: the bits, or a certificate.

`bitbudget fit --json` and `POST /v1/networks/{id}/fit` return the same object.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StrictBool, StrictInt

from api.schemas.answer import Amount, Answer, Bytes, Count, NetworkName, format_bytes
from api.schemas.device_fields import CoreSpeedField, DeviceField
from api.schemas.memory import BudgetAnswer, Memory, RegionAnswer
from api.schemas.sizes import Size
from api.schemas.solve import SolveRequest
from network.allocation import Bits, Folding, WeightScheme
from network.budget import MAX_BUDGET_BYTES
from network.devices.latency import MAX_CYCLES
from network.kernel_sizes.tables import Optimization
from network.memory.books import BookName
from solver.options import Method

MAX_MILLISECONDS: Final = 86_400_000

AddedBytes = Annotated[int, Field(ge=0, le=MAX_BUDGET_BYTES)]
"""A number of bytes by which a budget grows."""


class FitRequest(SolveRequest):
    """Request for the bits of a network under a memory budget."""

    device: DeviceField | None = Field(
        default=None,
        description="device: a name in the catalogue (GET /v1/devices), or the description of a custom one",
    )
    flash: Size | None = Field(
        default=None,
        description="flash that the network may use: bytes, or a number with kB, KiB, MB or MiB; without it, the "
        "flash of the device",
    )
    ram: Size | None = Field(
        default=None,
        description="RAM that the network may use: bytes, or a number with kB, KiB, MB or MiB; without it, the RAM "
        "of the device",
    )
    max_cycles: StrictInt | None = Field(
        default=None,
        ge=1,
        le=MAX_CYCLES,
        description="largest estimated number of cycles of one inference; for the method exact",
    )
    max_milliseconds: float | None = Field(
        default=None,
        gt=0,
        le=MAX_MILLISECONDS,
        strict=True,
        description="largest estimated time of one inference in milliseconds, at the device's clock; for the method "
        "exact",
    )
    core_speed: CoreSpeedField | None = Field(
        default=None, description="speed of each kernel; it replaces the built-in speeds of the device's core"
    )
    shadow_prices: StrictBool = Field(
        default=False,
        description="whether to compute how much the objective falls with one more kB of flash, and of RAM",
    )

    @property
    def optional_budgets(self) -> tuple[str, ...]:
        """Budgets that the request need not give: "flash", "ram", both or none."""
        return ()


class LatencyAnswer(Answer):
    """Estimated latency of one inference of a network."""

    core: str = Field(description="processor core for which the latency is estimated")
    optimization: Optimization | None = Field(
        default=None, description="optimization flag of the code whose cycles are estimated; null if it is not known"
    )
    cycles: Count = Field(description="estimated number of cycles of one inference")
    milliseconds: Amount | None = Field(
        description="estimated time of one inference in milliseconds, at the device's clock; null if it is not known"
    )
    is_estimate: bool = Field(description="whether the latency is estimated; true: nothing was measured on a device")


class HostStepsAnswer(Answer):
    """Computation behind the network that the caller's program does for one output of the file."""

    output: str = Field(description="name of the output in the file")
    tensors: list[str] = Field(description="names of the tensors that the program reads")
    operators: list[str] = Field(description="names of the operators, in an order in which they can run")


class NextImprovementAnswer(Answer):
    """Smallest increase of one budget, above 1 kB, that reduces the summed sensitivity, and the reduction."""

    more_bytes: AddedBytes | None = Field(
        description="number of bytes by which the budget has to grow; null if no larger budget was found that reduces "
        "the objective"
    )
    reduction: Amount = Field(
        description="decrease of the objective with that many more bytes; 0 if more_bytes is null"
    )
    is_proven: bool = Field(
        description="whether it is proven that fewer bytes (if more_bytes is null: any larger budget) do not reduce "
        "the objective, and that the reduction is the largest possible; false: more_bytes is an upper bound, and "
        "reduction a lower bound"
    )


class ShadowPricesAnswer(Answer):
    """Decrease of the summed sensitivity if the budget of flash, or of RAM, is 1 kB (1000 bytes) larger."""

    flash: Amount = Field(description="decrease of the objective with 1000 more bytes of flash")
    ram: Amount = Field(description="decrease of the objective with 1000 more bytes of RAM")
    next_flash: NextImprovementAnswer | None = Field(
        description="smallest increase of flash that reduces the objective; null if 1000 more bytes reduce it"
    )
    next_ram: NextImprovementAnswer | None = Field(
        description="smallest increase of RAM that reduces the objective; null if 1000 more bytes reduce it"
    )


class CertificateAnswer(Answer):
    """Certificate that no bits fit the budget: the minimum requirement. Input and outputs always have 8 bits."""

    budget: Literal["flash", "ram", "latency"] = Field(description="budget that is exceeded")
    layer: str = Field(
        description="ram: the layer at the peak; flash: the layer with the most bytes; latency: the slowest layer"
    )
    least_bytes: Bytes | None = Field(
        description="minimum requirement, in bytes; null for latency, and if it was not found within the time limit"
    )
    available_bytes: Count | None = Field(description="budget, in bytes; null for latency")
    missing_bytes: Bytes | None = Field(
        description="minimum requirement minus budget, in bytes; null if the minimum is null"
    )
    conflicting: list[Literal["flash", "ram", "latency"]] = Field(
        description="the exceeded budget alone; or several budgets that can be met one by one, but not together"
    )
    least_flash_bytes: Bytes | None = Field(
        description="minimum flash without limits on RAM and latency, in bytes; null if it was not computed"
    )
    least_ram_bytes: Bytes | None = Field(
        description="minimum RAM without limits on flash and latency, in bytes; null if it was not computed"
    )
    least_cycles: Count | None = Field(
        description="minimum estimated number of cycles of any bits; null without a latency ceiling"
    )
    available_cycles: Count | None = Field(description="latency ceiling, in cycles; null without one")
    is_proven: bool = Field(
        description="whether the certificate is proven; false: not all orders of the layers of a large graph were tried"
    )

    @property
    def sentence(self) -> str:
        """Sentence that explains why no bits of a network fit the budget."""
        parts = [self._shortage]
        if len(self.conflicting) > 1:
            names = {"flash": "flash", "ram": "RAM", "latency": "the latency ceiling"}
            *others, last = (names[each] for each in self.conflicting)
            parts.append(f"each of {', '.join(others)} and {last} can be met alone, but not together")
        if not self.is_proven:
            parts.append("not all orders of the layers were tried")
        return "; ".join(parts)

    @property
    def _shortage(self) -> str:
        if self.budget == "latency" and self.least_cycles is not None and self.available_cycles is not None:
            missing = self.least_cycles - self.available_cycles
            return (
                f"with the fastest bits the layers (the slowest: '{self.layer}') need {self.least_cycles:,} cycles, "
                f"{self.available_cycles:,} cycles are allowed: {missing:,} cycles too many"
            )
        memory, where = {
            "ram": ("RAM", f"layer '{self.layer}' needs"),
            "flash": ("flash", f"the layers (the largest: '{self.layer}') need"),
        }[self.budget]
        if self.least_bytes is None or self.missing_bytes is None:
            return f"the budget of {memory} is too small; the minimum was not found within the time limit"
        return (
            f"with the fewest bits {where} {format_bytes(self.least_bytes)} bytes of {memory}, "
            f"{format_bytes(self.available_bytes or 0)} are available: {format_bytes(self.missing_bytes)} are missing"
        )


class FitAnswer(Answer):
    """Bits of every tensor of a network under a memory budget, or the certificate that nothing fits."""

    fits: bool = Field(
        description="whether the network fits the budget; of a training, whether the integer-only network does"
    )
    method: Method = Field(description="method that chose the bits")
    accounting: BookName = Field(description="accounting: rule set that counted the bytes")
    optimization: Optimization | None = Field(
        default=None,
        description="optimization flag of the C code whose bytes were counted; null for the accounting paper, which "
        "counts no code",
    )
    network: NetworkName = Field(description="network of the request")
    device: str | None = Field(description="name of the device; null if the request has none")
    budget: BudgetAnswer = Field(description="flash and RAM that the network may use")
    regions: list[RegionAnswer] = Field(description="required, available and excess bytes of flash and of RAM")
    weight_bits: dict[str, Bits] = Field(
        description="name of each layer -> bits of its weights, in layer order; empty if nothing fits"
    )
    activation_bits: dict[str, Bits] = Field(
        description="name of each tensor -> its bits, in the order in which the tensors are written; empty if nothing "
        "fits"
    )
    schemes: dict[str, WeightScheme] = Field(
        description="name of each layer -> quantization scheme of its weights; empty if nothing fits"
    )
    foldings: dict[str, Folding] = Field(
        description="name of each layer -> folding of its batch norm: into the weights, or into requantization (ICN); "
        "empty if nothing fits"
    )
    memory: Memory = Field(description="memory report; if nothing fits, the report of the fewest bits")
    schedule: list[str] = Field(
        description="names of the layers, in the order in which they run; empty if nothing fits"
    )
    host_steps: list[HostStepsAnswer] = Field(
        description="what the caller's program computes behind the network, for each output of the file that is not a "
        "tensor of the network"
    )
    given_order_ram_bytes: Bytes | None = Field(
        description="RAM of the same bits in the order of the file, in bytes; null if nothing fits"
    )
    sensitivity: str | None = Field(description="name of the sensitivity measure of the objective; null without one")
    objective: Amount | None = Field(
        description="summed sensitivity of the bits; null without a measure, or if nothing fits"
    )
    sensitivity_is_zero: bool = Field(
        default=False,
        description="whether every sensitivity is 0, so that the measure does not distinguish any bits: objective, "
        "bound and gap prove nothing",
    )
    bound: Amount | None = Field(
        description="lower bound of the objective over all bits and orders; null if nothing is proven"
    )
    gap: Amount | None = Field(
        description="largest possible excess over the optimum, as a share of the objective; 0: optimal; null if "
        "nothing is proven"
    )
    latency: LatencyAnswer | None = Field(
        description="estimated latency; null if the core's speed is unknown or nothing fits"
    )
    shadow_prices: ShadowPricesAnswer | None = Field(
        description="shadow prices of the budgets; null if they were not requested, or if nothing fits"
    )
    certificate: CertificateAnswer | None = Field(description="reason why nothing fits; null if some bits fit")
