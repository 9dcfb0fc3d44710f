"""What changed between two results, in bytes and bits, and which changes fail."""

from __future__ import annotations

import copy
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.operations.compared_results import Result, result_of
from api.operations.comparison import compare
from api.schemas.comparison import Failure
from network.errors import RequestError
from tests.api.compared_files import Json, fitted, grown, tiny_fit, training_report
from tests.api.small_files import tiny_network

SMALL = tiny_fit()
GROWN = fitted(grown(tiny_network()), flash="20kB", ram="4kB")
BUILD: Json = {
    "network": "tiny", "device": None, "core": "cortex-m4", "optimization": "O2", "flash_bytes": 900, "ram_bytes": 160,
    "flash_budget_bytes": 1000, "ram_budget_bytes": 200, "excess_bytes": {}, "is_good": True,
    "sections": [
        {"part": "arena", "layer": "", "linked_bytes": 100},
        {"part": "stack", "layer": "", "linked_bytes": 60},
    ],
    "layers": [
        {"part": "weights", "layer": "first", "linked_bytes": 200},
        {"part": "constants", "layer": "first", "linked_bytes": 50},
        {"part": "weights", "layer": "last", "linked_bytes": 250},
    ],
    "functions": [{"part": "convolution", "layer": "", "linked_bytes": 400}],
}  # fmt: skip


def read(document: Json) -> Result:
    return result_of(document, "the document")


def test_the_same_result_has_no_changes() -> None:
    answer = compare(read(SMALL), read(copy.deepcopy(SMALL)))
    assert answer.passes
    assert (answer.flash_difference_bytes, answer.ram_difference_bytes) == (0, 0)
    assert (answer.layers, answer.shared, answer.notes) == ([], [], [])


def test_changes_of_layers_and_shared_parts_add_up_to_the_change_of_the_flash() -> None:
    answer = compare(read(SMALL), read(GROWN))
    explained = sum(each.flash_difference_bytes for each in answer.layers)
    explained += sum(each.difference_bytes for each in answer.shared if each.region == "flash")
    assert answer.flash_difference_bytes == explained == GROWN["memory"]["flash_bytes"] - SMALL["memory"]["flash_bytes"]
    assert explained > 0


def test_a_new_layer_and_a_removed_one() -> None:
    added = {each.layer: each for each in compare(read(SMALL), read(GROWN)).layers}["added"]
    assert added.base is None
    assert added.head is not None
    assert added.head.weight_bits == GROWN["weight_bits"]["added"]
    assert added.head.output_bits == GROWN["activation_bits"]["added"]
    removed = {each.layer: each for each in compare(read(GROWN), read(SMALL)).layers}["added"]
    assert removed.head is None
    assert removed.base == added.head
    assert removed.flash_difference_bytes == -added.flash_difference_bytes
    assert removed.ram_difference_bytes == -added.ram_difference_bytes


def test_bits_that_change_are_shown_with_their_bytes() -> None:
    fewer = tiny_fit(flash=f"{SMALL['memory']['flash_bytes'] - 1}")
    assert fewer["fits"]
    answer = compare(read(SMALL), read(fewer))
    bits = {each.layer: (each.base, each.head) for each in answer.layers}
    for layer, (base, head) in bits.items():
        assert base is not None
        assert head is not None
        assert (base.weight_bits, head.weight_bits) == (SMALL["weight_bits"][layer], fewer["weight_bits"][layer])
    assert answer.base is not None
    assert (answer.base.weight_tensors, answer.head.weight_tensors) != ({}, {})
    assert sum(answer.head.weight_tensors.values()) == len(fewer["weight_bits"])
    assert answer.notes == ["Base and head have different devices or budgets."]


def test_a_network_that_does_not_fit_fails_with_the_certificate() -> None:
    answer = compare(read(SMALL), read(tiny_fit(flash="100")))
    assert answer.failures == [Failure.DOES_NOT_FIT]
    assert answer.head.problem is not None
    assert "100 are available" in answer.head.problem


def test_without_a_base_only_the_budget_counts() -> None:
    answer = compare(None, read(training_report(SMALL, 50.0)), max_quality_drop=0)
    assert answer.passes
    assert (answer.base, answer.quality_drop, answer.layers) == (None, None, [])
    assert compare(None, read(tiny_fit(flash="100"))).failures == [Failure.DOES_NOT_FIT]


@given(
    base=st.integers(0, 10_000),
    head=st.integers(0, 10_000),
    limit=st.integers(0, 300),
    metric=st.sampled_from(["accuracy", "rmse"]),
)
def test_the_drop_of_quality_is_compared_in_exact_hundredths(base: int, head: int, limit: int, metric: str) -> None:
    """The oracle computes with whole hundredths, in which 84.4 - 84.3 is exactly 0.1."""
    before, after = (read(training_report(SMALL, each / 100, metric)) for each in (base, head))
    worse = base - head if metric == "accuracy" else head - base
    answer = compare(before, after, max_quality_drop=limit / 100)
    assert answer.quality_drop == worse / 100
    assert answer.failures == ([Failure.QUALITY_DROPS] if worse > limit else [])


