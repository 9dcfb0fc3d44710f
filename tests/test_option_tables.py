"""The tables of options in the documents are what the code says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from api.schemas.devices import DevicesRequest
from api.schemas.fit import FitRequest
from api.schemas.pareto import ParetoRequest
from api.schemas.shrink import ShrinkRequest
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


def test_every_option_stands_in_one_table_of_its_page() -> None:
    """A new option must not be left out of tables that name their fields.

    A page that lists a model lists each of its fields once; it may leave inherited fields to the table of the base.
    """
    listed = {path.name: Counter(listed_fields(path.read_text(encoding="utf-8"))) for path in with_options()}
    models = {model_at(path): path for fields in listed.values() for path, _ in fields}
    assert {TrainingOptions, SensitivityOptions, SolveOptions, FitRequest, DevicesRequest, ParetoRequest} <= set(models)
    assert ShrinkRequest in models
    for page, fields in listed.items():
        assert max(fields.values()) == 1, page
        for model, path in models.items():
            shown = {name for owner, name in fields if owner == path}
            inherited = {name for base in model.__mro__[1:] if base in models for name in field_names(base)}
            assert shown in (set(), field_names(model), field_names(model) - inherited), f"{page} lists {path}"


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
    assert (
        "| `batch_size` | none | whole number, 2 to 65,536, or none | number of samples in each optimizer step"
        in written
    )
    assert "| `threads` | none | whole number, 1 to 1,024, or none | number of torch's worker threads" in written
    assert "| `range_percentile` | 99.99 | number, 50 to 100 |" in written
    assert "whatever" not in written
    assert with_tables(written) == written


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("qat.options.training.Nothing", "the class 'qat.options.training.Nothing'"),
        ("qat.options.nothing.Nothing", "the class 'qat.options.nothing.Nothing'"),
        ("qat.options.names.Regime", "is not a class of options"),
        ("qat.options.training.TrainingOptions: epoch", "has no field epoch; it has epochs"),
    ],
)
def test_a_wrong_comment_is_refused(comment: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_tables(f"<!-- options: {comment} -->\n<!-- end of options -->\n")
