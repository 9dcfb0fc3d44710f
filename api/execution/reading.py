"""Uploads and datasets of the service: processes with limits read them, and the service keeps what they describe."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

from anyio import to_thread

from api.execution.task_requests import (
    CHECK_DATASET,
    PARSE,
    READ_DATASET,
    CheckRequest,
    DatasetFile,
    ReadDataset,
)
from api.execution.workers import Workers
from api.schemas.datasets import DatasetAnswer, DatasetOrigin
from api.schemas.jobs import DIGITS, DatasetJobRequest
from api.schemas.networks import NetworkAnswer
from api.services.dataset_descriptions import describe_dataset
from api.services.datasets import BUILT_IN, Datasets, Position
from api.services.network_structures import DamagedFile
from api.services.networks import Networks
from api.services.upload_parsing import ParsedUpload, UploadOptions, UploadRequest
from api.storage.uploads import Upload
from network.reading_options import AS_IN_FILE, ReadingOptions
from qat.data.unseen import UnseenSamples, without_samples


class Reads:
    """Reading of uploads and datasets, for the event loop of the service; a cancelled call kills its process.

    All methods raise `Busy` if too many requests wait, and `ReadingLimit` if a file needs too much time or memory.

    Args:
        networks: The uploaded networks.
        datasets: The datasets.
        workers: Processes that read.
    """

    def __init__(self, networks: Networks, datasets: Datasets, workers: Workers) -> None:
        self._networks = networks
        self._datasets = datasets
        self._workers = workers
        self._digits: DatasetAnswer | None = None
        self._reading_digits = asyncio.Lock()

    async def keep_network(self, upload: Upload, reading: ReadingOptions = AS_IN_FILE) -> tuple[NetworkAnswer, bool]:
        """Read and store an uploaded network, unless the same upload with the same options is stored already.

        Args:
            upload: The uploaded files.
            reading: Options with which the network is read from the file, now and later.

        Returns:
            The description of the network, and whether the network is new.

        Raises:
            NetworkError: If the file is not a valid network; it is not stored.
            RequestError: If the upload has files of weights to which the network does not refer, or the options
                contradict the file; it is not stored.
        """
        known = await to_thread.run_sync(self._networks.known, upload, reading)
        if known is not None:
            return known, False
        await to_thread.run_sync(self._networks.require_room, upload)
        request = UploadRequest(upload=upload, options=UploadOptions(upload.name, reading)).model_dump_json().encode()
        readable = (upload.path, *(each.path for each in upload.weights))
        answer = await self._workers.read_network(PARSE, request, readable)

        def keep() -> tuple[NetworkAnswer, bool]:
            return self._networks.keep(upload, reading, ParsedUpload.model_validate_json(answer))

        return await to_thread.run_sync(keep)

    def require_room_for_dataset(self, size_bytes: int) -> None:
        """Refuse a dataset before it arrives if the quota of the project has no room for it (`QuotaExceeded`)."""
        self._datasets.require_room(size_bytes)

    async def keep_dataset(self, upload: Upload) -> tuple[DatasetAnswer, bool]:
        """Read and store an uploaded dataset, unless the same content is stored already.

        Args:
            upload: The uploaded file.

        Returns:
            The description of the dataset, and whether the dataset is new.

        Raises:
            DatasetError: If the file is not a valid dataset; it is not stored.
            QuotaExceeded: If the quota of the project has no room for it; it is not stored.
        """
        known = await to_thread.run_sync(self._datasets.known, upload)
        if known is not None:
            return known, False
        await to_thread.run_sync(self._datasets.require_room, upload.size_bytes)
        read = await self._read(
            self._file(upload.digest, upload.name, DatasetOrigin.UPLOADED, upload.path, upload.size_bytes)
        )
        return await to_thread.run_sync(self._datasets.keep, upload, read.answer, read.sketch)

    async def describe_dataset(self, dataset_id: str) -> DatasetAnswer:
        """Return the description of a dataset.

        Args:
            dataset_id: SHA-256 of an upload in hexadecimal, name of an operator's dataset, "digits", or "none".

        Raises:
            NotFound: If the dataset does not exist.
            RequestError: If the name of a dataset without samples is not valid.
            DatasetError: If an operator's dataset cannot be read.
        """
        if dataset_id == DIGITS:
            return await self._described_digits()
        unseen = without_samples(dataset_id)
        if unseen is not None:
            return describe_dataset(unseen, dataset_id, DatasetOrigin.BUILT_IN)
        origin, path, name = await to_thread.run_sync(self._datasets.origin, dataset_id)
        if origin is DatasetOrigin.UPLOADED:
            return await to_thread.run_sync(self._datasets.kept, dataset_id)
        return (await self._read(self._file(dataset_id, name, origin, path))).answer

    async def dataset_page(self, limit: int, after: Position | None) -> tuple[list[DatasetAnswer], Position | None]:
        """Describe some datasets: the built-in one, the operator's by name, then the uploaded ones, newest first.

        Args:
            limit: Largest number of datasets.
            after: Position of the last dataset of the page before; None for the first page.

        Returns:
            The datasets; the position of the last one, None if no further dataset exists.
        """
        found: list[tuple[Position, DatasetAnswer]] = []
        if after is None:
            found.append(((BUILT_IN, 0.0, DIGITS), await self._described_digits()))
        found += await to_thread.run_sync(self._datasets.summaries, limit + 1 - len(found), after)
        page = found[:limit]
        return [answer for _, answer in page], page[-1][0] if len(found) > limit else None

    async def check_dataset(self, request: DatasetJobRequest, document: str, structure: Path) -> None:
        """Check that the dataset of a job suits its network and its options, by the sketch that was kept at upload.

        A dataset without a sketch, such as an operator's, is read.

        Args:
            request: Request for the job.
            document: The request as JSON.
            structure: File with the JSON description of the network's layers.

        Raises:
            NotFound: If the dataset does not exist.
            DatasetError, RequestError: If the dataset does not suit the network or the options.
        """
        if UnseenSamples.of(request.dataset) is not None:
            unseen = self._file(request.dataset, request.dataset, DatasetOrigin.BUILT_IN, None)
            await self._check(document, structure, None, unseen)
            return
        origin, path, name = await to_thread.run_sync(self._datasets.origin, request.dataset)
        file = self._file(request.dataset, name, origin, path)
        sketch = None if origin is DatasetOrigin.OPERATOR else self._datasets.sketch_path(request.dataset)
        if sketch is not None or origin is DatasetOrigin.OPERATOR:
            try:
                await self._check(document, structure, sketch, file)
            except DamagedFile:
                sketch = None
            else:
                return
        with ExitStack() as holds:
            if origin is DatasetOrigin.UPLOADED:
                path = await to_thread.run_sync(self._datasets.held, request.dataset, holds)
                file = file.model_copy(update={"path": path})
            await self._check(document, structure, await self._sketched(file), file)

    async def _check(self, document: str, structure: Path, sketch: Path | None, file: DatasetFile) -> None:
        task = CheckRequest(request=document, structure=structure, sketch=sketch, dataset=file)
        data = sketch if sketch is not None else file.path
        readable = (structure,) if data is None else (structure, data)
        run = self._workers.read_network if sketch is not None else self._workers.read_dataset
        await run(CHECK_DATASET, task.model_dump_json().encode(), readable)

    async def _sketched(self, file: DatasetFile) -> Path | None:
        """Read a dataset to make its sketch again; return the path of the sketch, None if it has none."""
        read = await self._read(file)
        await to_thread.run_sync(self._datasets.keep_sketch, file.id, read.sketch)
        return self._datasets.sketch_path(file.id)

    async def _described_digits(self) -> DatasetAnswer:
        async with self._reading_digits:
            if self._digits is None:
                file = self._file(DIGITS, DIGITS, DatasetOrigin.BUILT_IN, None)
                read = await self._read(file)
                await to_thread.run_sync(self._datasets.keep_sketch, DIGITS, read.sketch)
                self._digits = read.answer
            return self._digits

    async def _read(self, file: DatasetFile) -> ReadDataset:
        readable = () if file.path is None else (file.path.resolve(),)
        answer = await self._workers.read_dataset(READ_DATASET, file.model_dump_json().encode(), readable)
        return await to_thread.run_sync(ReadDataset.model_validate_json, answer)

    def _file(
        self, dataset_id: str, name: str, origin: DatasetOrigin, path: Path | None, size_bytes: int | None = None
    ) -> DatasetFile:  # fmt: skip
        return DatasetFile(
            id=dataset_id,
            name=name,
            origin=origin,
            path=path,
            size_bytes=size_bytes,
            max_bytes=self._datasets.max_bytes,
        )
