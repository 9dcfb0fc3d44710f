"""The command `bitbudget emit`: write a trained network as C for a firmware project."""

from __future__ import annotations

from pathlib import Path

import click

from api.cli.options import json_option
from deploy.layouts.tree import Layout


@click.command("emit", short_help="Write a trained network as C for a firmware project.")
@click.argument("result", metavar="RESULT", type=click.Path(path_type=Path))
@click.option(
    "--out",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path),
    help="Directory for the C files: new, or with an earlier emission, which is replaced unless you changed it.",
)
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the C files, and prefix of all that they define. Default: the name of the network.",
)
@click.option(
    "--layout",
    type=click.Choice([each.value for each in Layout]),
    default=Layout.ALL.value,
    show_default=True,
    help="Build tools whose files are written; flat: C files without folders.",
)
@json_option
def command(result: Path, out: Path, name: str | None, layout: str, as_json: bool) -> int:
    """Write the integer-only network of a folder that bitbudget train has written as C99, with a self-test, an example,
    and the files that CMake, Zephyr, Arduino and PlatformIO need.

    \b
    Exit codes:
      0  the files are written
      2  the input is invalid; nothing is written

    \b
    Example:
      bitbudget train network.onnx --data digits --flash 60kB --ram 40kB --out result
      bitbudget emit result --out firmware/digits
      cmake -S firmware/digits -B build && cmake --build build && ctest --test-dir build
    """
    from api.operations.emission import emit_result, write_result

    chosen = Layout(layout)
    emitted = emit_result(result, name=name, layout=chosen)
    answer = write_result(emitted, out)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
        return 0
    from api.cli.text.columns import show
    from api.cli.text.emission import emission_text

    show(emission_text(emitted, out, chosen))
    return 0
