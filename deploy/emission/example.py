"""main.c: an example program that checks a network, runs it, and prints its outputs."""

from __future__ import annotations

from deploy.emission.header import End, ends
from deploy.emission.notice import Notice
from deploy.emission.program import Program
from deploy.emission.text import from_template, string_literal


def example(program: Program, notice: Notice) -> str:
    """Return the content of main.c.

    Args:
        program: The network.
        notice: Where the file comes from.
    """
    prints = "\n".join(_print(each) for each in ends(program, "output"))
    return from_template("main.c", program.name, notice=notice.text, outputs=prints)


def _print(output: End) -> str:
    macro = output.macro
    return (
        f"    print_output({string_literal(output.tensor)}, {output.function}(arena), {macro}_HEIGHT * {macro}_WIDTH,\n"
        f"                 {macro}_CHANNELS, {macro}_BITS, {macro}_SCALE, {macro}_ZERO_POINT);"
    )
