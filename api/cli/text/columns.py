"""Tables, bars and pass/fail lines for the text output of the command line, drawn by the library rich.

A terminal gets colours, and tables that fit its width. A file or a pipe gets plain text, in which every row is one line
as wide as its content.
"""

from __future__ import annotations

import sys
from io import StringIO
from typing import Final, NamedTuple

import click
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Column, Table
from rich.text import Text

_BAR_CELLS: Final = 20
_WIDEST_LINE: Final = 2**20
"""Number of characters of a line in a file or a pipe that no answer reaches, so that no line wraps."""


def show(*parts: RenderableType) -> None:
    """Print renderable objects of rich, such as tables and texts, on the standard output, one below the other."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDEST_LINE
    with console.capture() as captured:
        console.print(Group(*parts))
    text = captured.get()
    if not console.is_terminal:  # rich pads the last column with spaces
        text = "\n".join(line.rstrip() for line in text.split("\n"))
    click.echo(text, nl=False, color=True)


def plain(*parts: RenderableType) -> str:
    """Return renderable objects of rich, such as tables and texts, as plain text, each table row on one line."""
    console = Console(
        file=StringIO(), width=_WIDEST_LINE, color_system=None, highlight=False, markup=False, emoji=False
    )
    with console.capture() as captured:
        console.print(Group(*parts))
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))


class _Layout(NamedTuple):
    """Layout of a text table: spacing, wrapping of the column names, and whether columns of bars are shown.

    Attributes:
        breaks_names: Whether each word of a column's name has a line of its own.
        gap: Number of spaces between two columns.
        has_bars: Whether bars are shown.
    """

    breaks_names: bool
    gap: int
    has_bars: bool


_LAYOUTS: Final = (
    _Layout(breaks_names=False, gap=2, has_bars=True),
    _Layout(breaks_names=True, gap=2, has_bars=True),
    _Layout(breaks_names=True, gap=1, has_bars=True),
    _Layout(breaks_names=True, gap=1, has_bars=False),
)
"""Layouts of a table, from the widest to the narrowest."""


class Rows:
    """Text table without border lines, drawn in the widest of several layouts that fits the terminal.

    Args:
        columns: The columns, from left to right.
        has_header: Whether the names of the columns are printed.
    """

    def __init__(self, *columns: Column, has_header: bool = True) -> None:
        self._columns = columns
        self._has_header = has_header
        self._rows: list[tuple[tuple[str | Text, ...], str]] = []

    def add(self, *cells: str | Text, style: str = "") -> None:
        """Add a row at the end of a text table.

        Args:
            cells: One cell for each column.
            style: Style of the whole row, as rich names it.
        """
        self._rows.append((cells, style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unlimited = options.update(width=_WIDEST_LINE)
        for layout in _LAYOUTS:
            drawn = self._table(layout)
            if not console.is_terminal or console.measure(drawn, options=unlimited).maximum <= options.max_width:
                break
        yield drawn  # cells of the narrowest layout continue on the next line

    def _table(self, layout: _Layout) -> Table:
        """Return this table as a `rich.table.Table` with the given spacing, name wrapping and bar columns."""
        chosen = [i for i, column in enumerate(self._columns) if layout.has_bars or not column.no_wrap]
        table = Table(
            show_header=self._has_header,
            header_style="bold",
            box=None,
            padding=(0, layout.gap, 0, 0),
            pad_edge=False,
        )
        for column in (self._columns[i] for i in chosen):
            name = str(column.header)
            table.add_column(
                name.replace(" ", "\n") if layout.breaks_names else name,
                justify=column.justify,
                overflow=column.overflow,
                no_wrap=column.no_wrap,
            )
        for cells, style in self._rows:
            table.add_row(*(cells[i] for i in chosen), style=style)
        return table


def words(name: str = "") -> Column:
    """Return a left-aligned text column for a table; a word that is wider than the column is wrapped."""
    return Column(name, overflow="fold")


def figures(name: str = "") -> Column:
    """Return a right-aligned column of numbers for a text table."""
    return Column(name, justify="right", overflow="fold")


def bars() -> Column:
    """Return a table column of bars, which is omitted if the terminal is too narrow."""
    return Column("", no_wrap=True)


def bar(part: float, whole: float, note: str = "") -> Text:
    """Return a bar of characters such as '█████···············' for a quarter; it is red if the part exceeds the whole.

    Args:
        part: Number that the bar shows, 0 or more.
        whole: Number of a full bar, more than 0.
        note: Text behind the bar.
    """
    full, empty = _bar_cells()
    cells = min(round(_BAR_CELLS * part / whole), _BAR_CELLS)
    colour = "red" if part > whole else "green"
    return Text.assemble((full * cells, colour), (empty * (_BAR_CELLS - cells), "dim"), note)


def code(optimization: str | None) -> str:
    """Return how a table names the C code of an optimization flag, such as '-Os'; empty text if no code was counted.

    Args:
        optimization: The flag without its dash; None if no code was counted.
    """
    return "" if optimization is None else f"-{optimization}"


def verdict(text: str, *, is_good: bool) -> Text:
    """Return the line of text with the result of a fit, coloured green for success and red for failure."""
    return Text(text, style="bold green" if is_good else "bold red")


def _bar_cells() -> tuple[str, str]:
    """Return the characters for full and empty cells of a bar: block characters, or ASCII if the output needs it."""
    try:
        "█·".encode((sys.stdout and sys.stdout.encoding) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "#", "."
    return "█", "·"
