"""Keys of a running service: made, used, rotated and revoked by the command."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli.main import run
from api.http.security.authentication import FRESH_SECONDS
from api.services.access import Scope
from api.services.access_keys import KeyRing, create_key, revoke_key, rotate_key
from api.storage.database import Store
from network.errors import BitbudgetError
from tests.api.http.test_load import wait_until
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import LiveService
from tests.api.small_files import tiny_json


def keys(data: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Run `bitbudget keys` with --json and return what it prints."""
    assert run(["keys", *arguments, "--data", str(data), "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "bitbudget.sqlite")
    yield opened
    opened.close()


def test_only_the_hash_is_stored(tmp_path: Path, store: Store) -> None:
    new = create_key(store, "phones", "nightly build", [Scope.SOLVE, Scope.READ], None)
    prefix, key_id, secret = new.text.split("_", 2)
    assert (prefix, key_id, len(secret)) == ("bb", new.record.id, 43)
    assert new.record.hash == hashlib.sha256(secret.encode()).hexdigest()
    assert new.record.scopes == ["read", "solve"]
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert new.record.hash.encode() in files
    assert secret.encode() not in files


def test_a_ring_knows_its_keys_and_nothing_else(store: Store) -> None:
    now = time.time()
    good = create_key(store, "phones", "good", [Scope.READ], 60)
    revoked = create_key(store, "phones", "revoked", [Scope.READ], None)
    revoke_key(store, revoked.record.id)
    other = create_key(store, "watches", "other", [Scope.ADMIN], None)
    ring = KeyRing(store.api_keys_of_all_projects())
    access = ring.access(good.text, now)
    assert access is not None
    assert (access.project, access.key_id) == ("phones", good.record.id)
    assert [scope for scope in Scope if access.allows(scope)] == [Scope.READ]
    everything = ring.access(other.text, now)
    assert everything is not None
    assert all(map(everything.allows, Scope))
    swapped = f"bb_{good.record.id}_{other.text.split('_', 2)[2]}"
    unknown = f"bb_{'0' * 12}_{good.text.split('_', 2)[2]}"
    wrong = [
        revoked.text,
        swapped,
        unknown,
        good.text[:-1],
        good.text + "A",
        good.text.upper(),
        "",
        "bb__",
        f" {good.text}",
    ]
    assert [text for text in wrong if ring.access(text, now) is not None] == []
    assert ring.access(good.text, now + 59) is not None
    assert ring.access(good.text, now + 61) is None


def test_a_rotated_key_expires_and_the_new_one_has_its_rights(store: Store) -> None:
    old = create_key(store, "phones", "build", [Scope.TRAIN], 1000)
    new = rotate_key(store, old.text, 10)
    assert new.text != old.text
    assert (new.record.project, new.record.name, new.record.scopes) == ("phones", "build", ["train"])
    assert new.record.expires_at == pytest.approx(time.time() + 1000, abs=30)
    ring = KeyRing(store.api_keys_of_all_projects())
    assert ring.access(old.text, time.time()) is not None
    assert ring.access(old.text, time.time() + 11) is None
    assert ring.access(new.text, time.time() + 11) is not None
    revoke_key(store, new.record.id)
    revoke_key(store, new.record.id)
    for key, message in ((new.record.id, "was revoked or has expired"), ("0" * 12, "does not exist")):
        with pytest.raises(BitbudgetError, match=message):
            rotate_key(store, key, 10)


@pytest.mark.parametrize(
    ("project", "name", "scopes", "message"),
    [
        ("../etc", "n", [Scope.READ], "the project '../etc' is not a valid name"),
        ("", "n", [Scope.READ], "the project '' is not a valid name"),
        ("p", "", [Scope.READ], "the name of the key is not valid"),
        ("p", "a\nb", [Scope.READ], "the name of the key is not valid"),
        ("p", "n", [], "the key has no scope"),
    ],
)
def test_wrong_keys_are_not_made(store: Store, project: str, name: str, scopes: list[Scope], message: str) -> None:
    with pytest.raises(BitbudgetError, match=message):
        create_key(store, project, name, scopes, None)
    assert store.api_keys_of_all_projects() == []


def test_the_command_shows_a_key_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    assert run(["keys", "create", "build", "--data", str(data)]) == 0
    output = capsys.readouterr()
    key = output.out.strip()
    assert key.startswith("bb_")
    assert "gives read, solve, train in the project default; it expires: never" in output.err
    (listed,) = keys(data, capsys, "list")
    assert (listed["name"], listed["state"], listed["expires_at"]) == ("build", "valid", None)
    assert key.split("_", 2)[2] not in json.dumps(listed)
    new = keys(data, capsys, "rotate", listed["id"], "--overlap-hours", "0")
    assert new["key"] != key
    assert keys(data, capsys, "revoke", new["id"])["state"] == "revoked"
    assert [each["state"] for each in keys(data, capsys, "list")] == ["expired", "revoked"]
    assert keys(data, capsys, "list", "--project", "phones") == []
    assert run(["keys", "list", "--data", str(data)]) == 0
    assert capsys.readouterr().out.split()[:3] == ["id", "project", "name"]
    assert run(["keys", "revoke", "000000000000", "--data", str(data)]) == 2
    assert "bitbudget keys list shows the identifiers" in capsys.readouterr().err


def test_a_running_service_needs_a_key_as_soon_as_there_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    with LiveService(data) as service:
        open_id = service.upload_network(tiny_json())
        reader = keys(data, capsys, "create", "reader", "--scope", "read", "--days", "1")
        wait_until(lambda: service.http.get("/v1/networks").status_code == 401, FRESH_SECONDS + 10)
        missing = service.http.get("/v1/networks")
        assert "the request has no key" in assert_problem(missing, 401, "unauthorized")
        assert missing.headers["www-authenticate"] == 'Bearer realm="bitbudget"'
        wrong = service.http.get("/v1/networks", headers=bearer(f"bb_{reader['id']}_{'A' * 43}"))
        assert "is unknown, was revoked or has expired" in assert_problem(wrong, 401, "unauthorized")
        assert wrong.headers["www-authenticate"] == 'Bearer realm="bitbudget", error="invalid_token"'
        for header in ("Basic dTpw", reader["key"], "Bearer", f"Bearer {reader['key']} x"):
            assert service.http.get("/v1/networks", headers={"Authorization": header}).status_code == 401, header
        twice = httpx.get(
            f"{service.url}/v1/networks", headers=[("Authorization", f"Bearer {reader['key']}"), ("Authorization", "x")]
        )
        assert twice.status_code == 401
        for path in ("/healthz", "/readyz", "/openapi.json", "/docs"):
            assert service.http.get(path).is_success, path
        for path in ("/", "/v1", "/metrics", "/problems", "/nothing", "/v1/jobs"):
            assert service.http.get(path).status_code == 401, path

        with_key = bearer(reader["key"])
        assert open_id in service.http.get("/v1/networks", headers=with_key).text, "the project default"
        upload = service.http.post("/v1/networks", headers=with_key, content=tiny_json())
        assert "needs the scope solve" in assert_problem(upload, 403, "forbidden")
        assert upload.headers["www-authenticate"].endswith('error="insufficient_scope", scope="solve"')
        (listed,) = keys(data, capsys, "list")
        assert listed["last_used_at"] is None or listed["last_used_at"] > listed["created_at"]

        keys(data, capsys, "revoke", reader["id"])
        wait_until(lambda: service.http.get("/v1/networks", headers=with_key).status_code == 401, FRESH_SECONDS + 10)
        assert service.http.get("/v1/networks").status_code == 401, "revoking the last key does not open the service"
        (listed,) = keys(data, capsys, "list")
        assert listed["last_used_at"] is not None
    with sqlite3.connect(data / "bitbudget.sqlite") as database:
        assert database.execute("SELECT count(*) FROM api_keys").fetchone() == (1,)


def test_with_a_key_the_service_may_listen_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    key = keys(data, capsys, "create", "build")["key"]
    with LiveService(data, "--requests-per-minute=3", "--host=0.0.0.0") as service:
        statuses = [service.http.get("/v1/devices", headers=bearer(key)).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        refused = service.http.get("/v1/devices", headers=bearer(key))
        assert "more than 3 requests in a minute" in assert_problem(refused, 429, "rate-limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert service.http.get("/healthz").is_success
