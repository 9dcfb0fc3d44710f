"""The cores for which C can be built here: compiler, flags, and the emulated machines that run the result.

A device of the catalogue names its core ("cortex-m4"); `core_named` finds the row. Flags, machines and clocks were
tried with GCC 12.2 and QEMU 7.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from network.errors import RequestError
from network.names import shown

KIB: Final = 1024
MIB: Final = 1024 * KIB

ARM_COMPILER: Final = "arm-none-eabi-gcc"
RISCV_COMPILER: Final = "riscv64-unknown-elf-gcc"


class Level(IntEnum):
    """Instruction sets that the kernels distinguish: the value of the macro BB_LEVEL of their C code."""

    PORTABLE = 0
    DSP = 1
    HELIUM = 2


class Architecture(StrEnum):
    """Families of cores, each with its own start code and linker script."""

    ARM = "arm"
    RISCV = "riscv"


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that QEMU emulates.

    Attributes:
        name: Value of QEMU's option -M.
        code_origin: Address of the memory that holds code and constants.
        code_bytes: Number of bytes of that memory.
        ram_origin: Address of the RAM.
        ram_bytes: Number of bytes of the RAM.
        counter_hz: Frequency in hertz of the counter that the firmware reads; 0 if it counts instructions itself.
    """

    name: str
    code_origin: int
    code_bytes: int
    ram_origin: int
    ram_bytes: int
    counter_hz: int


@dataclass(frozen=True, slots=True)
class Core:
    """A microcontroller core: how C is compiled for it, and which emulated machines run the result.

    Attributes:
        name: Name of the core, e.g. "cortex-m4".
        architecture: Family of the core.
        compiler: Command of the C compiler.
        flags: Compiler flags that choose the core.
        level: Instruction set that the kernels use.
        machines: Emulated machines that execute the core's code, the closest first; a later one has more memory.
    """

    name: str
    architecture: Architecture
    compiler: str
    flags: tuple[str, ...]
    level: Level
    machines: tuple[Machine, ...]


def _mps(name: str, counter_hz: int, code_origin: int = 0, ram_origin: int = 0x20000000) -> Machine:
    return Machine(name, code_origin, 4 * MIB, ram_origin, 4 * MIB, counter_hz)


_MICROBIT: Final = Machine("microbit", 0, 256 * KIB, 0x20000000, 16 * KIB, 16_000_000)
_AN385: Final = _mps("mps2-an385", 25_000_000)
_AN386: Final = _mps("mps2-an386", 25_000_000)
_AN500: Final = _mps("mps2-an500", 25_000_000)
_AN505: Final = _mps("mps2-an505", 20_000_000, 0x10000000, 0x38000000)
_AN521: Final = _mps("mps2-an521", 20_000_000, 0x10000000, 0x38000000)
_AN547: Final = Machine("mps3-an547", 0, 512 * KIB, 0x20000000, 512 * KIB, 32_000_000)
_VIRT: Final = Machine("virt", 0x80000000, 16 * MIB, 0x81000000, 16 * MIB, 0)


def _arm(name: str, flags: str, level: Level, *machines: Machine) -> Core:
    return Core(name, Architecture.ARM, ARM_COMPILER, ("-mthumb", *flags.split()), level, machines)


CORES: Final[Mapping[str, Core]] = {
    core.name: core
    for core in (
        # The M3 executes every instruction of an M0, so that its machine runs what is too large for a micro:bit.
        _arm("cortex-m0", "-mcpu=cortex-m0", Level.PORTABLE, _MICROBIT, _AN385),
        _arm("cortex-m0plus", "-mcpu=cortex-m0plus", Level.PORTABLE, _MICROBIT, _AN385),
        _arm("cortex-m3", "-mcpu=cortex-m3", Level.PORTABLE, _AN385),
        _arm("cortex-m4", "-mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard", Level.DSP, _AN386),
        _arm("cortex-m7", "-mcpu=cortex-m7 -mfpu=fpv5-d16 -mfloat-abi=hard", Level.DSP, _AN500),
        _arm("cortex-m33", "-mcpu=cortex-m33 -mfpu=fpv5-sp-d16 -mfloat-abi=hard", Level.DSP, _AN505),
        _arm("cortex-m33+nodsp", "-mcpu=cortex-m33+nodsp -mfloat-abi=soft", Level.PORTABLE, _AN521),
        _arm("cortex-m55", "-mcpu=cortex-m55 -mfloat-abi=hard", Level.HELIUM, _AN547),
        Core(
            "rv32imac",
            Architecture.RISCV,
            RISCV_COMPILER,
            # Relaxation makes the size of a call depend on addresses, so that sizes of functions would not add up.
            ("-march=rv32imac", "-mabi=ilp32", "-mno-relax", "--specs=picolibc.specs"),
            Level.PORTABLE,
            (_VIRT,),
        ),
    )
}
"""Name of each core for which C can be built -> the core."""

_SAME_INSTRUCTIONS: Final[Mapping[str, str]] = {"cortex-m85": "cortex-m55"}
"""Core that GCC 12.2 does not know -> core whose instructions it executes."""


def core_named(name: str) -> Core:
    """Return the core that has a name of this table or of the device catalogue.

    A Cortex-M85 is built as a Cortex-M55, whose instructions it executes.

    Args:
        name: Name of the core, e.g. "cortex-m4".

    Raises:
        RequestError: if C cannot be built for the core.
    """
    known = _SAME_INSTRUCTIONS.get(name, name)
    if known not in CORES:
        raise RequestError(
            f"C cannot be built for core '{shown(name)}' here; expected one of {', '.join(CORES)}; add the C files to "
            "a project of that core's own tools instead"
        )
    return CORES[known]
