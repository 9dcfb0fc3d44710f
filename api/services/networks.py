"""Uploaded networks of the service, which are checked on upload and identified by the SHA-256 of their files.

A network that is read with options has an identifier of its own, under which its file is stored.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from api.errors import InUse, NotFound
from api.schemas.networks import NetworkAnswer, NetworkSummary
from api.services.network_descriptions import describe_network, weight_files_of
from api.services.network_files import NetworkFiles, read_files
from api.services.network_structures import NetworkStructures
from api.services.stored_content import add_record, damage_of
from api.services.upload_parsing import ParsedUpload, UploadedWeights, UploadOptions
from api.settings import Settings
from api.storage.blobs import is_digest
from api.storage.database import Store
from api.storage.database.quotas import Limits
from api.storage.derived_files import DerivedFiles
from api.storage.disk_space import DiskReserve
from api.storage.objects.errors import DamagedObject
from api.storage.objects.stored_blobs import blobs_of
from api.storage.records import KeptFile
from api.storage.uploads import Upload
from network.declared_input import DeclaredInput
from network.errors import InvalidNetwork, UnreadableFile
from network.json_reading.description import write_json
from network.network import Network
from network.reading import read_network
from network.reading_options import ReadingOptions

KIND: Final = "network"

MAX_DESCRIPTION_BYTES: Final = 8 * 2**20
"""Largest size of the descriptions of an uploaded network without its weights, in bytes; about 25,000 layers."""


def parse_upload(upload: Upload, options: UploadOptions) -> ParsedUpload:
    """Read an uploaded network in this process; the service does so in a process with limits.

    Args:
        upload: The uploaded files.
        options: Choices of the caller.

    Raises:
        NetworkError: If the upload is not a valid network.
        RequestError: If the upload has files of weights to which the network does not refer.
    """
    weights = UploadedWeights({each.name: each.path for each in upload.weights}, options.name)
    network = read_network(upload.path.read_bytes(), options.name, weights, options.reading)
    weights.refuse_unused()
    parsed = ParsedUpload(
        answer=describe_network(network, upload, options.reading), structure=write_json(network, with_weights=False)
    )
    described_bytes = len(parsed.model_dump_json())
    if described_bytes > MAX_DESCRIPTION_BYTES:
        raise InvalidNetwork(
            f"the network has {len(network.layers)} layers, whose description has {described_bytes} bytes; expected at "
            f"most {MAX_DESCRIPTION_BYTES}: upload a network for a microcontroller"
        )
    return parsed


class Networks:
    """Store of the networks that were uploaded to the service.

    Args:
        store: Database with the records of the files and of the jobs.
        settings: Settings of the service, with the directories.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._limits = Limits.of(settings)
        self._reserve = DiskReserve(settings)
        self._blobs = blobs_of(store, settings, settings.networks_directory)
        self.structures = NetworkStructures(DerivedFiles(settings.derived_directory_of(store.project)))

    def known(self, upload: Upload, options: ReadingOptions) -> NetworkAnswer | None:
        """Return the description of the same upload if it is stored already, and replace its files; otherwise None."""
        network_id = options.identity(upload.digest)
        with self._blobs.locked(network_id):
            known = self._store.file(KIND, network_id)
            if known is None:
                return None
            # A fault of the disk may have damaged what was stored.
            self._blobs.keep(network_id, upload.path, {each.digest: each.path for each in upload.weights})
            self._store.note_file_use(KIND, network_id)
        return NetworkAnswer.model_validate(known.summary)

    def require_room(self, upload: Upload) -> None:
        """Refuse a new upload at once if the quota of the project has no room for it (`QuotaExceeded`)."""
        self._store.require_room(upload.size_bytes, self._limits)

    def keep(self, upload: Upload, options: ReadingOptions, parsed: ParsedUpload) -> tuple[NetworkAnswer, bool]:
        """Store an uploaded network that was parsed, unless the same upload with the same options is stored already.

        Args:
            upload: The uploaded files.
            options: Options with which the network is read from the file, now and later.
            parsed: What was read from the files.

        Returns:
            The description of the network, and whether the network is new.

        Raises:
            QuotaExceeded: If the quota of the project has no room for the network, which is not stored.
        """
        network_id = options.identity(upload.digest)
        # The process that reads untrusted files describes the network; what identifies the files is known here.
        identity = {"id": network_id, "size_bytes": upload.size_bytes, "weight_files": weight_files_of(upload)}
        answer = parsed.answer.model_copy(update=identity)
        with self._blobs.locked(network_id):
            self._blobs.keep(network_id, upload.path, {each.digest: each.path for each in upload.weights})
            self.structures.keep(network_id, parsed.structure)
            record = KeptFile(
                kind=KIND,
                id=network_id,
                name=upload.name,
                size_bytes=upload.size_bytes,
                created_at=answer.created_at.timestamp(),
                summary=answer.model_dump(mode="json"),
            )
            is_new = add_record(record, self._store, self._blobs, self._limits)
        return (answer, True) if is_new else (self.describe(network_id), False)

    def describe(self, network_id: str) -> NetworkAnswer:
        """Return the description of an uploaded network.

        Raises:
            NotFound: If the network does not exist.
        """
        return NetworkAnswer.model_validate(self._file(network_id).summary)

    def page(
        self, limit: int, before: tuple[float, str] | None
    ) -> tuple[list[NetworkSummary], tuple[float, str] | None]:
        """Return short descriptions of some networks, newest first, without reading their layers.

        Args:
            limit: Largest number of networks.
            before: Position of the last network of the page before; None for the first page.

        Returns:
            The networks; the position of the last one, None if no further network exists.
        """
        files = self._store.files_page(KIND, limit, before, NetworkSummary.model_fields)
        page = [NetworkSummary.model_validate(file.summary) for file in files[:limit]]
        last = files[limit - 1] if len(files) > limit else None
        return page, None if last is None else (last.created_at, last.id)

    def delete(self, network_id: str, unused_since: float | None = None) -> None:
        """Delete an uploaded network; raise an error if an unfinished job uses the network.

        Args:
            network_id: Identifier of the network.
            unused_since: Unix time in seconds; a network that was used later counts as in use. None: it does not.

        Raises:
            NotFound: If the network does not exist.
            InUse: If an unfinished job uses the network.
        """
        self._file(network_id)
        with self._blobs.locked(network_id):
            if not self._reserve.with_room(lambda: self._store.delete_file(KIND, network_id, unused_since)):
                raise InUse(
                    f"an unfinished job uses the network {network_id}; cancel the job, or wait until it has finished"
                )
            if not self._store.has_file_in_any_project(KIND, network_id):
                self._blobs.delete(network_id)
        self.structures.forget(network_id)

    def require(self, network_id: str) -> None:
        """Check that a network exists, without reading its description.

        Raises:
            NotFound: If the network does not exist.
        """
        if not self.exists(network_id):
            raise _not_found(network_id)

    def exists(self, network_id: str) -> bool:
        """Return whether a network exists, and note that it is used; its description is not read."""
        return is_digest(network_id) and self._store.note_file_use(KIND, network_id)

    def files(self, network_id: str, holds: ExitStack, *, is_checked: bool = False) -> NetworkFiles:
        """Return the files of an uploaded network on the local disk, and the options with which it is read.

        Args:
            network_id: Identifier of the network.
            holds: Stack that releases copies of files when it is closed.
            is_checked: Whether copies that are on the disk already are compared with their SHA-256.

        Raises:
            NotFound: If the network does not exist.
            UnreadableFile: If a file is damaged or missing in the store.
            StoreUnavailable: If the store does not answer.
        """
        file = self._file(network_id)
        answer = NetworkAnswer.model_validate(file.summary)
        parts = {each.sha256 for each in answer.weight_files}
        try:
            path, paths = self._blobs.held(network_id, parts, holds, is_checked=is_checked)
        except DamagedObject as error:
            raise UnreadableFile(str(error)) from error
        weights = {each.name: paths[each.sha256] for each in answer.weight_files}
        return NetworkFiles(path=path, weights=weights, name=file.name, reading=_options_of(answer))

    def with_weights(self, network_id: str) -> Network:
        """Read an uploaded network with its weights from its files; only the worker of a job does so.

        Raises:
            NotFound: If the network does not exist.
            UnreadableFile: If a stored file is damaged or missing.
            StoreUnavailable: If the store does not answer.
        """
        with ExitStack() as holds:
            files = self.files(network_id, holds, is_checked=True)
            is_of_file = files.reading.identity(network_id) == network_id  # not so with options
            if is_of_file and (damage := damage_of(network_id, files.path, files.weights)):
                raise UnreadableFile(damage)
            return read_files(files)

    def _file(self, network_id: str) -> KeptFile:
        file = self._store.file(KIND, network_id) if is_digest(network_id) else None
        if file is None:
            raise _not_found(network_id)
        return file


def _not_found(network_id: str) -> NotFound:
    return NotFound(f"the network {network_id[:64]!r} does not exist; upload it with POST /v1/networks")


def _options_of(answer: NetworkAnswer) -> ReadingOptions:
    """Return the options with which a stored network is read from its file."""
    given = answer.reading_options
    shapes, outputs = (given.input_shape, given.output) if given else ((), ())
    declared = DeclaredInput.of(answer.input_mean, answer.input_scale)
    return replace(ReadingOptions.of_texts(shapes, outputs), declared=declared)
