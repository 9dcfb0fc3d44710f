"""A program whose optimum the presolve of HiGHS 1.12 removes: the backends must agree on the optimum without it."""

from __future__ import annotations

import pytest

from benchmarks import networks
from network.allocation import WeightScheme
from network.budget import Budget
from network.memory.books import accounting_named
from network.sensitivity.from_weights import weight_sensitivity
from solver.fit import fit
from solver.options import LayerOrder, SolveOptions
from solver.question import Question
from solver.validator import violations

OPTIMUM = 0.6237394505626229  # by the native backend; HiGHS 1.12 with presolve "proves" 0.7638


@pytest.mark.parametrize("backend", ["native", "highs"])
def test_the_optimum_is_kept(backend: str) -> None:
    network = networks.unet()
    question = Question(
        network=network,
        budget=Budget(256_000, 256_000),
        accounting=accounting_named("paper"),
        sensitivity=weight_sensitivity(network),
        options=SolveOptions(scheme=WeightScheme.PER_LAYER_ASYM_PACT, schedule=LayerOrder.GIVEN, backend=backend),
    )
    solution = fit(question)
    assert violations(question, solution) == []
    assert solution.objective == pytest.approx(OPTIMUM, rel=1e-9)
    assert solution.bound == pytest.approx(OPTIMUM, rel=1e-9)
