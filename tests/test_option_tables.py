"""The tables of options in the documents are what the code says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from api.schemas.devices import DevicesRequest
from api.schemas.fit import FitRequest
from api.schemas.pareto import ParetoRequest
from docs.option_tables import DOCUMENTS, listed_fields, model_at, with_tables
from network.option_fields import option_fields
from network.options import Options
from qat.options.sensitivity import SensitivityOptions
from qat.options.training import TrainingOptions
from solver.options import SolveOptions

TABLE = """\
Before.

<!-- options: qat.options.training.TrainingOptions: batch_size, threads, range_percentile -->
| whatever |
<!-- end of options -->

After.
"""


def with_options() -> list[Path]:
    return [path for path in sorted(DOCUMENTS.glob("*.md")) if "<!-- options: " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", with_options(), ids=lambda path: path.name)
def test_the_tables_are_up_to_date(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("<!-- options: ") == text.count("<!-- end of options -->")
    assert with_tables(text) == text, "run: make docs"


def test_every_option_stands_in_one_table() -> None:
    """A new option must not be left out of tables that name their fields. Inherited fields are in the base's table."""
    listed = Counter(field for path in with_options() for field in listed_fields(path.read_text(encoding="utf-8")))
    models = {model_at(path): path for path, _ in listed}
    assert {TrainingOptions, SensitivityOptions, SolveOptions, FitRequest, DevicesRequest, ParetoRequest} <= set(models)
    expected: Counter[tuple[str, str]] = Counter()
    for model, path in models.items():
        inherited = {name for base in model.__mro__[1:] if base in models for name in field_names(base)}
        expected.update((path, name) for name in field_names(model) - inherited)
    assert listed == expected


def field_names(model: type) -> set[str]:
    assert issubclass(model, Options)
    return {field.name for field in option_fields(model)}


def test_sizes_lists_and_objects_are_described() -> None:
    written = with_tables(
        "<!-- options: api.schemas.fit.FitRequest: ram, device -->\n<!-- end of options -->\n"
        "<!-- options: api.schemas.devices.DevicesRequest: devices -->\n<!-- end of options -->\n"
    )
    assert "| `ram` | none | text such as `60000`, `60kB`, `512 KiB`, or none | RAM " in written
    assert "| `device` | none | text, or `DeviceDescription`, or none | " in written
    assert "| `devices` | none | list, or none | " in written


def test_a_table_has_default_values_and_description() -> None:
    written = with_tables(TABLE)
    assert written.startswith(TABLE[: TABLE.index("| whatever")])
    assert written.endswith("<!-- end of options -->\n\nAfter.\n")
    assert "| `batch_size` | 128 | whole number, 2 to 65,536 | number of samples in each optimizer step" in written
    assert "| `threads` | none | whole number, 1 to 1,024, or none | number of torch's worker threads" in written
    assert "| `range_percentile` | 99.99 | number, 50 to 100 |" in written
    assert "whatever" not in written
    assert with_tables(written) == written


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("qat.options.training.Nothing", "there is no 'qat.options.training.Nothing'"),
        ("qat.options.nothing.Nothing", "there is no 'qat.options.nothing.Nothing'"),
        ("qat.options.names.Regime", "is not a class of options"),
        ("qat.options.training.TrainingOptions: epoch", "has no field epoch; it has epochs"),
    ],
)
def test_a_wrong_comment_is_refused(comment: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_tables(f"<!-- options: {comment} -->\n<!-- end of options -->\n")
