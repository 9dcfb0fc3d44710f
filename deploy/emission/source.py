"""NAME.c and NAME_tables.h: weights, constants, descriptors, and the table of steps."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.emission.constants import ConstantObject
from deploy.emission.notice import Notice
from deploy.emission.placement import memory_map
from deploy.emission.program import Program, StepCode
from deploy.emission.text import comment_text, from_template, table_of_words, with_prefix


def source(program: Program, notice: Notice) -> str:
    """Return the content of NAME.c.

    Args:
        program: The network.
        notice: Where the file comes from.
    """
    return from_template(
        "network.c",
        program.name,
        notice=notice.text,
        listing=_listing(program),
        arena=str(program.placement.arena_bytes),
        map=memory_map(program.placement),
        body="\n".join(_step(step, program.name) for step in program.steps),
        entries=_entries(program),
        table=with_prefix("\n".join(f"    {step.table_entry}," for step in program.steps), program.name),
    )


def tables(program: Program, notice: Notice) -> str:
    """Return the content of NAME_tables.h.

    Args:
        program: The network.
        notice: Where the file comes from.
    """
    lines = [f"extern {_declaration(each)};" for _, each in program.objects()]
    return from_template(
        "tables.h",
        program.name,
        notice=notice.text,
        declarations=with_prefix("\n".join(lines), program.name),
        entries=_entries(program),
    )


def _step(step: StepCode, name: str) -> str:
    """Return the definitions of the constants of a step."""
    return "\n".join(
        [f"/* Step {step.number}: {comment_text(step.layer.name)} ({step.layer.kind}) */\n", *_definitions(step, name)]
    )


def _definitions(step: StepCode, name: str) -> Iterator[str]:
    for each in step.objects:
        yield with_prefix(_declaration(each), name) + f" = {{\n{table_of_words(each.words)}\n}};\n"
    for struct in step.structs:
        yield struct.definition(name)


def _declaration(each: ConstantObject) -> str:
    attribute = "BB_WEIGHTS_ATTRIBUTE" if each.is_weight_tensor else "BB_TABLES_ATTRIBUTE"
    return f"const uint32_t bb_{each.symbol}[{len(each.words)}] {attribute}"


def _listing(program: Program) -> str:
    lines = []
    for step in program.steps:
        functions = with_prefix(", ".join(step.functions), program.name)
        lines.append(f"   {step.number:>4}  {comment_text(step.layer.name)}, {step.layer.kind}: {functions}")
    return "\n".join(lines)


def _entries(program: Program) -> str:
    return str(len(program.steps) + 1)
