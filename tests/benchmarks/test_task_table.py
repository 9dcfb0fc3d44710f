"""The table of tasks: its rows are measured, at half the flash of 8 bits."""

from __future__ import annotations

import bitbudget
from benchmarks.task_table import measured, table
from examples.tasks.problems import prices
from examples.tasks.train_tasks import trained_network
from qat.options.task import Metric


def test_a_row_is_measured_at_half_the_flash_of_eight_bits() -> None:
    problem = prices()
    network = trained_network(problem, epochs=5)
    row = measured("prices", network, problem.dataset, epochs=1)
    assert (row.task, row.metric) == ("regression", Metric.R2)
    whole = bitbudget.fit(network, flash="1MB", ram="1MB", accounting="paper", allowed_weight_bits={"*": [8]})
    assert row.flash_bytes <= whole.answer.memory.flash_bytes / 2
    assert row.float_network is not None
    assert row.trained != row.calibrated
    assert "| prices | `regression` |" in " ".join(table([row]).split())
