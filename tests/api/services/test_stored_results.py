"""The service answers what earlier versions stored."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from api.schemas.job_state import JobState
from api.services.jobs import Jobs
from api.services.networks import Networks
from api.settings import Settings
from api.storage.database import Store

OLD = Path(__file__).parents[1] / "storage" / "databases"


@pytest.mark.parametrize("name", sorted(path.stem for path in OLD.glob("*.sqlite")))
def test_jobs_and_networks_of_earlier_versions_are_answered(tmp_path: Path, name: str) -> None:
    settings = Settings(data_directory=tmp_path)
    shutil.copy(OLD / f"{name}.sqlite", tmp_path / "bitbudget.sqlite")
    store = Store(settings.database)
    jobs = Jobs(store, settings, lambda: None)
    answers = [jobs.job(job.id) for job in store.jobs()]
    assert [answer.state for answer in answers] == [JobState.QUEUED, JobState.SUCCEEDED]
    done = answers[1]
    assert {"report.json", "network.json"} <= {artifact.name for artifact in done.artifacts}
    if name == "version1-first":  # its report had neither an arena nor regions
        assert done.result is None
    else:
        assert done.result is not None
        assert done.result.kind == "training"
        assert done.result.model_dump()["accuracy"] == store.jobs()[1].result["accuracy"]  # type: ignore[index]  # it has one
    network = Networks(store, settings).describe(store.files("network")[0].id)
    assert network.name == "digits"
    store.close()
