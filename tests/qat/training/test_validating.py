"""Validation in torch, as on a GPU: it gives the same figures of every epoch as the interpreter."""

from __future__ import annotations

import pytest

from deploy.integer_network import IntegerNetwork
from network.allocation import Scheme
from qat.options.names import BestBy
from qat.training import validating
from tests.qat.small_problem import PACT_FOLDED, PER_CHANNEL_ICN, QUICK, trained


@pytest.mark.parametrize("scheme", [PER_CHANNEL_ICN, PACT_FOLDED], ids=str)
@pytest.mark.parametrize("best_by", BestBy)
def test_torch_and_the_interpreter_give_the_same_figures(
    best_by: BestBy, scheme: Scheme, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_interpreter = trained(QUICK.replace(best_by=best_by), scheme)
    monkeypatch.setattr(validating, "computes_in_torch", lambda _processor: True)
    converted: list[IntegerNetwork] = []
    monkeypatch.setattr(validating, "of_integers", converted.append)
    in_torch = trained(QUICK.replace(best_by=best_by), scheme)
    assert len(converted) == len(in_torch.epochs)  # a network without an integer-only form is still refused
    assert in_torch.best_epoch == by_interpreter.best_epoch
    for one, other in zip(in_torch.epochs, by_interpreter.epochs, strict=True):
        assert one.validation_quality == other.validation_quality
        assert one.validation_loss == pytest.approx(other.validation_loss, rel=1e-6)
        assert (one.float_distance is None) == (best_by is BestBy.QUALITY)
        if one.float_distance is not None:
            assert one.float_distance == pytest.approx(other.float_distance, rel=1e-6)
