"""Input of a training job, read from the stores of the service, wherever the network is trained."""

from __future__ import annotations

from api.operations.train import MainJob
from api.schemas.answer import NetworkName
from api.schemas.jobs import DatasetJobRequest, JobRequest
from api.services.datasets import Datasets
from api.services.networks import Networks
from api.settings import Settings
from api.storage.database import Store
from qat.data.dataset import Dataset
from qat.data.label_offset import with_label_offset


def dataset_of(store: Store, settings: Settings, request: DatasetJobRequest) -> Dataset:
    """Return the dataset of a job, with the labels that its request asks for.

    Args:
        store: The database, for the project of the job.
        settings: Settings of the worker.
        request: Request of the job.
    """
    return with_label_offset(Datasets(store, settings).load(request.dataset), request.label_offset)


def main_job_of(store: Store, settings: Settings, request: JobRequest) -> MainJob:
    """Return the network, the dataset and the options of a training job.

    Args:
        store: The database, for the project of the job.
        settings: Settings of the worker.
        request: Request of the job.
    """
    network = Networks(store, settings).with_weights(request.network_id)
    return MainJob(
        network=network,
        network_name=NetworkName(id=request.network_id, name=network.name),
        request=request,
        dataset=dataset_of(store, settings, request),
        options=request.training,
        is_known_to_fit=True,  # the service has checked it before it queued the job
    )
