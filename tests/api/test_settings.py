"""Settings: one definition for programs, environment variables, options and the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from api.cli.main import run
from api.cli.setting_options import default_text, environment_variable, option_name, settings_of
from api.settings import MIB, Settings
from docs.settings_table import with_table

MANUAL = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_manual_lists_every_setting() -> None:
    text = MANUAL.read_text()
    assert with_table(text) == text, "write the table anew: python docs/settings_table.py"
    for field in Settings.model_fields.values():
        assert f"| `{option_name(field)}` | `{environment_variable(field)}` | `{default_text(field)}` |" in text


def test_a_document_without_a_table_of_settings_is_refused() -> None:
    with pytest.raises(ValueError, match="0 tables of settings"):
        with_table("# The HTTP service\n")


def test_an_option_wins_over_the_variable_and_the_variable_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_of({"max_concurrent_jobs": None}).max_concurrent_jobs is None
    monkeypatch.setenv("BITBUDGET_MAX_JOBS", "3")
    monkeypatch.setenv("BITBUDGET_MAX_NETWORK_SIZE", "2MiB")
    monkeypatch.setenv("BITBUDGET_DATA", "somewhere")
    monkeypatch.setenv("BITBUDGET_DATASETS", "")
    settings = settings_of({"max_concurrent_jobs": None, "max_dataset_bytes": 5})
    assert (settings.max_concurrent_jobs, settings.max_network_bytes, settings.max_dataset_bytes) == (3, 2 * MIB, 5)
    assert settings.data_directory == Path("somewhere").absolute()
    assert settings.operator_datasets is None, "an empty variable counts as not set"
    assert settings_of({"max_concurrent_jobs": 2}).max_concurrent_jobs == 2


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("BITBUDGET_PORT", "65536", "BITBUDGET_PORT: Input should be less than or equal to 65535; it is '65536'"),
        ("BITBUDGET_MAX_JOBS", "0", "BITBUDGET_MAX_JOBS: Input should be greater than or equal to 1; it is '0'"),
        (
            "BITBUDGET_MAX_DATASET_SIZE",
            "big",
            "BITBUDGET_MAX_DATASET_SIZE: the size is 'big', which is not a size in bytes",
        ),
        ("BITBUDGET_EXECUTOR", "cloud", "BITBUDGET_EXECUTOR: Input should be 'subprocess' or 'ray'; it is 'cloud'"),
    ],
)
def test_an_invalid_variable_is_one_line(
    variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    assert run(["serve"]) == 2
    output = capsys.readouterr()
    assert (output.out, output.err.count("\n")) == ("", 1)
    assert expected in output.err


def test_a_setting_comes_from_a_file_of_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password then stands neither in the environment nor on the command line; a variable wins over its file."""
    monkeypatch.setenv("BITBUDGET_SECRETS", str(tmp_path / "missing"))
    assert settings_of({}).database_url is None
    monkeypatch.setenv("BITBUDGET_SECRETS", str(tmp_path))
    (tmp_path / "BITBUDGET_DATABASE").write_text("postgresql+psycopg://a:b@c/d\n")
    assert settings_of({}).database_url == "postgresql+psycopg://a:b@c/d"
    monkeypatch.setenv("BITBUDGET_DATABASE", "sqlite:///e")
    assert settings_of({}).database_url == "sqlite:///e"
