"""Tables of the accuracy benchmark on small sets, and the cells where the defaults lose what others keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import hypot
from statistics import fmean
from typing import Any, Final

from benchmarks.accuracy_tables import spread
from benchmarks.markdown import markdown
from benchmarks.shares import Share
from benchmarks.small_sets import DEFAULTS, POST_TRAINING

Row = Mapping[str, Any]

MOST_POINTS_BELOW: Final = 0.5
"""Points that the defaults may lose against the best of the grid."""
STANDARD_ERRORS: Final = 2.0
"""Standard errors of a difference from which it counts."""
NOT_MEASURED: Final = "not measured"


def small_set_tables(result: Mapping[str, Any]) -> str:
    """Return all Markdown tables of the accuracy benchmark on a small set."""
    rows = result["rows"]
    of_float = "" if result["float_percent"] is None else f", float {result['float_percent']:.2f} %"
    samples = f"{result['train_images']:,} training and {result['test_images']:,} test samples"
    parts = [
        f"{result['network']}: {samples}{of_float}; budgets by the `{result['accounting']}` accounting",
        f"Accuracy, % (mean, minimum to maximum of the seeds, ± standard error):\n\n{_by_contender(rows, _accuracy)}",
        f"Seconds of one training and its evaluation:\n\n{_by_contender(rows, _seconds)}",
        "\n".join(f"- {line}" for line in verdicts(rows)),
    ]
    if any(not row["is_integer_only"] and row["percent"] for row in rows):
        parts.append("\\* accuracy of the fake-quantized network, because there is no integer-only form.")
    return "\n\n".join(parts)


def verdicts(rows: Sequence[Row]) -> list[str]:
    """Return one line for each budget: how far the defaults are from the best of the grid and from post-training.

    The best of the grid is chosen by the test set, which a user cannot do, so it is a little too good.
    """
    lines = []
    for share in dict.fromkeys(_share(row) for row in rows):
        of_share = [row for row in rows if _share(row) == share]
        if of_share[0]["shortage"]:
            lines.append(f"{share}: nothing fits; {of_share[0]['shortage']}")
            continue
        measured = [row for row in of_share if row["percent"]]
        defaults = next((row for row in measured if row["name"] == DEFAULTS), None)
        if defaults is None:
            lines.append(f"{share}: the defaults were {NOT_MEASURED}")
            continue
        by_hand = max((row for row in measured if row["is_by_hand"]), key=_mean, default=None)
        unlabelled = next((row for row in measured if row["name"] == POST_TRAINING), None)
        told = []
        if by_hand is not None:
            told.append(_against(defaults, by_hand, f"the best of the grid ({by_hand['name']})", MOST_POINTS_BELOW))
        if unlabelled is not None:
            told.append(_against(defaults, unlabelled, "post-training alone", 0.0))
        lines.append(f"{share}: {'; '.join(told)}" if told else f"{share}: the others were {NOT_MEASURED}")
    return lines


def _against(defaults: Row, other: Row, named: str, points_allowed: float) -> str:
    points = _mean(defaults) - _mean(other)
    doubtful = STANDARD_ERRORS * hypot(defaults["standard_error"], other["standard_error"])
    flag = ""
    if -points > max(points_allowed, doubtful):
        flag = "**below**, "
    elif -points > MOST_POINTS_BELOW:
        flag = "*lower, not for certain*, "
    return f"{flag}{points:+.2f} points against {named}, two standard errors are {doubtful:.2f}"


def _by_contender(rows: Sequence[Row], cell: Callable[[Row], str]) -> str:
    shares = list(dict.fromkeys(_share(row) for row in rows))
    cells = {(row["name"], _share(row)): "nothing fits" if row["shortage"] else cell(row) for row in rows}
    names = dict.fromkeys(row["name"] for row in rows)
    return markdown(["training", *shares], [[name, *(cells[name, share] for share in shares)] for name in names])


def _share(row: Row) -> str:
    return str(Share(row["flash_share"], row["ram_share"]))


def _mean(row: Row) -> float:
    return fmean(row["percent"])


def _accuracy(row: Row) -> str:
    if not row["percent"]:
        return NOT_MEASURED
    star = "" if row["is_integer_only"] else " \\*"
    return f"{spread(row['percent'])} ± {row['standard_error']:.2f}{star}"


def _seconds(row: Row) -> str:
    return f"{fmean(row['seconds']):.0f}" if row["seconds"] else NOT_MEASURED
