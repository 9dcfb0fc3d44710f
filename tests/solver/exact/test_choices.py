"""Restrictions of bits: valid ones and rejected ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from network.allocation import Bits, WeightScheme
from network.budget import Budget
from network.errors import RequestError
from network.layers import Activation, FullyConnected, Shape
from network.memory.books import accounting_named
from solver.exact.choices import Choices, check_choices, restricted_to
from solver.fit import fit
from solver.options import Method
from tests.builders import network_of, question_of
from tests.solver.instances import pointwise, random_table

NETWORK = network_of(
    [
        pointwise("a", "input", 4),
        Activation(name="r", inputs=("a",), output="r"),
        pointwise("b", "r", 4),
        FullyConnected(name="fc", inputs=("b",), output="fc", output_channels=3),
    ],
    Shape(4, 3, 3),
)
WIDE: tuple[Bits, ...] = (8,)
AMPLE = Budget(10**6, 10**6)


@pytest.mark.parametrize(
    ("weights", "activations", "message"),
    [
        ({"x": (8,)}, {}, "bits are given for 'x', but the network has no layer with weights of this name"),
        ({"r": (8,)}, {}, "no layer with weights of this name"),
        ({}, {"y": (8,)}, "no activation tensor of this name"),
        ({"a": ()}, {}, "allowed_weight_bits.a: expected 1 or more entries"),
        ({"a": (3,)}, {}, "allowed_weight_bits.a.0: expected one of: 8, 4 or 2; it is 3"),
        ({"a": (True,)}, {}, "allowed_weight_bits.a.0: expected one of: 8, 4 or 2; it is true"),
        ({}, {"input": (4, 2)}, "'input' is an input or output of the network and keeps 8 bits"),
        ({}, {"fc": (2,)}, "'fc' is an input or output"),
    ],
)
@pytest.mark.parametrize("book", ["paper", "deployed"])
def test_invalid_choices_are_rejected(weights: Any, activations: Any, message: str, book: str) -> None:
    choices = Choices(allowed_weight_bits=weights, allowed_activation_bits=activations)
    with pytest.raises(RequestError, match=message):
        fit(
            question_of(NETWORK, AMPLE, Method.EXACT, accounting_named(book), random_table(NETWORK, 0), choices=choices)
        )


def test_tensors_that_share_bits_are_restricted_together() -> None:
    """In the `paper` accounting, the output of the ReLU has the bits of its input."""
    table = random_table(NETWORK, 0)

    def bits(book: str, **allowed: tuple[Any, ...]) -> tuple[int, int]:
        solution = fit(
            question_of(
                NETWORK,
                AMPLE,
                Method.EXACT,
                accounting_named(book),
                table,
                choices=Choices(allowed_activation_bits=allowed),
            )
        )
        assert solution.allocation is not None
        return solution.allocation.activation_bits["a"], solution.allocation.activation_bits["r"]

    assert bits("paper", r=(4,)) == (4, 4)
    assert bits("deployed", r=(4,)) == (8, 4)
    assert bits("paper", a=(8, 2), r=(4, 2)) == (2, 2)
    with pytest.raises(RequestError, match="'a' and 'r' must have the same bits, but no bits"):
        bits("paper", a=(8,), r=(4,))


def test_all_tensors_can_be_restricted() -> None:
    choices = restricted_to(
        NETWORK, weight_bits=(8, 4), activation_bits=WIDE, schemes=(WeightScheme.PER_LAYER_ASYM_PACT,)
    )
    assert choices.allowed_weight_bits == {"a": (8, 4), "b": (8, 4), "fc": (8, 4)}
    assert choices.allowed_activation_bits == {"a": (8,), "r": (8,), "b": (8,)}
    check_choices(choices, NETWORK, accounting_named("paper").same_bits(NETWORK))
    narrow: tuple[Bits, ...] = (2,)
    check_choices(restricted_to(NETWORK, activation_bits=narrow), NETWORK, accounting_named("paper").same_bits(NETWORK))
    tight = fit(
        question_of(
            NETWORK,
            Budget(1, 10**6),
            Method.EXACT,
            accounting_named("paper"),
            random_table(NETWORK, 0),
            choices=replace(choices, schemes=(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX,)),
        )
    )
    assert tight.certificate is not None
    assert {layer.weight_bytes for layer in tight.memory.layers if layer.layer != "fc"} == {16 / 2}


def test_the_rules_do_not_support_restricted_bits() -> None:
    with pytest.raises(RequestError, match="mixpl does not support allowed bits of single tensors"):
        fit(
            question_of(
                NETWORK,
                AMPLE,
                Method.MIXPL,
                accounting_named("paper"),
                choices=Choices(allowed_weight_bits={"a": WIDE}),
            )
        )
