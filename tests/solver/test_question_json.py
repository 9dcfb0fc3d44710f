"""Questions as JSON text: the same solution after reading, a stable text, and rejection of damaged texts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from network.allocation import WeightScheme
from network.budget import Budget
from network.devices.catalogue import catalogue
from network.devices.core_speeds import SPEEDS
from network.devices.device import Device
from network.devices.latency import Latency
from network.errors import RequestError
from network.kernel_sizes.tables import Optimization, sizes_for
from network.kernels import IN_PLACE_KERNELS
from network.layers import Shape
from network.memory.books import ACCOUNTINGS, accounting_for, accountings_for, optimization_of
from network.memory.deployed import DeployedAccounting
from network.network import Network
from solver.exact.choices import Choices
from solver.fit import fit
from solver.options import Method, SolveOptions
from solver.question import Question
from solver.question_json import question_from_json, question_to_json
from tests.builders import mobilenet_v1, network_of, question_of
from tests.solver.instances import (
    TableBook,
    budget_between,
    chains,
    graphs,
    pointwise,
    random_choices,
    random_latency,
    random_table,
)

SHARES = st.floats(-0.1, 1.05)
DEVICES: tuple[Device | None, ...] = (
    None,
    catalogue()["stm32h743zi"],
    *(
        replace(catalogue()["stm32l432kc"], in_place=frozenset(in_place), reuses_input=reuses_input)
        for in_place in ((), IN_PLACE_KERNELS)
        for reuses_input in (True, False)
    ),
)
TINY = network_of([pointwise("a", "input", 4), pointwise("b", "a", 4)], Shape(2, 3, 3))
TINY_QUESTION = replace(
    question_of(
        TINY,
        Budget(10_000, 10_000),
        Method.EXACT,
        accounting_for("deployed", catalogue()["stm32l432kc"]),
        random_table(TINY, 0),
        latency=Latency(SPEEDS["cortex-m4"], 10**6),
    ),
    device=catalogue()["stm32l432kc"],
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(graphs(most=5), chains(most=4)),
    st.sampled_from(list(ACCOUNTINGS)),
    st.sampled_from(DEVICES),
    st.sampled_from(list(Method)),
    SHARES,
    SHARES,
    st.integers(0, 10**6),
    st.booleans(),
    st.one_of(st.none(), st.floats(0.0, 1.0)),
)
def test_a_question_that_was_read_has_the_same_solution(
    network: Network,
    book: str,
    device: Device | None,
    method: Method,
    ram_share: float,
    flash_share: float,
    seed: int,
    restricts_bits: bool,
    latency_share: float | None,
) -> None:
    accounting = accounting_for(book, device)
    weights = list(WeightScheme)[seed % len(WeightScheme)]
    is_exact = method is Method.EXACT
    question = replace(
        question_of(
            network,
            budget_between(network, accounting, weights, ram_share, flash_share),
            method,
            accounting,
            random_table(network, seed),
            choices=random_choices(network, weights, seed) if restricts_bits and is_exact else Choices((weights,)),
            latency=random_latency(network, latency_share, seed) if latency_share is not None and is_exact else None,
        ),
        device=device,
    )
    text = question_to_json(question)
    assert question_to_json(question) == text
    read = question_from_json(text)
    assert question_to_json(read) == text
    assert read.budget == question.budget
    assert read.sensitivity == question.sensitivity
    assert read.options == question.options
    assert read.device == question.device
    assert read.speed == question.speed
    assert read.max_cycles == question.max_cycles
    expected: Any = solved(question)
    assert solved(read) == expected


def solved(question: Question) -> Any:
    """The bits, memory, objective and certificate of a question's solution, or the text of its error."""
    try:
        solution = fit(question)
    except RequestError as error:  # e.g. no bits are allowed for all tensors that share them
        return str(error)
    order = [layer.name for layer in solution.network.layers]
    return order, solution.allocation, solution.memory, solution.objective, solution.bound, solution.certificate


def test_equal_questions_have_the_same_text() -> None:
    table = TINY_QUESTION.sensitivity
    assert table is not None
    turned = replace(table, activations=dict(reversed(list(table.activations.items()))))
    assert question_to_json(replace(TINY_QUESTION, sensitivity=turned)) == question_to_json(TINY_QUESTION)


def test_weights_are_left_out() -> None:
    budget = Budget(120_000, 40_000)
    texts = [
        question_to_json(question_of(mobilenet_v1(0.25, 96, 10, seed=seed), budget, Method.MIXPC, ACCOUNTINGS["paper"]))
        for seed in (None, 1)
    ]
    assert texts[0] == texts[1]
    assert question_from_json(texts[0]).sensitivity is None


