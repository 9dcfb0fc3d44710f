"""Instructions of a linked file, as binutils' objdump prints them, and what functions of the runtime library do."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.building.call_graph import Function
from deploy.building.elf import Symbol
from deploy.building.toolchains import COMPILE_SECONDS, Toolchain
from network.errors import BuildError

_INSTRUCTION: Final = re.compile(r"^\s*([0-9a-f]+):\t(\S+)(?:\s+(.*))?$")
_TARGET: Final = re.compile(r"\b([0-9a-f]+) <[^>]+>")
_REGISTER_LIST: Final = re.compile(r"\{([^}]*)\}")
_ARM_PUSHES: Final = ("push", "stmdb", "vpush")
_ARM_STORE: Final = re.compile(r"\[sp, #-(\d+)\]!")
_SUBTRACTION: Final = {
    "sub": re.compile(r"^sp, (?:sp, )?#(\d+)"),  # ARM
    "subw": re.compile(r"^sp, sp, #(\d+)"),
    "addi": re.compile(r"^sp,sp,-(\d+)"),  # RISC-V
}


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction of a linked file.

    Attributes:
        address: Address in memory.
        mnemonic: Name of the instruction, without the suffix of its width.
        operands: Operands as text.
    """

    address: int
    mnemonic: str
    operands: str

    @property
    def is_data(self) -> bool:
        """Whether it is a constant between the instructions."""
        return self.mnemonic.startswith(".")


def disassemble(toolchain: Toolchain, elf: Path, sections: Iterable[str]) -> tuple[Instruction, ...]:
    """Return the instructions of sections of a linked file.

    Args:
        toolchain: The compiler that linked the file; its objdump is beside it.
        elf: The file.
        sections: Names of the sections.

    Raises:
        BuildError: if objdump is missing or refuses the file.
    """
    objdump = toolchain.compiler.with_name(toolchain.compiler.name.replace("gcc", "objdump"))
    chosen = [f"--section={section}" for section in sections]
    try:
        done = subprocess.run(  # noqa: S603  # binutils beside the compiler that was found on PATH
            [objdump, "-d", "--no-show-raw-insn", *chosen, elf],
            capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{objdump.name} does not run ({error}); install the binutils of the compiler") from error
    if done.returncode != 0:
        raise BuildError(f"{objdump.name} refuses {elf.name}: {done.stderr[:200].strip()}")
    found = (_INSTRUCTION.match(line) for line in done.stdout.splitlines())
    return tuple(
        Instruction(int(each[1], 16), each[2].removesuffix(".n").removesuffix(".w"), each[3] or "")
        for each in found
        if each is not None
    )


def library_functions(
    symbols: Iterable[Symbol], instructions: Iterable[Instruction], end: int
) -> Mapping[str, Function]:
    """Return the functions of the runtime library, which the compiler wrote no frames for, with their frames and calls.

    A frame is the sum of all registers that the function pushes and of all that it subtracts from the stack pointer.

    Args:
        symbols: Functions of the library; several may have one address.
        instructions: Instructions of the library.
        end: Address behind the last instruction.
    """
    names: dict[int, list[str]] = {}
    for symbol in symbols:
        if symbol.is_function:
            names.setdefault(symbol.address, []).append(symbol.name)
    starts = sorted(names)
    found = {}
    for start, stop in zip(starts, [*starts, end][1:], strict=True):
        frame_bytes = 0
        calls: set[str] = set()
        for instruction in instructions:
            if start <= instruction.address < stop:
                frame_bytes += pushed_bytes(instruction)
                calls.update(names.get(branch_target(instruction), ()))
        calls.difference_update(names[start])  # a loop back to the function's first instruction
        for name in names[start]:
            found[name] = Function(name, frame_bytes, "static", frozenset(calls), frozenset(), has_pointer_call=False)
    return found


def pushed_bytes(instruction: Instruction) -> int:
    """Return the number of bytes by which an instruction extends the stack; 0 for most.

    Args:
        instruction: The instruction.
    """
    mnemonic, operands = instruction.mnemonic, instruction.operands
    if mnemonic in _ARM_PUSHES and (mnemonic != "stmdb" or operands.startswith("sp!")):
        return registers(operands) * (8 if mnemonic == "vpush" and "d" in operands else 4)
    if mnemonic in {"str", "strd"} and (store := _ARM_STORE.search(operands)):
        return int(store[1])
    subtraction = _SUBTRACTION.get(mnemonic)
    amount = None if subtraction is None else subtraction.match(operands)
    return 0 if amount is None else int(amount[1])


def registers(operands: str) -> int:
    """Return the number of registers of a list such as "{r4, r5-r7, lr}" in operands; 0 if there is no list.

    Args:
        operands: Operands of an instruction.
    """
    listed = _REGISTER_LIST.search(operands)
    return 0 if listed is None else sum(map(_registers, listed[1].split(",")))


def _registers(text: str) -> int:
    """Return the number of registers of "r4" or "r4-r7"."""
    first, _, last = text.strip().partition("-")
    return 1 if not last else int(last[1:]) - int(first[1:]) + 1


def branch_target(instruction: Instruction) -> int:
    """Return the address to which an instruction branches; -1 if it is another instruction.

    Args:
        instruction: The instruction.
    """
    target = _TARGET.search(instruction.operands) if instruction.mnemonic[0] in "bcjlw" else None
    return -1 if target is None else int(target[1], 16)
