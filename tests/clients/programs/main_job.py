"""The main job by the client that openapi-python-client generates: `main_job.py URL NETWORK DATA OUT`.

It is written as by a user; mypy --strict checks it beside the generated package.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import httpx
from bitbudget_client import Client
from bitbudget_client.api.datasets import upload_dataset
from bitbudget_client.api.jobs import create_job, get_artifact, get_job
from bitbudget_client.api.networks import fit, upload_network
from bitbudget_client.models import (
    Bits,
    DatasetAnswer,
    FitAnswer,
    FitRequest,
    FitRequestAllowedWeightBits,
    JobAnswer,
    JobRequest,
    JobRequestKind,
    JobState,
    NetworkAnswer,
    TrainingOptions,
    TrainingReport,
    UploadDatasetFilesBody,
    UploadNetworkFilesBody,
)
from bitbudget_client.types import File

FINAL = {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


def main(url: str, network: Path, data: Path, out: Path) -> None:
    client = Client(base_url=url, timeout=httpx.Timeout(120.0))
    file = File(payload=BytesIO(network.read_bytes()), file_name=network.name)
    uploaded = upload_network.sync(client=client, body=UploadNetworkFilesBody(file=file))
    assert isinstance(uploaded, NetworkAnswer), uploaded
    samples = File(payload=BytesIO(data.read_bytes()), file_name=data.name)
    dataset = upload_dataset.sync(client=client, body=UploadDatasetFilesBody(file=samples))
    assert isinstance(dataset, DatasetAnswer), dataset

    bits = FitRequestAllowedWeightBits()
    bits["*"] = [Bits.BITS_8, Bits.BITS_4]
    question = FitRequest(flash=40_000, ram="8 kB", allowed_weight_bits=bits)
    answer = fit.sync(uploaded.id, client=client, body=question)
    assert isinstance(answer, FitAnswer), answer
    assert answer.fits
    assert answer.memory.flash_bytes <= answer.budget.flash_bytes == 40_000

    job = create_job.sync(
        client=client,
        body=JobRequest(
            kind=JobRequestKind.TRAINING,
            network_id=uploaded.id,
            dataset=dataset.id,
            flash="18kB",
            ram=2800,
            training=TrainingOptions(epochs=0, calibration_samples=64),
        ),
        idempotency_key="python",
    )
    assert isinstance(job, JobAnswer), job
    while job.state not in FINAL:
        changed = get_job.sync(job.id, client=client, wait_seconds=60)
        assert isinstance(changed, JobAnswer), changed
        job = changed
    report = job.result
    assert isinstance(report, TrainingReport), job.error
    print(job.id, report.fits, report.regions[0].required_bytes, report.task.value)

    for artifact in job.artifacts:
        content = get_artifact.sync(job.id, artifact.name, client=client)
        assert isinstance(content, File), content
        (out / artifact.name).write_bytes(content.payload.read())


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:5]))
