"""Backups: everything comes back, into either kind of database, and a backup that is not trusted does no harm."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import re
import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from api.schemas.job_state import JobState
from api.settings import Settings
from api.storage.backup import archive
from api.storage.backup.archive import BackupError
from api.storage.backup.making import make_backup
from api.storage.backup.restoring import restore_backup
from api.storage.backup.rows import TABLES
from api.storage.database import Store
from api.storage.database.schema import SCHEMA_VERSION
from api.storage.records import ApiKey, KeptFile
from tests.api.postgres_server import PostgresServer

JOBS = [f"{number:032x}" for number in range(4)]
NETWORK, DATASET, WEIGHTS = (hashlib.sha256(text).hexdigest() for text in (b"network", b"dataset", b"weights"))


NEW_IN_4 = ("projects", "webhooks")


def settings_of(folder: Path, database_url: str | None = None) -> Settings:
    return Settings(data_directory=folder, database_url=database_url)


def fill(settings: Settings) -> None:
    """Make a data directory with two projects, files, jobs in several states, and what a backup leaves out."""
    data = settings.data_directory
    contents = {
        f"networks/{NETWORK}": b"network",
        f"networks/{NETWORK}.{WEIGHTS}": b"weights",
        f"datasets/{DATASET}.npz": b"dataset" * 100_000,
        f"jobs/{JOBS[0]}/attempt-1/artifacts/report.json": b"{}",
        f"jobs/{JOBS[0]}/log.txt": b"",
        f"jobs/{JOBS[1]}/attempt-1/checkpoint/epoch-1/state.pt": b"state",
    }
    left = {
        "service.lock": b"1", f"networks/.{NETWORK}.1.partial": b"n", f"jobs/{JOBS[1]}/lock": b"2",
        f"jobs/{JOBS[1]}/.staging-1/report.json": b"{", f"derived/{NETWORK}/x": b"x", "incoming/y": b"y",
    }  # fmt: skip
    for name, content in (contents | left).items():
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (data / "jobs" / JOBS[1] / "link").symlink_to("/etc/passwd")

    store = Store(settings.database)
    other = store.of_project("other")
    for view in (store, other):
        view.add_file(KeptFile("network", NETWORK, "n ä", 14, 0.1 + 0.2, {"weight_files": [WEIGHTS], "b": None}))
    store.add_file(KeptFile("dataset", DATASET, "d", 7, 2.0, {}))
    for number, job_id in enumerate(JOBS):
        (other if number == 3 else store).add_job(job_id, {"network_id": NETWORK, "text": "\0 ä"}, f"key{number}")
        if number < 3:
            lease: dict[str, Any] = {"lease_owner": "s", "lease_until": 9e9, "heartbeat_at": 1.0, "progress_at": 2.5}
            store.change_job(job_id, [JobState.QUEUED], state=JobState.RUNNING, attempt=1, **lease)
    digest = hashlib.sha256(b"{}").hexdigest()
    artifacts = [{"name": "report.json", "size_bytes": 2, "sha256": digest}]
    store.change_job(JOBS[0], [JobState.RUNNING], state=JobState.SUCCEEDED, result={"a": 1e-300}, artifacts=artifacts)
    store.change_job(JOBS[2], [JobState.RUNNING], state=JobState.CANCELLING)
    store.add_event(JOBS[1], "warning", {"message": "slow"})
    store.add_api_key(ApiKey("k", "other", "CI", "hash", ["read"], 1.0, None, None, 3.0))
    store.close()


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("bitbudget.sqlite")
    }


def rows_of(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    store = Store(settings.database)
    with store._database.reading() as connection:
        rows = {
            name: [dict(row._mapping) for row in connection.execute(table.select().order_by(*table.primary_key))]
            for name, table in TABLES.items()
        }
    store.close()
    return rows


@pytest.fixture
def made(tmp_path: Path) -> tuple[Settings, Path]:
    """A filled data directory on SQLite, and its backup."""
    settings = settings_of(tmp_path / "data")
    fill(settings)
    summary = make_backup(settings, tmp_path / "backup.tar")
    assert (summary.files, summary.jobs, summary.warnings) == (3, 4, [])
    return settings, tmp_path / "backup.tar"


@pytest.mark.parametrize("onto", ["sqlite", "postgresql"])
def test_everything_comes_back(tmp_path: Path, database_url: str, onto: str, request: pytest.FixtureRequest) -> None:
    source = settings_of(tmp_path / "data", None if database_url.startswith("sqlite") else database_url)
    fill(source)
    target = settings_of(tmp_path / "restored")
    if onto == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        target = settings_of(tmp_path / "restored", postgres.new_database())
    make_backup(source, tmp_path / "backup.tar")
    assert (tmp_path / "backup.tar").stat().st_mode & 0o777 == 0o600
    summary = restore_backup(tmp_path / "backup.tar", target)
    assert (summary.files, summary.jobs) == (3, 4)

    kept = re.compile(rf"networks/{NETWORK}.*|datasets/.*|jobs/\w+/(log.txt|attempt-1/(artifacts|checkpoint)/.*)")
    expected = {name: text for name, text in files_of(source.data_directory).items() if kept.fullmatch(name)}
    assert len(expected) == 6
    assert files_of(target.data_directory) == expected
    before, after = rows_of(source), rows_of(target)
    for table in ("files", "events", "api_keys", "idempotency"):
        assert after[table] == before[table]
        assert after[table]
    ended = {"lease_owner": None, "lease_until": None, "heartbeat_at": None}
    done, running, cancelling, queued = before["jobs"]
    finished_at = after["jobs"][2]["finished_at"]
    assert finished_at is not None
    assert after["jobs"] == [
        done | ended,
        running | ended | {"state": "queued"},
        cancelling | ended | {"state": "cancelled", "finished_at": finished_at},
        queued,
    ]

    store = Store(target.database)  # the numbers go on
    store.add_job("5" * 32, {}, None)
    job = store.job("5" * 32)
    assert job is not None
    assert job.number == 5
    assert store.events(job.id)[0].number > max(row["number"] for row in before["events"])
    store.close()


def test_an_empty_service_can_be_backed_up(tmp_path: Path, database_url: str) -> None:
    source = settings_of(tmp_path / "data", database_url)
    source.data_directory.mkdir()
    Store(database_url).close()
    make_backup(source, tmp_path / "backup.tar")
    restore_backup(tmp_path / "backup.tar", settings_of(tmp_path / "restored"))
    assert rows_of(settings_of(tmp_path / "restored")) == {name: [] for name in TABLES}


def test_a_backup_while_jobs_are_added_is_of_one_moment(tmp_path: Path, database_url: str) -> None:
    settings = settings_of(tmp_path / "data", database_url)
    settings.data_directory.mkdir()
    store = Store(database_url)
    is_done, has_begun = Event(), Event()

    def write() -> None:
        number = 0
        while not is_done.is_set():
            store.add_job(f"{number:032x}", {}, f"key{number}")
            number += 1
            if number == 5:
                has_begun.set()

    writer = Thread(target=write)
    writer.start()
    assert has_begun.wait(30)
    make_backup(settings, tmp_path / "backup.tar")
    is_done.set()
    writer.join()
    store.close()
    restored = settings_of(tmp_path / "restored")
    restore_backup(tmp_path / "backup.tar", restored)
    rows = rows_of(restored)
    assert len(rows["jobs"]) >= 5
    assert {row["id"] for row in rows["jobs"]} == {row["job_id"] for row in rows["events"]}
    assert {row["id"] for row in rows["jobs"]} == {row["job_id"] for row in rows["idempotency"]}


def test_what_is_missing_or_damaged_is_said(tmp_path: Path, made: tuple[Settings, Path]) -> None:
    settings, _ = made
    (settings.data_directory / "datasets" / f"{DATASET}.npz").unlink()
    (settings.data_directory / "jobs" / JOBS[0] / "attempt-1" / "artifacts" / "report.json").write_text("[]")
    summary = make_backup(settings, tmp_path / "second.tar")
    assert summary.warnings == [
        f"the file of the dataset {DATASET} is missing; upload it again",
        f"artifacts of the job {JOBS[0]} are missing or damaged: report.json",
    ]
    assert restore_backup(tmp_path / "second.tar", settings_of(tmp_path / "restored")).files == 2


def test_a_backup_is_not_overwritten_and_needs_a_service(tmp_path: Path, made: tuple[Settings, Path]) -> None:
    settings, path = made
    before = path.read_bytes()
    with pytest.raises(BackupError, match="exists already"):
        make_backup(settings, path)
    assert path.read_bytes() == before
    for folder in (tmp_path / "nothing", tmp_path):
        with pytest.raises(BackupError, match="does not exist"):
            make_backup(settings_of(folder), tmp_path / "new.tar")
    settings.data_directory.joinpath("bitbudget.sqlite").write_bytes(b"damaged" * 1000)
    with pytest.raises(BackupError, match="damaged"):
        make_backup(settings, tmp_path / "new.tar")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["backup.tar", "data"]


def test_the_target_must_be_empty(tmp_path: Path, made: tuple[Settings, Path], postgres: PostgresServer) -> None:
    settings, path = made
    with pytest.raises(BackupError, match="is not empty"):
        restore_backup(path, settings)
    url = postgres.new_database()
    store = Store(url)
    store.add_job("a", {}, None)
    with pytest.raises(BackupError, match="has records already"):
        restore_backup(path, settings_of(tmp_path / "restored", url))
    assert [job.id for job in store.jobs()] == ["a"]
    store.close()
    assert not (tmp_path / "restored").exists()


def test_a_mounted_directory_is_filled(
    tmp_path: Path, made: tuple[Settings, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "mounted"
    target.mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: path == target)
    number = target.stat().st_ino
    restore_backup(made[1], settings_of(target))
    assert target.stat().st_ino == number
    assert sorted(path.name for path in target.iterdir()) == ["bitbudget.sqlite", "datasets", "jobs", "networks"]


Contents = dict[str, bytes]


def contents_of(path: Path) -> tuple[dict[str, Any], Contents]:
    """Return the manifest and the contents of a backup."""
    with tarfile.open(path) as tar:
        *entries, last = (tar.extractfile(member).read() for member in tar)  # type: ignore[union-attr]  # plain files
    manifest = json.loads(last)
    names = [entry["name"] for entry in manifest["entries"]]
    return manifest, dict(zip(names, entries, strict=True))


def write(path: Path, manifest: dict[str, Any], contents: Contents) -> None:
    """Write a backup whose sizes and hashes are right."""
    entries = [
        {"name": name, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    ]
    with tarfile.open(path, "w") as tar:
        for number, content in enumerate([*contents.values(), json.dumps(manifest | {"entries": entries}).encode()], 1):
            member = tarfile.TarInfo("manifest.json" if number > len(contents) else f"{number:06}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def changed_rows(contents: Contents, table: str, **values: Any) -> Contents:
    name = f"database/{table}.jsonl"
    first, *others = contents[name].splitlines()
    return contents | {name: b"\n".join([json.dumps(json.loads(first) | values).encode(), *others, b""])}


def with_file(name: str) -> Callable[[Contents], Contents]:
    return lambda contents: contents | {name: b"x"}


def with_row(table: str, **values: Any) -> Callable[[Contents], Contents]:
    return lambda contents: changed_rows(contents, table, **values)


def without(name: str) -> Callable[[Contents], Contents]:
    return lambda contents: {each: content for each, content in contents.items() if each != name}


HOSTILE: dict[str, tuple[Callable[[Contents], Contents], str]] = {
    "parent": (with_file("networks/../../evil"), "does not write"),
    "absolute": (with_file("/etc/evil"), "does not write"),
    "dots": (with_file(f"jobs/{JOBS[0]}/.."), "does not write"),
    "hidden": (with_file(f"jobs/{JOBS[0]}/.hidden"), "does not write"),
    "lock": (with_file(f"jobs/{JOBS[0]}/lock"), "does not write"),
    "backslash": (with_file(f"jobs/{JOBS[0]}/..\\evil"), "does not write"),
    "line": (with_file(f"networks/{NETWORK}\n"), "does not write"),
    "database": (with_file("bitbudget.sqlite"), "does not write"),
    "file as folder": (with_file(f"jobs/{JOBS[0]}/log.txt/evil"), "cannot restore"),
    "unknown table": (with_file("database/evil.jsonl"), "missing or unknown"),
    "no table": (without("database/jobs.jsonl"), "missing or unknown"),
    "no network": (without(f"networks/{NETWORK}"), "no file for the record"),
    "kind": (with_row("files", kind="../evil"), "no file for the record"),
    "job": (with_row("jobs", id="../evil"), "record of the job '../evil' is invalid"),
    "state": (with_row("jobs", state="evil"), "is invalid"),
    "artifact": (with_row("jobs", artifacts=[{"name": "../../evil"}]), "names an artifact"),
    "artifact type": (with_row("jobs", artifacts=[["evil"]]), "names an artifact"),
    "column": (with_row("jobs", evil=1), "unknown columns"),
    "type": (with_row("jobs", crashes="1"), "invalid value in the column crashes"),
    "boolean": (with_row("jobs", crashes=True), "invalid value in the column crashes"),
    "null": (with_row("jobs", request=None), "invalid value in the column request"),
    "infinity": (with_row("jobs", created_at=float("inf")), "invalid value in the column created_at"),
    "large": (with_row("jobs", number=2**63), "invalid value in the column number"),
    "huge": (with_row("jobs", created_at=10**400), "invalid value in the column created_at"),
    "NUL": (with_row("files", name="\0"), "invalid value in the column name"),
    "surrogate": (with_row("files", name="\ud800"), "invalid value in the column name"),
    "twice": (with_row("jobs", id=JOBS[1]), "refused a record"),
    "not JSON": (lambda contents: contents | {"database/jobs.jsonl": b"{]\n"}, "not JSON"),
    "deep": (lambda contents: contents | {"database/jobs.jsonl": b"[" * 10**6 + b"\n"}, "not JSON"),
    "no end": (lambda contents: contents | {"database/jobs.jsonl": b"{}"}, "incomplete"),
}  # fmt: skip


NOT_PLAIN = [
    tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE,
    tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE,
]  # fmt: skip


def refused(path: Path, folder: Path, match: str) -> None:
    """Check that a backup is refused, and leaves nothing."""
    before = sorted(each.name for each in folder.iterdir())
    with pytest.raises(BackupError, match=match):
        restore_backup(path, settings_of(folder / "new"))
    assert sorted(each.name for each in folder.iterdir()) == before


def test_a_directory_that_was_empty_is_empty_after_a_failure(tmp_path: Path, made: tuple[Settings, Path]) -> None:
    manifest, contents = contents_of(made[1])
    write(tmp_path / "hostile.tar", manifest, changed_rows(contents, "jobs", state="evil"))
    (tmp_path / "target").mkdir()
    with pytest.raises(BackupError, match="is invalid"):
        restore_backup(tmp_path / "hostile.tar", settings_of(tmp_path / "target"))
    assert list((tmp_path / "target").iterdir()) == []


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_backup_is_refused_and_leaves_nothing(tmp_path: Path, made: tuple[Settings, Path], what: str) -> None:
    manifest, contents = contents_of(made[1])
    change, message = HOSTILE[what]
    write(tmp_path / "hostile.tar", manifest, change(contents))
    refused(tmp_path / "hostile.tar", tmp_path, message)


def test_a_rewritten_backup_that_is_not_changed_is_restored(tmp_path: Path, made: tuple[Settings, Path]) -> None:
    write(tmp_path / "same.tar", *contents_of(made[1]))
    assert restore_backup(tmp_path / "same.tar", settings_of(tmp_path / "new")).jobs == 4


def test_a_backup_of_version_3_has_neither_webhooks_nor_sizes(tmp_path: Path, made: tuple[Settings, Path]) -> None:
    manifest, contents = contents_of(made[1])
    kept = {
        name: text for name, text in contents.items() if name not in {f"database/{each}.jsonl" for each in NEW_IN_4}
    }
    assert len(contents) - len(kept) == len(NEW_IN_4)
    jobs = [json.loads(line) for line in kept["database/jobs.jsonl"].splitlines()]
    rows = [{name: value for name, value in job.items() if name not in {"stored_bytes", "used_at"}} for job in jobs]
    kept["database/jobs.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows).encode()
    write(tmp_path / "old.tar", manifest | {"schema_version": 3}, kept)
    restore_backup(tmp_path / "old.tar", settings_of(tmp_path / "new"))
    restored = rows_of(settings_of(tmp_path / "new"))
    assert [job["stored_bytes"] for job in restored["jobs"]] == [2, 0, 0, 0]
    assert restored["webhooks"] == []
    write(tmp_path / "wrong.tar", manifest, kept)
    with pytest.raises(BackupError, match="missing or unknown"):
        restore_backup(tmp_path / "wrong.tar", settings_of(tmp_path / "wrong"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": SCHEMA_VERSION + 1}, "later version"),
        ({"format": archive.FORMAT + 1}, "later version"),
        ({"evil": 1}, "manifest is not readable"),
    ],
)
def test_a_manifest_that_this_version_does_not_know(
    tmp_path: Path, made: tuple[Settings, Path], change: dict[str, Any], message: str
) -> None:
    manifest, contents = contents_of(made[1])
    write(tmp_path / "hostile.tar", manifest | change, contents)
    refused(tmp_path / "hostile.tar", tmp_path, message)


@pytest.mark.parametrize("kind", NOT_PLAIN)
def test_an_entry_that_is_not_a_plain_file_is_refused(tmp_path: Path, made: tuple[Settings, Path], kind: bytes) -> None:
    content = bytearray(made[1].read_bytes())
    header = tarfile.TarInfo.frombuf(bytes(content[:512]), "ascii", "strict")
    header.type = kind
    content[:512] = header.tobuf(tarfile.USTAR_FORMAT)[:512]
    (tmp_path / "hostile.tar").write_bytes(content)
    refused(tmp_path / "hostile.tar", tmp_path, "not a plain file")


def test_a_backup_that_is_cut_off_anywhere_is_refused(tmp_path: Path, made: tuple[Settings, Path]) -> None:
    content = made[1].read_bytes()
    whole = content.rstrip(b"\0")
    for length in (0, 1, 511, 512, 513, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.tar").write_bytes(content[:length])
        refused(tmp_path / "cut.tar", tmp_path, "incomplete")


def test_a_changed_byte_is_found(tmp_path: Path, made: tuple[Settings, Path]) -> None:
    """Whatever byte is changed: the backup is refused, or what it restores is the same."""
    content = made[1].read_bytes()
    restore_backup(made[1], settings_of(tmp_path / "right"))
    right = files_of(tmp_path / "right")
    drawn = random.Random(0)  # noqa: S311  # a test needs the same bytes each time
    used = [index for index, byte in enumerate(content) if byte]
    refusals = 0
    for number, index in enumerate(drawn.sample(used, 25)):
        changed = bytearray(content)
        changed[index] ^= 1 << drawn.randrange(8)
        (tmp_path / "changed.tar").write_bytes(changed)
        target = settings_of(tmp_path / f"target{number}")
        try:
            restore_backup(tmp_path / "changed.tar", target)
        except BackupError:
            refusals += 1
            assert not target.data_directory.exists()
        else:
            assert files_of(target.data_directory) == right
    assert refusals > 20


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, made: tuple[Settings, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", _disk_is_full)
    refused(made[1], tmp_path, "cannot restore into .* No space left on device; nothing was restored")
    with pytest.raises(BackupError, match=r"cannot write the backup .* No space left"):
        make_backup(made[0], tmp_path / "second.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "data"]


def _disk_is_full(_: int) -> None:
    raise OSError(28, "No space left on device")


def test_the_backup_of_an_old_version_leaves_it_as_it_is(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    old = Path(__file__).with_name("databases") / "version1.sqlite"
    (data / "bitbudget.sqlite").write_bytes(old.read_bytes())
    network = "f719d86eaf3c0f1812ae862ec2f05d94612f68961cdd98a5a643ea0710174b55"
    (data / "networks").mkdir()
    (data / "networks" / network).write_bytes(b"network")
    make_backup(settings_of(data), tmp_path / "backup.tar")
    with sqlite3.connect(data / "bitbudget.sqlite") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()
    summary = restore_backup(tmp_path / "backup.tar", settings_of(tmp_path / "restored"))
    assert (summary.files, summary.jobs) == (1, 2)
