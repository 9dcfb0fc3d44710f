"""The allocation benchmark judges itself: it must see a fault where there is one."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from benchmarks import allocation, networks
from benchmarks.allocation import pairs_of, summary
from benchmarks.allocation_tables import answers, comparison
from benchmarks.answers import Pair
from network.budget import Budget

AMPLE = Budget(1_000_000, 1_000_000)
TIGHT = Budget(13_100, 8_000)
HOPELESS = Budget(1, 1_000_000)


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    small = networks.unet(channels=8, depth=1, resolution=16)
    return list(pairs_of(small, (AMPLE, TIGHT, HOPELESS), time_limit_seconds=10))


@pytest.fixture
def tight(pairs: list[Pair]) -> Pair:
    return next(pair for pair in pairs if pair.rule.flash_budget_bytes == TIGHT.flash_bytes)


@pytest.fixture
def hopeless(pairs: list[Pair]) -> Pair:
    return next(pair for pair in pairs if pair.rule.flash_budget_bytes == HOPELESS.flash_bytes)


def test_what_is_measured_is_without_fault(pairs: list[Pair]) -> None:
    assert len(pairs) == 2 * 2 * 3
    assert [fault for pair in pairs for fault in pair.faults()] == []
    for pair in pairs:
        for row in (pair.rule, pair.exact):
            assert row.fits is (row.flash_budget_bytes != HOPELESS.flash_bytes)
            if row.fits:
                assert row.flash_left_bytes is not None
                assert row.flash_left_bytes >= 0
                assert row.ram_left_bytes is not None
                assert row.ram_left_bytes >= 0
                assert row.weight_tensors is not None
                assert row.activation_tensors is not None
                assert (sum(row.weight_tensors), sum(row.activation_tensors)) == (8, 12)


def test_the_exact_program_has_something_to_win(tight: Pair) -> None:
    assert tight.rule.objective is not None
    assert tight.exact.objective is not None
    assert tight.exact.objective < 0.9 * tight.rule.objective
    assert tight.exact.gap == 0


def test_a_better_rule_is_a_fault(tight: Pair) -> None:
    assert tight.exact.objective is not None
    as_good = Pair(replace(tight.rule, objective=tight.exact.objective * (1 - 1e-12)), tight.exact)
    assert as_good.faults() == []
    better = Pair(replace(tight.rule, objective=tight.exact.objective * (1 - 1e-6)), tight.exact)
    (fault,) = better.faults()
    assert "its summed sensitivity is" in fault


def test_a_rule_that_finds_more_is_a_fault(tight: Pair, hopeless: Pair) -> None:
    (fault,) = Pair(tight.rule, hopeless.exact).faults()
    assert "found no allocation, but mixpl found one" in fault


def test_an_exact_program_that_finds_more_is_none(tight: Pair, hopeless: Pair) -> None:
    alone = Pair(hopeless.rule, tight.exact)
    assert alone.faults() == []
    assert "alone in finding an answer in 1" in summary([alone], [])


@pytest.mark.parametrize("least_bytes", [1.0, None])
def test_a_certificate_within_the_budget_is_a_fault(hopeless: Pair, least_bytes: float | None) -> None:
    (fault,) = Pair(hopeless.rule, replace(hopeless.exact, least_bytes=least_bytes)).faults()
    assert "reports that nothing fits" in fault


def test_what_the_validator_says_is_a_fault(tight: Pair) -> None:
    (fault,) = Pair(replace(tight.rule, violations=("takes too much",)), tight.exact).faults()
    assert fault.endswith("takes too much")


def test_tables_have_a_line_for_each_answer_or_question(pairs: list[Pair]) -> None:
    for shown, count in ((answers(pairs), 2 * len(pairs)), (comparison(pairs), len(pairs) // 2)):
        lines = shown.splitlines()
        assert len(lines) == 2 + count
        assert len({len(line) for line in lines}) == 1
        assert len({line.count("|") for line in lines}) == 1


def test_a_comparison_tells_what_was_won(tight: Pair, hopeless: Pair) -> None:
    rule, exact = replace(tight.rule, objective=4.0), replace(tight.exact, objective=3.0, gap=0.02)
    told = comparison([Pair(rule, exact)] * 2).splitlines()[-1]
    assert [cell.strip() for cell in told.split("|")[4:6]] == ["4", "3, 25% less, gap 2.0%"]
    assert "| the same" in comparison([Pair(rule, replace(rule, bound=4.0))] * 2)
    assert f"no: {hopeless.rule.least_bytes:,.0f} of flash" in comparison([hopeless] * 2)


@pytest.mark.parametrize("is_forged", [False, True])
def test_the_exit_code_says_whether_there_is_a_fault(
    tight: Pair, is_forged: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Pair(replace(tight.rule, objective=0.0), tight.exact) if is_forged else tight
    monkeypatch.setattr(allocation, "pairs_of", lambda *_: [shown])
    monkeypatch.setattr(sys, "argv", ["allocation", "--json", "--only", "unet_16_96"])
    with pytest.raises(SystemExit) as ended:
        allocation.main()
    printed = json.loads(capsys.readouterr().out)
    assert ended.value.code == int(is_forged)
    assert len(printed["faults"]) == int(is_forged)
    assert len(printed["rows"]) == 2
    assert ("exact never worse" in printed["summary"]) is not is_forged
