"""Frames by walking through instructions: paths, loops, returns, and assembler code within a function."""

from __future__ import annotations

import pytest

from deploy.building.disassembly import Instruction, pushed_bytes
from deploy.building.frames import frame_bytes, popped_bytes


def instructions(text: str) -> list[Instruction]:
    """Instructions of 4 bytes each, one a line."""
    lines = [line.split(None, 1) for line in text.strip().splitlines()]
    return [
        Instruction(4 * at, mnemonic, rest[0] if rest else "") for at, (mnemonic, *rest) in enumerate(lines)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "pushed", "popped"),
    [
        ("push {r4, r5, r6, lr}", 16, 0),
        ("stmdb sp!, {r4-r11, lr}", 36, 0),
        ("stmdb r0!, {r4, r5}", 0, 0),
        ("vpush {d8-d10}", 24, 0),
        ("vpush {s16}", 4, 0),
        ("str r4, [sp, #-8]!", 8, 0),
        ("strd r4, r5, [sp, #-16]!", 16, 0),
        ("str r4, [sp, #8]", 0, 0),
        ("sub sp, #244\t@ 0xf4", 244, 0),
        ("subw sp, sp, #1028", 1028, 0),
        ("sub r0, #8", 0, 0),
        ("addi sp,sp,-48", 48, 0),
        ("pop {r4, pc}", 0, 8),
        ("ldmia sp!, {r4, r5, r6}", 0, 12),
        ("ldmia r0, {r4, r5}", 0, 0),
        ("ldr r4, [sp], #8", 0, 8),
        ("add sp, #20", 0, 20),
        ("addi sp,sp,48", 0, 48),
        ("add r3, sp, #20", 0, 0),
    ],
)
def test_what_an_instruction_does_to_the_stack(text: str, pushed: int, popped: int) -> None:
    (instruction,) = instructions(text)
    assert (pushed_bytes(instruction), popped_bytes(instruction)) == (pushed, popped)


def test_blocks_that_release_what_they_push_do_not_add_up() -> None:
    block = "push {r0, r1}\nsub sp, #20\nnop\nadd sp, #28\n"
    assert frame_bytes(instructions(f"push {{r4, lr}}\n{block}{block}pop {{r4, pc}}")) == 8 + 28


def test_the_deepest_path_counts() -> None:
    text = """
        push {r4, lr}
        beq 18 <f+0x18>
        sub sp, #8
        add sp, #8
        pop {r4, pc}
        .word 0x00000000
        sub sp, #100
        add sp, #100
        b 10 <f+0x10>
    """
    assert frame_bytes(instructions(text)) == 108


def test_the_targets_of_a_table_have_the_depth_of_the_jump() -> None:
    text = """
        push {r4, lr}
        tbb [pc, r3]
        .word 0x00000000
        sub sp, #16
        add sp, #16
        pop {r4, pc}
    """
    assert frame_bytes(instructions(text)) == 24


def test_a_frame_in_a_register_is_not_known() -> None:
    assert frame_bytes(instructions("push {r4, lr}\nldr r4, [pc, #8]\nadd sp, r4\npop {r4, pc}")) is None
    assert frame_bytes(instructions("addi sp,sp,-16\nsub sp,sp,t0\nret")) is None


def test_a_loop_that_only_pushes_has_no_frame() -> None:
    assert frame_bytes(instructions("push {r4}\nb 0 <f>")) is None


def test_a_function_without_a_stack_has_the_frame_0() -> None:
    assert frame_bytes(instructions("movs r0, #1\nbx lr")) == 0
    assert frame_bytes([]) == 0
