"""Predicted and linked bytes of a network, side by side: by section, by layer and by function."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from deploy.building.build import BuildReport
from network.memory.descriptors import END_OF_STEPS, STRUCT_BYTES
from network.memory.report import MemoryReport, Region

TOLERANCE: Final = 0.005
"""Share by which the flash of another compiler than the locked one may exceed the prediction."""

STEP_BYTES: Final = STRUCT_BYTES["bb_step"]
"""Number of bytes of a step in the table of steps, and of the entry that ends the table."""

_CODE: Final = "kernel code: "
_OF_STEP: Final = re.compile(r"_([a-z_]+)_(\d+)")


@dataclass(frozen=True, slots=True)
class Compared:
    """Predicted and linked bytes of a part of a network.

    Attributes:
        part: What the bytes are: a section, a layer's weights or parameters, or a function.
        layer: Name of the layer; empty for another part.
        predicted_bytes: Number of bytes that the accounting predicts.
        linked_bytes: Number of bytes in the ELF file.
        is_estimate: Whether the prediction was only an estimate.
    """

    part: str
    layer: str
    predicted_bytes: int
    linked_bytes: int
    is_estimate: bool

    @property
    def difference_bytes(self) -> int:
        """Number of linked bytes beyond the prediction."""
        return self.linked_bytes - self.predicted_bytes


@dataclass(frozen=True, slots=True)
class Comparison:
    """Predicted and linked bytes of a network.

    Attributes:
        sections: Weights, constants, code, arena and stack.
        layers: Weights and parameters of each layer.
        functions: Code of each function of the network, and of the runtime library.
        has_locked_toolchain: Whether every prediction must be exact.
    """

    sections: tuple[Compared, ...]
    layers: tuple[Compared, ...]
    functions: tuple[Compared, ...]
    has_locked_toolchain: bool

    @property
    def differences(self) -> tuple[Compared, ...]:
        """Parts whose prediction is not an estimate and differs from the ELF file."""
        return tuple(
            each
            for each in (*self.sections, *self.layers, *self.functions)
            if each.difference_bytes and not each.is_estimate
        )

    @property
    def is_kept(self) -> bool:
        """Whether the ELF file keeps the prediction: exactly with the locked toolchain, else with 0.5 % more flash."""
        if self.has_locked_toolchain:
            return not self.differences
        flash = [each for each in self.sections if each.part in {"weights", "constants", "code"}]
        predicted = sum(each.predicted_bytes for each in flash)
        linked = sum(each.linked_bytes for each in flash)
        return linked - predicted <= TOLERANCE * predicted or any(each.is_estimate for each in flash)


def compare(report: BuildReport, memory: MemoryReport, layers: Sequence[str]) -> Comparison:
    """Compare what the accounting predicts for a network with what the linker made of it.

    Args:
        report: The build.
        memory: The predicted memory.
        layers: Names of the layers in the order of the steps.
    """
    by_layer = tuple(_layers(report, memory, layers))
    functions = tuple(_functions(report, memory))
    stack = sum(each.size_bytes for each in memory.shared if each.region is Region.RAM)
    linked = report.linked
    weights = [each for each in by_layer if each.part == "weights"]
    constants = [each for each in by_layer if each.part == "constants"]
    is_estimate = any(each.is_estimate for each in memory.shared)
    sections = (
        Compared("weights", "", _predicted(weights), _linked(weights), is_estimate=False),
        Compared("constants", "", _predicted(constants), linked.constant_bytes - _linked(weights), is_estimate=False),
        Compared("code", "", _predicted(functions), linked.code_bytes + linked.library_bytes, is_estimate=is_estimate),
        Compared("arena", "", 0 if memory.arena is None else memory.arena.arena_bytes, linked.arena_bytes, False),
        Compared("stack", "", stack, report.reserved_stack_bytes, is_estimate=is_estimate),
    )
    return Comparison(sections, by_layer, functions, report.toolchain.is_locked)


def _predicted(parts: Sequence[Compared]) -> int:
    return sum(each.predicted_bytes for each in parts)


def _linked(parts: Sequence[Compared]) -> int:
    return sum(each.linked_bytes for each in parts)


def _layers(report: BuildReport, memory: MemoryReport, layers: Sequence[str]) -> Iterator[Compared]:
    """Yield the weights and the other constants of each layer."""
    weights: Counter[str] = Counter()
    others: Counter[str] = Counter(dict.fromkeys(layers, STEP_BYTES))
    for symbol in report.linked.constants:
        found = _OF_STEP.fullmatch(symbol.name.removeprefix(report.name))
        if found is not None:
            layer = layers[int(found[2]) - 1]
            (weights if found[1] == "weights" else others)[layer] += symbol.size_bytes
    predicted = {each.layer: each for each in memory.layers}
    for layer in layers:
        flash = predicted.get(layer)
        if flash is not None and (flash.weight_bytes or weights[layer]):
            yield Compared("weights", layer, int(flash.weight_bytes), weights[layer], is_estimate=False)
        yield Compared("constants", layer, 0 if flash is None else flash.parameter_bytes, others[layer], False)
    end = sum(each.size_bytes for each in memory.shared if each.part == END_OF_STEPS)
    yield Compared("constants", END_OF_STEPS, end, STEP_BYTES, is_estimate=False)


def _functions(report: BuildReport, memory: MemoryReport) -> Iterator[Compared]:
    """Yield the code of each function of the network, and that of the runtime library as a whole."""
    linked = {name.removeprefix(f"{report.name}_"): size for name, size in report.linked.function_bytes.items()}
    shared = [each for each in memory.shared if each.part.startswith(_CODE)]
    predicted = {each.part.removeprefix(_CODE): each for each in shared}
    for name in sorted(linked.keys() | {name for name in predicted if not name.startswith("_")}):
        part = predicted.get(name)
        size = 0 if part is None else part.size_bytes
        yield Compared(name, "", size, linked.get(name, 0), part is not None and part.is_estimate)
    library = [each for name, each in predicted.items() if name.startswith("_")]
    if library or report.linked.library_bytes:
        size = sum(each.size_bytes for each in library)
        is_estimate = any(each.is_estimate for each in shared)
        yield Compared("runtime library", "", size, report.linked.library_bytes, is_estimate)
