"""The arena's kept instances are what their seeds give, and are as hard as they say."""

from __future__ import annotations

from pathlib import Path

from benchmarks.arena import INSTANCES, by_size, cut_tensors, generated, read, write
from network.arena.plan import plan_arena


def test_the_kept_files_are_those_of_the_generator(tmp_path: Path) -> None:
    write(tmp_path)
    kept = {file.name: file.read_text() for file in INSTANCES.glob("*.csv")}
    assert kept == {file.name: file.read_text() for file in tmp_path.iterdir()}
    for name, tensors in generated():
        assert read(INSTANCES / f"{name}.csv") == tensors


def test_a_cut_rectangle_is_full() -> None:
    """Its pieces fill it: a plan without a gap exists, the planner finds it, and the greedy one does not."""
    tensors = cut_tensors(50, 11)
    assert sum((each.end - each.start) * each.size_bytes for each in tensors) == 50 * 1000
    plan = plan_arena(tensors)
    assert (plan.arena_bytes, plan.lower_bound_bytes) == (1000, 1000)
    assert by_size(tensors) > 1000
