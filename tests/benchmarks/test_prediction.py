"""The benchmark of predictions: the drawn bits, rank correlations, pair terms, losses, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from benchmarks import prediction
from benchmarks.allocation_losses import Measurement, Stage, float_loss_and_percent, loss_and_percent
from benchmarks.drawn_bits import drawn_bits, random_bits
from benchmarks.pair_terms import JointDivergence, neighbours, pair_terms, summed
from benchmarks.prediction_tables import prediction_tables
from benchmarks.rank_correlation import Resampled
from benchmarks.shares import Share, budget_of, uniform
from benchmarks.tasks import OURS, Task
from network.allocation import BITS, DEFAULT_WEIGHT_SCHEME, Allocation
from network.memory.books import accounting_named
from network.memory.measure import measure
from network.sensitivity.from_weights import weight_sensitivity
from qat.data.dataset import labelled
from qat.options.sensitivity import Measure, SensitivityOptions
from qat.sensitivity.measuring import measure_sensitivity
from tests.qat.small_problem import problem, small_network

PAPER = accounting_named("paper")
SHARES = (Share(0.65, 0.8), Share(0.6))  # three different bits fill each of them


@pytest.fixture(scope="module")
def task() -> Task:
    return Task("small", small_network(), problem(64), OURS.replace(threads=1), is_quick=True)


def is_within(task: Task, allocation: Allocation, share: Share) -> bool:
    budget = budget_of(share, task.network, PAPER, DEFAULT_WEIGHT_SCHEME)
    report = measure(task.network, allocation, PAPER)
    return report.flash_bytes <= budget.flash_bytes and report.ram_bytes <= budget.ram_bytes


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.sampled_from(SHARES))
def test_random_bits_keep_the_budget_and_cannot_be_widened(task: Task, seed: int, share: Share) -> None:
    budget = budget_of(share, task.network, PAPER, DEFAULT_WEIGHT_SCHEME)
    drawn = random_bits(task.network, budget, PAPER, np.random.default_rng(seed))
    assert is_within(task, drawn, share)
    assert drawn.activation_bits["input"] == drawn.activation_bits["logits"] == 8
    same = PAPER.same_bits(task.network)
    for layer, bits in drawn.weight_bits.items():
        for wider in BITS[: BITS.index(bits)]:
            assert not is_within(task, replace(drawn, weight_bits={**drawn.weight_bits, layer: wider}), share)
    for tensor, bits in drawn.activation_bits.items():
        for wider in BITS[: BITS.index(bits)]:
            group = {each: wider for each, own in same.items() if own == same[tensor]}
            widened = replace(drawn, activation_bits={**drawn.activation_bits, **group})
            assert not is_within(task, widened, share)


def test_bits_are_different_and_those_of_the_exact_program_come_first(task: Task) -> None:
    table = weight_sensitivity(task.network, DEFAULT_WEIGHT_SCHEME)
    tables = {"weights": table, "same": table}
    drawn = drawn_bits(task.network, tables, SHARES, 6, PAPER, seed=3)
    assert [each.share for each in drawn] == [SHARES[0]] * 3 + [SHARES[1]] * 3
    assert [each.origin for each in drawn if each.origin.startswith("exact")] == ["exact, weights"] * 2
    for share in SHARES:
        own = [each for each in drawn if each.share == share]
        assert all(is_within(task, each.allocation, share) for each in own)
        bits = {(*each.allocation.weight_bits.items(), *each.allocation.activation_bits.items()) for each in own}
        assert len(bits) == len(own)
        sums = [table.objective(each.allocation) for each in own]
        assert min(sums) == sums[0]
    again = drawn_bits(task.network, tables, SHARES, 6, PAPER, seed=3)
    assert [each.allocation for each in again] == [each.allocation for each in drawn]
    # Few bits fill the budgets of so small a network: drawing ends without as many as were asked for.
    everything = drawn_bits(task.network, tables, SHARES, 60, PAPER, seed=4)
    assert 2 < len(everything) < 12


def test_a_budget_below_two_bits_is_refused(task: Task) -> None:
    table = {"weights": weight_sensitivity(task.network, DEFAULT_WEIGHT_SCHEME)}
    with pytest.raises(ValueError, match="no bits of small fit"):
        drawn_bits(task.network, table, [Share(0.1)], 3, PAPER)
    budget = budget_of(Share(1.0, 0.1), task.network, PAPER, DEFAULT_WEIGHT_SCHEME)
    with pytest.raises(ValueError, match="2 bits everywhere do not fit"):
        random_bits(task.network, budget, PAPER, np.random.default_rng(0))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=12))
def test_the_overall_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    predicted, measured = [float(one) for one, _ in pairs], [float(other) for _, other in pairs]
    found = Resampled([0] * len(pairs), measured).overall(predicted)
    if len(set(predicted)) == 1 or len(set(measured)) == 1:
        assert np.isnan(found.value)
        return
    assert found.value == pytest.approx(spearmanr(predicted, measured).statistic)
    assert -1 <= found.low <= found.high <= 1


def test_within_budgets_only_the_order_under_the_same_budget_counts() -> None:
    groups = [0] * 6 + [1] * 6
    measured = [*range(6), *range(6)]
    predicted = [*range(10, 16), *range(6)]  # right under each budget, and the first budget is wrongly thought worse
    resampled = Resampled(groups, [float(each) for each in measured])
    within, overall = (of([float(each) for each in predicted]) for of in (resampled.within, resampled.overall))
    assert (within.value, within.low, within.high) == pytest.approx((1.0, 1.0, 1.0))
    assert overall.value < 0.6
    gain = resampled.gain_within([float(each) for each in predicted], [-float(each) for each in predicted])
    assert (gain.value, gain.low, gain.high) == pytest.approx((2.0, 2.0, 2.0))


def test_the_interval_of_noise_holds_zero_and_is_wide() -> None:
    drawn = np.random.default_rng(0).standard_normal((2, 30))
    found = Resampled([each % 3 for each in range(30)], drawn[0].tolist()).within(drawn[1].tolist())
    assert found.low < 0 < found.high
    assert found.low < found.value < found.high
    assert found.high - found.low > 0.3


def test_budgets_with_few_allocations_have_no_correlation_within() -> None:
    resampled = Resampled([0, 0, 1, 1], [1.0, 2.0, 3.0, 4.0])
    assert np.isnan(resampled.within([1.0, 2.0, 3.0, 4.0]).value)
    assert resampled.overall([1.0, 2.0, 3.0, 4.0]).value == pytest.approx(1.0)


def test_the_divergence_of_one_tensor_is_that_of_the_measure(task: Task) -> None:
    data = task.dataset
    options = SensitivityOptions(measure=Measure.MEASURED, scheme=DEFAULT_WEIGHT_SCHEME, samples=len(data.train_x))
    table = measure_sensitivity(task.network, data.train_x, data.train_y, options)
    # The measure takes the samples in another order, but ranges depend on all of them: 64 are few enough.
    divergence = JointDivergence(task.network, data.train_x)
    for bits in (4, 2):
        for layer, row in table.weights.items():
            assert divergence.of({("weights", layer): bits}) == pytest.approx(row[bits], rel=0.01)
        for tensor, row in table.activations.items():
            assert divergence.of({("activations", tensor): bits}) == pytest.approx(row[bits], rel=0.01)
    assert divergence.of({}) == 0


def test_sums_with_the_term_of_a_pair_are_the_divergence_of_both(task: Task) -> None:
    divergence = JointDivergence(task.network, task.dataset.train_x)
    pairs = set(neighbours(task.network))
    one, two, classes = (("weights", layer.name) for layer in task.network.weight_layers)
    outputs = [("activations", f"{name}.out") for name in ("one", "two")]
    pooled = ("activations", "pooled")
    assert pairs == {
        (one, outputs[0]), (one, two), (two, outputs[0]), (two, outputs[1]), (two, classes), (classes, pooled),
        (outputs[0], outputs[1]), (outputs[1], pooled),
    }  # fmt: skip
    terms = pair_terms(task.network, divergence)
    assert terms.keys() == pairs
    strengths = [max(map(abs, of_pair.values())) for of_pair in terms.values()]
    assert strengths == sorted(strengths, reverse=True)
    wide = uniform(task.network, 8, 8, PAPER, DEFAULT_WEIGHT_SCHEME)
    assert summed(terms, wide) == 0
    both = replace(wide, weight_bits={**wide.weight_bits, "one": 4, "two": 2})
    together = divergence.of({one: 4, two: 2})
    assert together == pytest.approx(divergence.of({one: 4}) + divergence.of({two: 2}) + summed(terms, both))


def test_loss_and_accuracy_are_those_of_the_outputs(task: Task) -> None:
    labels = labelled(task.dataset.test_y)
    outputs = np.random.default_rng(0).standard_normal((len(labels), 4)).astype(np.float32)
    rows = {each.tobytes(): row for each, row in zip(task.dataset.test_x[:], outputs, strict=True)}
    loss, percent = loss_and_percent(
        lambda samples: np.stack([rows[each.tobytes()] for each in samples]), task.network, task
    )
    powers = np.exp(outputs.astype(np.float64))
    shares = powers[np.arange(len(labels)), labels] / powers.sum(axis=1)
    assert loss == pytest.approx(-np.log(shares).mean())
    assert percent == pytest.approx(100 * (outputs.argmax(axis=1) == labels).mean())


def test_eight_bits_keep_the_float_loss_and_two_do_not(task: Task) -> None:
    loss, _ = float_loss_and_percent(task)
    wide, narrow = (uniform(task.network, bits, bits, PAPER, DEFAULT_WEIGHT_SCHEME) for bits in (8, 2))
    wide_loss, narrow_loss = (
        Measurement(task, each, Stage.CALIBRATED, 5).measured().loss for each in (wide, narrow)
    )  # fmt: skip
    assert abs(wide_loss - loss) < 0.2 * abs(narrow_loss - loss)
    improved = Measurement(task, narrow, Stage.POST_TRAINED, 5).measured().loss
    assert improved != narrow_loss


def test_measurements_are_known_by_what_counts(task: Task) -> None:
    wide, narrow = (uniform(task.network, bits, bits, PAPER, DEFAULT_WEIGHT_SCHEME) for bits in (8, 2))
    keys = {Measurement(task, each, stage, 5).key for each in (wide, narrow) for stage in Stage}
    assert len(keys) == 2 * len(Stage)
    assert Measurement(task, wide, Stage.POST_TRAINED, 6).key not in keys
    assert Measurement(task, wide, Stage.CALIBRATED, 5).key in keys
    more_threads = replace(task, options=task.options.replace(threads=2))
    assert Measurement(more_threads, wide, Stage.TRAINED, 5).key in keys


def test_the_command_measures_and_continues(task: Task, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("benchmarks.run_options.task_named", lambda _name: task)
    monkeypatch.setattr(prediction, "SHARES", {"dscnn": SHARES})
    kept = tmp_path / "kept.jsonl"
    asked = ["--network", "dscnn", "--samples", "40", "--allocations", "6", "--rounding-steps", "2"]
    asked += ["--pairs", "16", "--keep", str(kept), "--json"]
    ran = CliRunner().invoke(prediction.main, asked)
    assert ran.exit_code == 0, ran.output
    result = json.loads(ran.stdout)
    measures = {"weights", "fisher", "hessian", "measured", "diagonal", "joint", "fisher, 40 samples"}
    pairs = {f"{name} + {number} pairs" for name in ("fisher", "measured") for number in (8,)}
    assert len(result["rows"]) == 6
    for row in result["rows"]:
        assert row["sums"].keys() == measures | pairs
        assert row["losses"]["calibrated"] > 0
        assert row["losses"]["trained"] is None
    lines = kept.read_text()
    assert len(lines.splitlines()) == 12
    again = CliRunner().invoke(prediction.main, [*asked, "--trained", "3", "--kept-only"])
    assert [row["losses"] for row in json.loads(again.stdout)["rows"]] == [row["losses"] for row in result["rows"]]
    assert kept.read_text() == lines
    file = tmp_path / "result.json"
    file.write_text(ran.stdout)
    table = CliRunner().invoke(prediction.main, ["--table", str(file)])
    assert (table.exit_code, table.output) == (0, f"{prediction_tables(result)}\n")
    shown = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.output.splitlines()]
    assert [line[0] for line in shown if line[0] in measures] == [
        *2 * ("weights", "fisher", "hessian", "measured", "diagonal", "fisher, 40 samples", "joint"),
        *("weights", "hessian", "measured", "diagonal", "fisher, 40 samples", "joint"),
    ]


def test_trained_bits_are_spaced_evenly(task: Task) -> None:
    table = {"weights": weight_sensitivity(task.network, DEFAULT_WEIGHT_SCHEME)}
    drawn = drawn_bits(task.network, table, SHARES, 6, PAPER)
    asked = prediction.measurements_of(task, drawn, 5, 3)
    by_stage = {stage: [index for index, each in asked if each.stage is stage] for stage in Stage}
    assert by_stage[Stage.CALIBRATED] == by_stage[Stage.POST_TRAINED] == list(range(6))
    assert by_stage[Stage.TRAINED] == [0, 2, 5]
    assert not [each for _, each in prediction.measurements_of(task, drawn, 5, 0) if each.stage is Stage.TRAINED]


def test_more_samples_than_there_are_is_one_line(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.run_options.task_named", lambda _name: task)
    ran = CliRunner().invoke(prediction.main, ["--samples", "65"])
    assert (ran.exit_code, ran.output) == (1, "Error: 65 samples were asked for; small has 64 to train on\n")


def test_tables_tell_what_a_measures_choice_loses() -> None:
    losses = {0.5: [1.0, 2.0, 4.0], 0.3: [3.0, 5.0, 6.0]}
    rows = [
        {
            "flash_share": share, "ram_share": 1.0, "sums": {"fisher": loss, "other": -loss},
            "losses": {"calibrated": loss, "post-trained": None, "trained": None},
        }
        for share, of_share in losses.items()
        for loss in of_share
    ]  # fmt: skip
    shown = prediction_tables({
        "network": "small", "accounting": "paper", "train_samples": 40, "test_samples": 64, "rounding_steps": 2,
        "float_loss": 0.5, "float_percent": 84.0, "seconds": {"fisher": 1.25}, "rows": rows,
    })  # fmt: skip
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in shown.splitlines()]
    assert ["50 %", "1.000, 2.000, 4.000 (3)"] in lines
    assert ["fisher", "0.000"] in lines
    assert ["other", "3.000"] in lines  # 4 - 1 and 6 - 3
    assert ["fisher", "1.25", "1.00 (1.00..1.00)", "1.00 (1.00..1.00)"] in lines
    assert ["other", "-2.00 (-2.00..-2.00)"] in lines
