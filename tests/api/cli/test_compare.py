"""`bitbudget compare`: its exit codes, its three outputs, and what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from api.cli.commands.compare import MAX_RESULT_BYTES
from api.cli.main import run
from api.schemas.comparison import ComparisonAnswer
from tests.api.compared_files import fitted, grown, renamed, tiny_fit, training_report
from tests.api.small_files import tiny_json, tiny_network

ESCAPES = "\x1b[2J::error::\u202e\nlast"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory with results: base, head (which grew), small (which does not fit), good and bad (trained)."""
    small = tiny_fit()
    documents = {
        "base": small,
        "head": fitted(grown(tiny_network()), flash="20kB", ram="4kB"),
        "small": tiny_fit(flash="100"),
        "good": training_report(small, 91.25),
        "bad": training_report(small, 90.5),
    }
    for name, document in documents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    return tmp_path


def compare(place: Path, base: str, head: str, *options: str) -> int:
    return run(["compare", str(place / f"{base}.json"), str(place / f"{head}.json"), *options])


@pytest.mark.parametrize(
    ("base", "head", "options", "exit_code"),
    [
        ("base", "head", [], 0),
        ("base", "small", [], 1),
        ("good", "bad", [], 0),
        ("good", "bad", ["--max-quality-drop=0.75"], 0),
        ("good", "bad", ["--max-quality-drop=0.74"], 1),
        ("bad", "good", ["--max-quality-drop=0"], 0),
        ("none", "head", ["--allow-missing-base"], 0),
        ("none", "small", ["--allow-missing-base"], 1),
        ("none", "head", [], 2),
        ("base", "none", ["--allow-missing-base"], 2),
        ("base", "head", ["--max-quality-drop=1"], 2),
        ("good", "bad", ["--max-quality-drop=-1"], 2),
        ("good", "bad", ["--max-quality-drop=nan"], 2),
        ("base", "head", ["--json", "--markdown"], 2),
        ("base", "head", ["--markdown", "--name=a --> b"], 2),
    ],
)
def test_exit_codes(place: Path, base: str, head: str, options: list[str], exit_code: int) -> None:
    assert compare(place, base, head, *options) == exit_code


def test_the_outputs_of_fit_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.json").write_bytes(tiny_json())
    for name, ram in (("one", "4kB"), ("two", "3kB")):
        assert run(["fit", str(tmp_path / "tiny.json"), "--flash=20kB", f"--ram={ram}", "--json"]) == 0
        (tmp_path / f"{name}-fit.json").write_text(capsys.readouterr().out)
    assert compare(tmp_path, "one-fit", "two-fit") == 0
    text = capsys.readouterr().out
    assert "no layer changed" in text
    assert "different devices or budgets" in text


def test_the_text_says_which_layer_has_how_many_bytes_more(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = [json.loads((place / f"{name}.json").read_text()) for name in ("base", "head")]
    assert compare(place, "base", "head") == 0
    lines = capsys.readouterr().out.splitlines()
    (flash,) = (line.split() for line in lines if line.startswith("flash "))
    before, after = (document["memory"]["flash_bytes"] for document in documents)
    assert flash[1:4] == [f"{before:,}", f"{after:,}", f"{after - before:+,}"]
    (added,) = (line.split() for line in lines if line.startswith("added "))
    (layer,) = (each for each in documents[1]["memory"]["layers"] if each["layer"] == "added")
    assert added[1:5] == ["new", "-", f"{layer['flash_bytes']:,}", f"{layer['flash_bytes']:+,}"]
    assert lines[-1] == "FITS"


def test_a_failure_is_the_last_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(place, "good", "bad", "--max-quality-drop=0.5") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "FAILS: THE QUALITY DROPS BY MORE THAN THE LIMIT"
    (quality,) = (line.split() for line in lines if line.startswith("accuracy"))
    assert quality == ["accuracy", "91.25", "%", "90.50", "%", "-0.75", "may", "drop", "by", "0.5"]


def test_the_json_is_the_documented_answer(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(place, "good", "bad", "--json", "--max-quality-drop=0.5") == 1
    answer = ComparisonAnswer.model_validate_json(capsys.readouterr().out)
    assert (answer.quality_drop, answer.max_quality_drop) == (0.75, 0.5)
    assert answer.failures == ["quality_drops"]


def test_names_control_neither_the_terminal_nor_the_log_of_a_pipeline(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("base", "head"):
        document = json.loads((place / f"{name}.json").read_text())
        (place / f"{name}.json").write_text(json.dumps(renamed(document, {"last": ESCAPES, "tiny": ESCAPES})))
    assert compare(place, "base", "head") == 0
    text = capsys.readouterr().out
    assert not {"\x1b", "\u202e"} & set(text)
    assert "�[2J::error::��last" in text
    assert not any(line.startswith("::") for line in text.splitlines())


def test_errors_do_not_control_the_terminal_either(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads((place / "base.json").read_text())
    document["activation_bits"] = {ESCAPES: 7}
    (place / "base.json").write_text(json.dumps(document))
    assert compare(place, "base", "head") == 2
    error = capsys.readouterr().err
    assert "\x1b" not in error
    assert len(error.splitlines()) == 1


def test_a_document_that_is_too_large_is_not_parsed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.truncate(place / "base.json", MAX_RESULT_BYTES + 1)
    assert compare(place, "base", "head") == 2
    assert f"more than {MAX_RESULT_BYTES} bytes" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "[]", "1" * 5000, "", "\x00"])
def test_broken_documents_are_refused_in_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (place / "base.json").write_text(content)
    assert compare(place, "base", "head", "--allow-missing-base") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
