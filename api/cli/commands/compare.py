"""The command `bitbudget compare`: what a change of a network does to bytes, bits and quality, for build pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from api.cli.files import read_json
from api.cli.main import DOES_NOT_FIT
from api.operations.compared_results import Result, result_of
from api.operations.comparison import compare
from network.errors import RequestError

FAILS: Final = DOES_NOT_FIT
"""Exit code if the head does not fit, its build is not good, or its quality drops by more than the limit."""

MAX_RESULT_BYTES: Final = 16 * 2**20
"""Largest size of a compared file, in bytes; a network of 100 layers needs about 80 kB."""

_EXPECTED: Final = "the output of 'bitbudget fit --json', the report.json of a job, or the linked.json of a build"


@click.command("compare", short_help="Compare two results of a network, before and after a change.")
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("head", type=click.Path(path_type=Path))
@click.option(
    "--max-quality-drop",
    type=click.FloatRange(min=0, max=1e12),
    metavar="NUMBER",
    help="Largest allowed drop of the quality on the test set, in the unit of its metric: percentage points for an "
    "accuracy, dB for a signal-to-noise ratio.  [default: no limit]",
)
@click.option(
    "--allow-missing-base",
    is_flag=True,
    help="If BASE does not exist, as for a new network, check only whether HEAD fits.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the comment for a pull request, as Markdown.")
@click.option(
    "--name",
    default="default",
    show_default=True,
    help="Name of the comment in its hidden first line, which tells several comments of a pull request apart.",
)
def command(
    base: Path,
    head: Path,
    max_quality_drop: float | None,
    allow_missing_base: bool,
    as_json: bool,
    as_markdown: bool,
    name: str,
) -> int:
    """Show what changed from BASE to HEAD: flash, RAM, peak layer, bits, quality, and the bytes of each layer.

    BASE and HEAD are outputs of 'bitbudget fit --json', the report.json of a job or of 'bitbudget train', or the
    linked.json of a job or of 'bitbudget build --json'. Their content is not trusted.

    \b
    Exit codes:
      0  HEAD fits, and its quality keeps the limit
      1  HEAD does not fit, its build is not good, or its quality drops by more than --max-quality-drop
      2  the input is invalid

    \b
    Examples:
      bitbudget compare base.json head.json --max-quality-drop 0.5
      bitbudget compare base.json head.json --allow-missing-base --markdown --name keywords
    """
    if as_json and as_markdown:
        raise RequestError("--json and --markdown are both given; expected at most one of them")
    before = None if allow_missing_base and not base.exists() else _read(base)
    answer = compare(before, _read(head), max_quality_drop)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
    elif as_markdown:
        from api.cli.text.comment import comment

        click.echo(comment(answer, name), nl=False)
    else:
        from api.cli.text.columns import show
        from api.cli.text.comparison import comparison_text

        show(comparison_text(answer))
    return 0 if answer.passes else FAILS


def _read(path: Path) -> Result:
    return result_of(read_json(path, _EXPECTED, MAX_RESULT_BYTES), f"the file '{path}'")
