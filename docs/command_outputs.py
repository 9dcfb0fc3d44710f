"""Write the outputs of `bitbudget` commands into the documentation pages: `python docs/command_outputs.py`.

A shown output is a block of text below a comment that names the lines to show, as slices or by their first characters.
Lines of `...` stand for those between; `| tail -n 4` behind the command works as in a shell:

    <!-- output: 0:3 nrf52840 -3: -->
    ```text
    $ bitbudget devices examples/mobilenet_v1.json
    ```

Commands with `--data` measure on samples or train: their figures depend on the machine, and they take seconds. They are
run only with the option `--samples`. The script needs an environment in which `bitbudget` is installed.
"""

from __future__ import annotations

import io
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Final

from api.cli.main import run

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = (ROOT / "README.md", ROOT / "docs" / "command.md")
OMITTED: Final = "..."
_BLOCK: Final = re.compile(
    r"(?P<begin>^<!-- output: (?P<lines>[^>]+) -->\n```text\n"
    r"\$ bitbudget (?P<command>[^|\n]*)(?:\| tail -n (?P<tail>\d+))?\n)(?P<shown>.*?)(?=^```$)",
    re.MULTILINE | re.DOTALL,
)


def with_outputs(text: str, *, runs_samples: bool = False) -> str:
    """Return the text of a page, with each shown output replaced by what the shown command prints today.

    Args:
        text: The page, in Markdown.
        runs_samples: Whether commands with `--data` are run; otherwise their outputs stay as they are.

    Raises:
        ValueError: if a comment selects a line that the command does not print.
    """

    def replaced(block: re.Match[str]) -> str:
        if "--data" in block["command"] and not runs_samples:
            return block[0]
        printed = printed_by(shlex.split(block["command"]))
        if block["tail"]:
            printed = printed[-int(block["tail"]) :]
        lines = selected(printed, block["lines"].split())
        return block["begin"] + "".join(f"{line}\n" for line in lines)

    return _BLOCK.sub(replaced, text)


def printed_by(arguments: Sequence[str]) -> list[str]:
    """Run `bitbudget` in the root of the project, and return the lines that it prints on standard output.

    Args:
        arguments: Arguments of the command.
    """
    written = io.BytesIO()
    output = io.TextIOWrapper(written, encoding="utf-8")  # the command draws bars with the characters of its encoding
    with chdir(ROOT), redirect_stdout(output), redirect_stderr(io.StringIO()):
        run(list(arguments))
    output.flush()
    return written.getvalue().decode("utf-8").splitlines()


def selected(printed: Sequence[str], selectors: Sequence[str]) -> Iterator[str]:
    """Yield the selected lines of a command's output in their order, and `...` for each run of omitted lines.

    Args:
        printed: All lines.
        selectors: Slices of line numbers such as `0:3` or `-3:`, and beginnings of lines.

    Raises:
        ValueError: if a selector selects no line.
    """
    chosen: set[int] = set()
    for selector in selectors:
        start, colon, stop = selector.partition(":")
        if colon:
            found = set(range(len(printed))[slice(int(start or 0), int(stop) if stop else None)])
        else:
            found = {index for index, line in enumerate(printed) if line.startswith(selector)}
        if not found:
            raise ValueError(
                f"the selector {selector!r} selects none of the {len(printed)} lines that the command prints"
            )
        chosen |= found
    for index, line in enumerate(printed):
        if index in chosen:
            yield line
        elif index == 0 or index - 1 in chosen:
            yield OMITTED


def main() -> None:
    """Write the outputs of `bitbudget` commands into all documentation pages that show them."""
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = with_outputs(before, runs_samples="--samples" in sys.argv[1:])
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(f"{page.name}: outputs of commands written")


if __name__ == "__main__":
    main()
