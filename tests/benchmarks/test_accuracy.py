"""The accuracy benchmarks' own parts: budgets, who chooses, what is remembered, tables."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import ablation, accuracy
from benchmarks.accuracy import row_of, trainings_of
from benchmarks.accuracy_tables import spread, tables
from benchmarks.contenders import Contender, Name, contenders, sensitivity_of
from benchmarks.kept import Kept
from benchmarks.outcome import Outcome
from benchmarks.shares import SHARES, UNIFORM_BITS, Share, budget_of, uniform, widest_uniform, with_scheme
from benchmarks.tasks import OURS, Task
from benchmarks.trainings import Training, run_all
from network.allocation import BITS, DEFAULT_WEIGHT_SCHEME, WeightScheme
from network.budget import Budget
from network.memory.books import accounting_named
from network.memory.measure import measure
from qat.options.chosen import ChosenOptions
from qat.options.training import PostTrainingOptions
from tests.qat.small_problem import problem, small_network

PAPER = accounting_named("paper")
OUTCOME = Outcome(81.5, True, 81.25, 84.0, 82.0, 2, 3.5)


@pytest.fixture(scope="module")
def task() -> Task:
    return Task("small", small_network(), problem(64), OURS.replace(epochs=1, batch_size=16), is_quick=True)


@pytest.fixture(scope="module")
def found(task: Task) -> list[Contender]:
    shares = [Share(1.0), Share(0.8), Share(0.8, 0.6), Share(0.1)]
    return list(contenders(task, sensitivity_of(task), shares, list(Name), PAPER))


def test_the_budgets_are_those_of_the_issue() -> None:
    assert [(share.flash, share.ram) for share in SHARES] == [
        (1.0, 1.0), (0.6, 1.0), (0.5, 1.0), (0.4, 1.0), (0.3, 1.0), (0.25, 1.0), (0.5, 0.75), (0.5, 0.5),
    ]  # fmt: skip
    assert [str(share) for share in SHARES[-2:]] == ["50 %, RAM 75 %", "50 %, RAM 50 %"]


def test_uniform_bits_are_tried_from_wide_to_narrow() -> None:
    assert set(UNIFORM_BITS) == set(product(BITS, BITS))
    for earlier, later in pairwise(UNIFORM_BITS):
        assert (earlier[0] * earlier[1], min(earlier)) >= (later[0] * later[1], min(later))


@given(flash_bytes=st.integers(1, 2500), ram_bytes=st.integers(1, 300), name=st.sampled_from(["paper", "deployed"]))
@settings(max_examples=60, deadline=None)
def test_the_widest_uniform_bits_fit_and_no_wider_ones_do(flash_bytes: int, ram_bytes: int, name: str) -> None:
    network, accounting = small_network(), accounting_named(name)

    def fits(bits: tuple[int, int]) -> bool:
        weight_bits, activation_bits = bits
        given = uniform(network, weight_bits, activation_bits, accounting, DEFAULT_WEIGHT_SCHEME)  # type: ignore[arg-type]  # of BITS
        report = measure(network, given, accounting)
        return report.flash_bytes <= flash_bytes and report.ram_bytes <= ram_bytes

    chosen = widest_uniform(network, Budget(flash_bytes, ram_bytes), accounting, DEFAULT_WEIGHT_SCHEME)
    fitting = [bits for bits in product(BITS, BITS) if fits(bits)]
    if chosen is None:
        assert fitting == []
        return
    (weight_bits,) = set(chosen.weight_bits.values())
    inner = {bits for tensor, bits in chosen.activation_bits.items() if tensor not in {"input", "logits"}}
    assert inner == {8} or len(inner - {8}) == 1
    activation_bits = min(inner)
    assert (weight_bits, activation_bits) in fitting
    assert weight_bits * activation_bits == max(one * other for one, other in fitting)
    assert chosen.activation_bits["input"] == chosen.activation_bits["logits"] == 8


def test_a_whole_budget_is_what_eight_bits_take(task: Task) -> None:
    budget = budget_of(Share(1.0), task.network, PAPER, DEFAULT_WEIGHT_SCHEME)
    assert widest_uniform(task.network, budget, PAPER, DEFAULT_WEIGHT_SCHEME) == uniform(
        task.network, 8, 8, PAPER, DEFAULT_WEIGHT_SCHEME
    )
    less = Budget(budget.flash_bytes - 1, budget.ram_bytes)
    assert widest_uniform(task.network, less, PAPER, DEFAULT_WEIGHT_SCHEME) != uniform(
        task.network, 8, 8, PAPER, DEFAULT_WEIGHT_SCHEME
    )


def test_contenders_keep_their_budgets_and_schemes(found: list[Contender]) -> None:
    by_name = {(each.name, each.share): each for each in found}
    assert len(found) == len(by_name) == 4 * len(Name)
    for each in found:
        assert (each.allocation is None) is (each.shortage is not None)
        assert (each.allocation is None) is (each.share == Share(0.1))
        if each.allocation is None:
            continue
        if each.name not in {Name.MIXPL_BITS, Name.MIXPC_BITS}:  # the rule knew other parameters
            assert each.flash_bytes is not None
            assert each.flash_bytes <= each.budget.flash_bytes
        kinds = {scheme.weights for scheme in each.allocation.schemes.values()}
        match each.name:
            case Name.MIXPL | Name.PAPER_PER_LAYER:
                assert kinds == {WeightScheme.PER_LAYER_ASYM_PACT}
            case Name.MIXPC | Name.PAPER_PER_CHANNEL:
                assert kinds == {WeightScheme.PER_CHANNELS_ASYM_MIN_MAX}
            case _:
                assert kinds == {DEFAULT_WEIGHT_SCHEME}
        chooser = {
            Name.MIXPL_BITS: Name.MIXPL,
            Name.MIXPC_BITS: Name.MIXPC,
            Name.PAPER_PER_LAYER: Name.EXACT,
            Name.PAPER_PER_CHANNEL: Name.EXACT,
            Name.BREVITAS: Name.EXACT,
        }.get(each.name, each.name)
        allocation = by_name[chooser, each.share].allocation
        assert allocation is not None
        assert each.allocation.weight_bits == allocation.weight_bits
        assert each.allocation.activation_bits == allocation.activation_bits


def test_exact_minimises(found: list[Contender]) -> None:
    for exact in (each for each in found if each.name is Name.EXACT and each.allocation is not None):
        for other in (each for each in found if each.share == exact.share and each.name is Name.UNIFORM):
            assert exact.objective is not None
            assert other.objective is not None
            assert exact.objective <= other.objective * (1 + 1e-9)


def test_equal_trainings_run_once_and_are_remembered(
    task: Task, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bits = uniform(task.network, 4, 4, PAPER, DEFAULT_WEIGHT_SCHEME)
    ran = []

    def outcome(training: Training, _report: object) -> Outcome:
        ran.append(training.label)
        return OUTCOME

    monkeypatch.setattr(Training, "outcome", outcome)

    def training(label: str, options: ChosenOptions = task.options, *, by_brevitas: bool = False) -> Training:
        return Training(label, task, task.network, bits, options, by_brevitas)

    asked = [
        training("one"),
        training("the same", task.options.replace(threads=7, workers=3)),
        training("another seed", task.options.replace(seed=1)),
        training("another rate", task.options.replace(learning_rate=0.5)),
        training("Brevitas", by_brevitas=True),
        replace(training("another scheme"), allocation=with_scheme(bits, WeightScheme.PER_LAYER_ASYM_PACT)),
        replace(training("other data"), task=task.shortened(32, None)),
    ]
    file = tmp_path / "kept.jsonl"
    run_all(asked, Kept(file))
    assert ran == [each.label for each in asked if each.label != "the same"]
    file.write_text(file.read_text()[:-20])  # the last line was cut off
    run_all(asked, Kept(file))
    assert ran[6:] == ["other data"]
    kept = Kept(file)
    assert [kept[each.key] for each in asked] == [OUTCOME] * len(asked)
    run_all(asked, kept)
    assert len(ran) == 7


def test_a_real_training_is_judged_by_integers(task: Task) -> None:
    bits = uniform(task.network, 8, 8, PAPER, DEFAULT_WEIGHT_SCHEME)
    kept = Kept(None)
    asked = [Training("8 bits", task, task.network, bits, task.options)]
    run_all(asked, kept)
    outcome = kept[asked[0].key]
    assert outcome.is_integer_only
    assert 0 <= outcome.percent <= 100
    assert outcome.best_epoch in {0, 1}


def test_what_is_not_known_takes_no_other_place(found: list[Contender]) -> None:
    """An interrupted benchmark may know a training and not what stands before it."""
    row = row_of(found[0], [None, OUTCOME, None, replace(OUTCOME, percent=80.5)])
    assert row["untrained_percent"] is None
    assert row["trained_percent"] == [81.5, 80.5]


def test_tables_show_every_contender(found: list[Contender], task: Task, tmp_path: Path) -> None:
    rows = [
        row_of(
            each, [replace(OUTCOME, percent=70.0), OUTCOME, replace(OUTCOME, percent=80.5)] if each.allocation else []
        )
        for each in found
    ]
    result = {
        "network": "small", "accounting": "paper", "epochs": 1, "train_images": 64, "test_images": 64,
        "float_percent": 84.0, "rows": rows,
    }  # fmt: skip
    shown = tables(json.loads(json.dumps(result, allow_nan=False)))
    for text in (*Name, "81.00 (80.50..81.50)", "70.00", "81.00 (80.50..81.50) \\*", "nothing fits", "80 %, RAM 60 %"):
        assert text in shown
    assert "- 10 %, exact: flash: at least" in shown
    file = tmp_path / "result.json"
    file.write_text(json.dumps(result))
    ran = CliRunner().invoke(accuracy.main, ["--table", str(file)])
    assert (ran.exit_code, ran.output) == (0, f"{shown}\n")
    asked = trainings_of(found[0], task, seeds=3)
    assert [(each.options.epochs, each.options.seed) for each in asked] == [(0, 0), (1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize(
    ("percents", "told"), [([], ""), ([81.234], "81.23"), ([80.0, 82.0, 84.0], "82.00 (80.00..84.00)")]
)
def test_spread(percents: list[float], told: str) -> None:
    assert spread(percents) == told


@pytest.mark.parametrize("arguments", [["--only", "45 %"], ["--methods", "exact,best"]])
def test_what_is_unknown_is_refused(arguments: list[str]) -> None:
    ran = CliRunner().invoke(accuracy.main, arguments)
    assert ran.exit_code == 1
    assert "expected one of" in ran.output


def test_an_ablation_changes_one_thing_at_a_time(task: Task) -> None:
    bits = uniform(task.network, 4, 4, PAPER, DEFAULT_WEIGHT_SCHEME)
    (defaults, *changed) = ablation.variants(bits, task.options)
    assert (defaults.name, defaults.allocation, defaults.options) == (ablation.DEFAULTS, bits, task.options)
    assert len({each.name for each in changed}) == len(changed)
    for each in changed:
        assert each.allocation.weight_bits == bits.weight_bits
        before, after = task.options.model_dump(), each.options.model_dump()
        differing = [name for name in before if before[name] != after[name]]
        assert (each.allocation != bits) + len(differing) == (2 if "regime, learning rate" in each.name else 1)
    assert any(each.options.post_training == PostTrainingOptions() for each in changed)


def test_the_ablation_table_compares_with_the_defaults() -> None:
    def row(name: str, percent: float) -> dict[str, object]:
        return {"name": name, "flash_share": 0.4, "validation_percent": [percent], "test_percent": [percent - 1]}

    result = {
        "network": "small", "epochs": 1, "seeds": 1, "train_images": 64, "held_out": 6, "test_images": 64,
        "rows": [row(ablation.DEFAULTS, 80.0), row("distillation 0", 79.25)],
    }  # fmt: skip
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in ablation.table_of(result).splitlines()[2:]
    ]
    assert lines[2:] == [["defaults", "80.00", "", "79.00"], ["distillation 0", "79.25", "-0.75", "78.25"]]
    assert np.all([len(line) == 4 for line in lines])


@pytest.mark.parametrize("text", ["not json", "[]", "{}", '{"rows": [{"name": "float"}], "loading": []}', None])
def test_a_table_needs_what_json_has_printed(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "rows.json"
    if text is not None:
        file.write_text(text)
    ran = CliRunner().invoke(accuracy.main, ["--table", str(file)])
    assert ran.exit_code == 2
    assert ("is not an output of --json" if text is not None else "does not exist") in ran.output
