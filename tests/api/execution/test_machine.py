"""Share of the machine that a job gets, and the limits of a worker process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.execution import machine
from api.settings import Settings


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr(machine, "memory_bytes", lambda: 16_000)


@pytest.mark.usefixtures("eight_cores")
def test_jobs_share_cores_and_memory(tmp_path: Path) -> None:
    for places, expected in ((None, (4, 2, 3000)), (1, (1, 8, 12_000)), (16, (16, 1, 750))):
        settings = Settings(data_directory=tmp_path, max_concurrent_jobs=places)
        shares = machine.job_places(settings), machine.job_threads(settings), machine.job_memory_bytes(settings)
        assert shares == expected
    assert machine.job_memory_bytes(Settings(data_directory=tmp_path, job_memory_bytes=5)) == 5


def test_the_quota_of_a_container_counts(tmp_path: Path) -> None:
    everything = len(os.sched_getaffinity(0)), machine.memory_bytes(tmp_path)
    assert (machine.cores(tmp_path), machine.memory_bytes(tmp_path)) == everything
    for quota, expected in (("50000 100000", 1), ("max 100000", everything[0]), ("99900000 100000", everything[0])):
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
        assert machine.cores(tmp_path) == expected
    for limit, memory in (("max", everything[1]), ("4096000", 4_096_000)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert machine.memory_bytes(tmp_path) == memory


LIMITED = """
import os, sys
from pathlib import Path
from api.execution.worker_limits import is_out_of_memory, limit_worker
import {library}
before = os.getpriority(os.PRIO_PROCESS, 0)
limit_worker(600 * 2**20, 3)
assert os.getpriority(os.PRIO_PROCESS, 0) == min(19, before + 3)
assert int(Path("/proc/self/oom_score_adj").read_text()) >= 500 or not os.access("/proc/self/oom_score_adj", os.W_OK)
{allocate}
try:
    {allocate_much}
except (MemoryError, RuntimeError) as error:
    assert is_out_of_memory(error), error
    print("refused")
assert not is_out_of_memory(RuntimeError("shapes differ"))
"""


@pytest.mark.parametrize(
    ("library", "allocate", "allocate_much"),
    [
        ("numpy", "numpy.ones(10**7)", "numpy.ones(10**9)"),
        ("torch", "torch.ones(10**7)", "torch.ones(10**9)"),
    ],
)
def test_a_worker_cannot_take_the_memory_of_the_machine(library: str, allocate: str, allocate_much: str) -> None:
    code = LIMITED.format(library=library, allocate=allocate, allocate_much=allocate_much)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("refused\n", 0), done.stderr
