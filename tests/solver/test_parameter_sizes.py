"""The size of a layer's parameters: a constant and a term by the bits of each side, counted once."""

from __future__ import annotations

import pytest

from network.allocation import BITS, Folding, Scheme, WeightScheme
from network.layers import Layer, Shape
from network.memory.accounting import LayerBits
from network.memory.deployed import DeployedAccounting
from network.network import Network
from solver.parameter_sizes import parameter_size
from solver.problem import BITS_PER_BYTE
from tests.builders import network_of
from tests.solver.instances import BOOKS, pointwise

SCHEMES = [
    Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.WEIGHTS),
    Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN),
]
NETWORK = network_of([pointwise("a", "input", 6), pointwise("b", "a", 5)], Shape(3, 4, 4))


class Counted(DeployedAccounting):
    """Accounting that counts how often it is asked."""

    asked = 0

    def parameter_bytes(
        self, network: Network, layer: Layer, scheme: Scheme | None, bits: LayerBits, *, is_last: bool
    ) -> int:
        self.asked += 1
        return super().parameter_bytes(network, layer, scheme, bits, is_last=is_last)


class Coupled(DeployedAccounting):
    """Accounting that counts a table by the bits of the input and of the output together."""

    def parameter_bytes(
        self, network: Network, layer: Layer, scheme: Scheme | None, bits: LayerBits, *, is_last: bool
    ) -> int:
        return super().parameter_bytes(network, layer, scheme, bits, is_last=is_last) + bits.input * bits.output


@pytest.mark.parametrize("accounting", BOOKS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("is_last", [False, True])
def test_the_terms_add_up(accounting: DeployedAccounting, scheme: Scheme, is_last: bool) -> None:
    for layer in NETWORK.layers * 2:  # the second time, the size is known
        size = parameter_size(accounting, NETWORK, layer, scheme, is_last=is_last)
        for read in BITS:
            for written in BITS:
                size_bytes = accounting.parameter_bytes(
                    NETWORK, layer, scheme, LayerBits(read, written), is_last=is_last
                )
                assert size.total(read, written) == BITS_PER_BYTE * size_bytes


def test_a_size_is_counted_once_for_each_accounting() -> None:
    first, second = Counted(), Counted()
    layer = NETWORK.layers[0]
    for accounting in (first, first, second):
        parameter_size(accounting, NETWORK, layer, SCHEMES[1], is_last=False)
    assert (first.asked, second.asked) == (9, 9)


def test_parameters_that_couple_both_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="parameters of layer 'a' that are not a sum of one term by the bits of"):
        parameter_size(Coupled(), NETWORK, NETWORK.layers[0], SCHEMES[1], is_last=False)