def test_different_metrics_fail_only_where_a_limit_is_given() -> None:
    base, head = read(training_report(SMALL, 90.0)), read(training_report(SMALL, 0.9, "r2"))
    assert compare(base, head).passes
    assert compare(base, head, max_quality_drop=1).failures == [Failure.QUALITY_IS_NOT_COMPARABLE]


def test_a_limit_of_quality_needs_a_quality() -> None:
    with pytest.raises(RequestError, match="the head has no quality"):
        compare(read(training_report(SMALL, 90.0)), read(SMALL), max_quality_drop=1)
    answer = compare(read(SMALL), read(training_report(SMALL, 90.0)), max_quality_drop=1)
    assert answer.passes
    assert any("not checked" in note for note in answer.notes)


def test_the_accuracy_of_reports_of_earlier_versions_is_read() -> None:
    old = training_report(SMALL, 1.0) | {"quality": None, "accuracy": {"integer_only": 91.5}}
    answer = compare(read(old), read(training_report(SMALL, 91.0)), max_quality_drop=0.4)
    assert answer.quality_drop == 0.5
    assert answer.failures == [Failure.QUALITY_DROPS]


def test_shrink_is_compared_by_its_chosen_result() -> None:
    report = {"kind": "shrink", "points": [], "result": training_report(SMALL, 80.0)}
    assert compare(read(SMALL), read(report)).head.quality is not None
    with pytest.raises(RequestError, match="no point keeps the limit"):
        read(report | {"result": None})


def test_builds_are_compared_by_their_linked_bytes() -> None:
    larger = copy.deepcopy(BUILD)
    larger["layers"][0]["linked_bytes"] += 12
    larger["functions"][0]["linked_bytes"] += 8
    larger["flash_bytes"] += 20
    answer = compare(read(BUILD), read(larger))
    assert answer.passes
    assert [(each.layer, each.flash_difference_bytes) for each in answer.layers] == [("first", 12)]
    assert [(each.part, each.difference_bytes) for each in answer.shared] == [("convolution", 8)]
    assert answer.flash_difference_bytes == 20


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({"excess_bytes": {"flash": 24}, "is_good": False}, Failure.DOES_NOT_FIT),
        ({"is_good": False}, Failure.BUILD_IS_NOT_GOOD),
    ],
)
def test_a_build_that_is_not_good_fails(change: Json, failure: Failure) -> None:
    answer = compare(read(BUILD), read(BUILD | change))
    assert answer.failures == [failure]
    assert answer.head.problem


def test_a_fit_beside_a_build_is_compared_by_flash_alone() -> None:
    layers = {each.layer: each for each in compare(read(SMALL), read(BUILD)).layers}
    stored = {each["layer"]: each["flash_bytes"] for each in SMALL["memory"]["layers"]}
    assert layers["first"].flash_difference_bytes == 250 - stored["first"]
    assert layers["first"].ram_difference_bytes == 0


@pytest.mark.parametrize(
    "change",
    [
        {"fits": "perhaps"},
        {"memory": None},
        {"budget": {"flash_bytes": 10**300, "ram_bytes": 1}},
        {"network": {"name": "x" * 10_001}},
        {"network": {"name": "\ud800"}},
        {"activation_bits": {"input": 7}},
        {"activation_bits": {f"{number}": 8 for number in range(100_001)}},
        {"objective": math.inf},
        {"optimization": "O9"},
    ],
)
def test_what_is_not_a_result_or_too_large_is_refused(change: Json) -> None:
    with pytest.raises(RequestError, match=r"not a result that can be compared .*expected the output of"):
        read(SMALL | change)


@pytest.mark.parametrize("least", [math.nan, math.inf, -1, 1e300, "many"])
def test_a_certificate_is_bounded_too(least: object) -> None:
    document = tiny_fit(flash="100")
    document["certificate"]["least_bytes"] = least
    with pytest.raises(RequestError, match="certificate"):
        read(document)


def test_a_certificate_of_latency_without_cycles_is_refused() -> None:
    document = tiny_fit(flash="100")
    document["certificate"] |= {"budget": "latency", "least_cycles": None}
    with pytest.raises(RequestError, match="needs least_cycles"):
        read(document)


@pytest.mark.parametrize("key", ["memory", "fits", "network", "budget"])
def test_a_missing_member_is_named(key: str) -> None:
    document = {name: value for name, value in SMALL.items() if name != key}
    with pytest.raises(RequestError, match=key):
        read(document)
