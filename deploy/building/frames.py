"""Stack frame of a function by its instructions: the deepest that they move the stack pointer on any path.

The compiler does not count what inline assembler pushes, and says 0 for a naked function. Walking through the
instructions counts both. A function whose stack pointer moves by a register (a frame that is too large for a constant)
has no frame here; the compiler's figure holds then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from deploy.building.disassembly import Instruction, branch_target, pushed_bytes, registers
from deploy.building.elf import Symbol

LARGEST_FRAME_BYTES: Final = 2**20
"""Number of bytes that no frame of a microcontroller reaches."""

_ENDS: Final = {"bx", "ret", "jr", "mret", "udf"}
_JUMPS: Final = {"b", "j", "tbb", "tbh"}
_CALLS: Final = {"bl", "blx", "jal", "jalr", "call"}
_POPS: Final = {"pop", "ldmia", "vpop"}
_LOAD: Final = re.compile(r"\[sp\], #(\d+)")
_ADDITION: Final = re.compile(r"^sp, ?(?:sp, ?)?#?(\d+)")
_UNKNOWN: Final = re.compile(r"^sp, ?(?:sp, ?)?[a-z]\w*")


def frames_of(symbols: Iterable[Symbol], instructions: Sequence[Instruction]) -> Mapping[str, int]:
    """Return the frame in bytes of each function whose instructions say it.

    Args:
        symbols: Functions, with addresses as the instructions have them.
        instructions: Instructions of the sections of the functions.
    """
    found = {}
    for symbol in symbols:
        end = symbol.address + symbol.size_bytes
        frame = frame_bytes([each for each in instructions if symbol.address <= each.address < end])
        if frame is not None:
            found[symbol.name] = frame
    return found


def frame_bytes(instructions: Sequence[Instruction]) -> int | None:
    """Return the largest number of bytes by which a function extends the stack; None if a register says it.

    Args:
        instructions: Instructions of one function, by address.
    """
    if any(_moves_by_register(each) for each in instructions):
        return None
    place = {each.address: index for index, each in enumerate(instructions)}
    depths: dict[int, int] = {}
    waiting = [(0, 0)] if instructions else []
    jump_depth = 0
    while True:
        while waiting:
            index, depth = waiting.pop()
            if depth > LARGEST_FRAME_BYTES:
                return None  # a loop that pushes more than it pops
            if index >= len(instructions) or depths.get(index, -1) >= depth:
                continue
            depths[index] = depth
            instruction = instructions[index]
            mnemonic = instruction.mnemonic
            after = depth + pushed_bytes(instruction) - popped_bytes(instruction)
            target = place.get(branch_target(instruction))
            if target is not None and mnemonic not in _CALLS:
                waiting.append((target, after))
            if _is_table_jump(instruction):
                jump_depth = max(jump_depth, after)
            if not _ends(instruction):
                waiting.append((index + 1, after))
        # Behind a jump through a table: its targets are the instructions that no branch has reached.
        rest = next((i for i, each in enumerate(instructions) if i not in depths and not each.is_data), None)
        if rest is None:
            break
        waiting.append((rest, jump_depth))
    return max(
        (depth + pushed_bytes(instructions[index]) for index, depth in depths.items()),
        default=0,
    )


def popped_bytes(instruction: Instruction) -> int:
    """Return the number of bytes by which an instruction shortens the stack; 0 for most.

    Args:
        instruction: The instruction.
    """
    mnemonic, operands = instruction.mnemonic, instruction.operands
    if mnemonic in _POPS and (mnemonic != "ldmia" or operands.startswith("sp!")):
        return registers(operands) * (8 if mnemonic == "vpop" and "d" in operands else 4)
    if mnemonic in {"ldr", "ldrd"} and (load := _LOAD.search(operands)):
        return int(load[1])
    if mnemonic in {"add", "addw", "addi"} and (addition := _ADDITION.match(operands)):
        return int(addition[1])
    return 0


def _moves_by_register(instruction: Instruction) -> bool:
    return instruction.mnemonic in {"add", "sub", "mov", "mv", "msr"} and bool(_UNKNOWN.match(instruction.operands))


def _is_table_jump(instruction: Instruction) -> bool:
    mnemonic, operands = instruction.mnemonic, instruction.operands
    return mnemonic in {"tbb", "tbh"} or (mnemonic == "mov" and operands.startswith("pc")) or mnemonic == "jr"


def _ends(instruction: Instruction) -> bool:
    """Return whether the next instruction is not executed after an instruction."""
    mnemonic, operands = instruction.mnemonic, instruction.operands
    returns = "pc" in operands and mnemonic in _POPS
    return mnemonic in _ENDS or mnemonic in _JUMPS or returns or _is_table_jump(instruction) or instruction.is_data
