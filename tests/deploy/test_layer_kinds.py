"""Every kind of integer layer is handled by name wherever the kind decides: none is taken for another by default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from deploy import consistency, counterparts, description, execution, proof, qdq
from deploy.integer_network import IntegerLayer
from network.errors import ConversionError

DECISIONS: dict[str, Any] = {
    "accumulator bounds": proof._proof,
    "checks": consistency._check_parameters,
    "float layers": counterparts.counterpart,
    "descriptions": description._parameters,
    "execution": execution.executor,
    "ONNX": qdq._computed,
}


def kinds(layer: type[IntegerLayer] = IntegerLayer) -> Iterator[type[IntegerLayer]]:
    for each in layer.__subclasses__():
        if each.__module__.startswith("deploy."):
            yield each
            yield from kinds(each)


@pytest.mark.parametrize("kind", list(kinds()))
@pytest.mark.parametrize("decision", DECISIONS)
def test_every_kind_is_registered(decision: str, kind: type[IntegerLayer]) -> None:
    dispatcher = DECISIONS[decision]
    assert dispatcher.dispatch(kind) is not dispatcher.dispatch(object)


def test_a_kind_that_is_not_registered_has_no_proof() -> None:
    @dataclass(frozen=True, kw_only=True, eq=False)
    class Scan(IntegerLayer):
        kind: ClassVar[str] = "scan"

    with pytest.raises(ConversionError, match="layer 'a' is of kind scan, for which no proof exists"):
        proof._proof(Scan(name="a", inputs=("x",), output="y"), ())
