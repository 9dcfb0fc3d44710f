"""NAME_kernels.h and NAME_kernels.c: the functions that a network calls, with the network's prefix."""

from __future__ import annotations

from deploy.emission.notice import Notice
from deploy.emission.program import Program
from deploy.emission.text import from_template, with_prefix
from deploy.kernels import kernel_source, kernels_header
from network.kernel_functions import RUN_FUNCTION


def kernels_declarations(program: Program, notice: Notice) -> str:
    """Return the content of NAME_kernels.h.

    Args:
        program: The network.
        notice: Where the file comes from.
    """
    heading = f"/* {program.name}_kernels.h: types and functions of the kernels.\n\n{notice.text} */\n\n"
    return heading + with_prefix(kernels_header(), program.name)


def kernels_definitions(program: Program, notice: Notice) -> str:
    """Return the content of NAME_kernels.c: the functions that the network calls, for all levels, and NAME_run.

    Args:
        program: The network.
        notice: Where the file comes from.
    """
    called = set(program.functions) - {RUN_FUNCTION}
    return from_template(
        "kernels.c", program.name, notice=notice.text, kernels=with_prefix(kernel_source(called), program.name)
    )