@pytest.mark.parametrize(
    ("accounting", "device"),
    [
        (TableBook(), None),
        (accounting_for("deployed", DEVICES[-1]), None),
        (accounting_for("deployed", None), DEVICES[-1]),
    ],
    ids=["subclass", "kernels of a device that is not given", "kernels of another device"],
)
def test_an_accounting_that_has_no_name_is_rejected(accounting: Any, device: Device | None) -> None:
    with pytest.raises(ValueError, match="only built-in ones can be written as JSON"):
        question_to_json(replace(TINY_QUESTION, accounting=accounting, device=device))


def changed(*path: str, value: Any) -> str:
    """The text of a question with one value changed."""
    document = json.loads(question_to_json(TINY_QUESTION))
    owner = document
    for key in path[:-1]:
        owner = owner[key]
    owner[path[-1]] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "\ud800",
        question_to_json(TINY_QUESTION)[:-1],
        "[" * 100_000,
        changed("unknown", value=1),
        changed("network", value=None),
        changed("network", "layers", value=[]),
        changed("network", "outputs", value=["nowhere"]),
        changed("budget", value=[1, 2]),
        changed("budget", "flash_bytes", value=0),
        changed("budget", "ram_bytes", value="40kB"),
        changed("accounting", value="mine"),
        changed("accounting", value=7),
        changed("device", value={}),
        changed("device", "ram", value=-1),
        changed("sensitivity", value=[]),
        changed("sensitivity", "weights", "a", value={"8": 10**400, "4": 0, "2": 0}),
        changed("options", value=None),
        changed("options", "method", value="greedy"),
        changed("options", "cls", value=1),
        changed("options", "time_limit_seconds", value=True),
        changed("speed", value=None),
        changed("speed", "source", value=None),
        changed("measured_speeds", value=None),
        changed("measured_speeds", value=[["add", 8, 8]]),
        changed("measured_speeds", value=[[{}]]),
        changed("max_cycles", value=0),
        changed("max_cycles", value="many"),
    ],
)
def test_a_damaged_text_is_rejected(text: str) -> None:
    with pytest.raises(RequestError):
        question_from_json(text)


@pytest.mark.parametrize("key", sorted(json.loads(question_to_json(TINY_QUESTION))))
def test_a_missing_key_is_rejected(key: str) -> None:
    document = json.loads(question_to_json(TINY_QUESTION))
    del document[key]
    with pytest.raises(RequestError, match=key):
        question_from_json(json.dumps(document))


def test_options_survive() -> None:
    options = SolveOptions(schedule="given", backend="highs", time_limit_seconds=3)  # type: ignore[arg-type]  # as JSON
    read = question_from_json(question_to_json(replace(TINY_QUESTION, options=options)))
    assert read.options == options


@pytest.mark.parametrize("device", [None, catalogue()["stm32l432kc"]], ids=["no device", "device"])
def test_the_choice_of_the_optimization_survives(device: Device | None) -> None:
    accounting, *alternatives = accountings_for("deployed", device, None)
    question = question_of(mobilenet_v1(), Budget(10**6, 10**6), Method.EXACT, accounting)
    question = replace(question, device=device, alternatives=tuple(alternatives))
    text = question_to_json(question)
    assert json.loads(text)["optimization"] is None
    read = question_from_json(text)
    assert optimization_of(read.accounting) is Optimization.SPEED
    assert [optimization_of(each) for each in read.alternatives] == [Optimization.SIZE]
    assert question_to_json(read) == text


@pytest.mark.parametrize("device", [None, catalogue()["stm32l432kc"]], ids=["no device", "device"])
def test_the_optimization_of_the_code_survives(device: Device | None) -> None:
    accounting = accounting_for("deployed", device, Optimization.SIZE)
    question = replace(question_of(mobilenet_v1(), Budget(10**6, 10**6), Method.EXACT, accounting), device=device)
    read = question_from_json(question_to_json(question)).accounting
    assert isinstance(read, DeployedAccounting)
    assert read.sizes is sizes_for(None if device is None else device.core, Optimization.SIZE)
    damaged = json.loads(question_to_json(question)) | {"optimization": "O9"}
    with pytest.raises(RequestError, match="has 'O9' as its 'optimization'; expected one of O2, Os, O3"):
        question_from_json(json.dumps(damaged))


def test_a_question_of_an_earlier_release_has_the_same_solution() -> None:
    """Questions had no allowed schemes but one scheme of all weights, and tables did not distinguish schemes."""
    for scheme in WeightScheme:
        question = replace(TINY_QUESTION, options=SolveOptions(scheme=scheme))
        document = json.loads(question_to_json(question))
        del document["options"]["allowed_schemes"]
        assert "weights_by_scheme" not in document["sensitivity"]
        read = question_from_json(json.dumps(document))
        assert read.options == question.options
        assert fit(read).allocation == fit(question).allocation
        del document["options"]["scheme"]
        with pytest.raises(RequestError, match="lacks its scheme"):
            question_from_json(json.dumps(document))
