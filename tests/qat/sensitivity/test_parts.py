"""A measurement in parts has exactly the figures of one measurement."""

from __future__ import annotations

import numpy as np
import pytest

from network.allocation import WeightScheme
from qat.options.sensitivity import Measure, SensitivityOptions
from qat.progress import Progress
from qat.sensitivity.measuring import measure_sensitivity
from qat.sensitivity.parts import divided
from tests.qat.fan_outs import Pickled
from tests.qat.sensitivity.test_sensitivity import samples_for
from tests.qat.zoo import all_kinds


@pytest.mark.parametrize("width", [2, 5])
def test_the_table_of_parts_is_that_of_the_whole(width: int) -> None:
    network = all_kinds(4)
    samples, labels = samples_for(network, 40), np.arange(40) % 5
    for scheme in (next(iter(WeightScheme)), None):
        options = SensitivityOptions(measure=Measure.MEASURED, scheme=scheme, samples=33)
        whole = measure_sensitivity(network, samples, labels, options)
        places, told = Pickled(width), list[Progress]()
        assert measure_sensitivity(network, samples, labels, options, report=told.append, fan_out=places) == whole
        assert places.widths == [min(width, len(network.tensors) + len(network.weight_layers))]
        assert told[-1].step == told[-1].steps


def test_every_tensor_is_in_one_part() -> None:
    network = all_kinds(4)
    parts = divided(network, 3)
    everything = {("activations", name) for name in network.tensors} | {
        ("weights", layer.name) for layer in network.weight_layers
    }
    assert set().union(*parts) == everything
    assert sum(map(len, parts)) == len(everything)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("measure", [Measure.FISHER, Measure.HESSIAN])
def test_other_measures_are_not_divided(measure: Measure) -> None:
    """They compute all tensors together, by one backward pass."""
    network, places = all_kinds(4), Pickled(4)
    samples, labels = samples_for(network, 20), np.arange(20) % 5
    options = SensitivityOptions(measure=measure, samples=16)
    measure_sensitivity(network, samples, labels, options, fan_out=places)
    assert places.widths == []
