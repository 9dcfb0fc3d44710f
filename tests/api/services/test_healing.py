"""A stored file that is damaged or missing is healed by a new upload of the same content."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.local_service import local_service
from tests.api.small_files import tiny_dataset, tiny_json


@pytest.mark.parametrize("kind", ["networks", "datasets"])
def test_a_new_upload_heals_the_stored_file(tmp_path: Path, kind: str) -> None:
    content, name = (tiny_json(), "tiny.json") if kind == "networks" else (tiny_dataset(), "data.npz")
    with local_service(tmp_path) as (_, client):
        first = client.post(f"/v1/{kind}", files={"file": (name, content)})
        assert first.status_code == 201
        (stored,) = (path for path in (tmp_path / kind).iterdir() if path.is_file())
        assert stored.read_bytes() == content
        for fault in ("damaged", "missing"):
            stored.unlink()
            if fault == "damaged":
                stored.write_bytes(b"zeros")
            again = client.post(f"/v1/{kind}", files={"file": (name, content)})
            assert again.status_code == 200
            assert again.json() == first.json()
            assert stored.read_bytes() == content
        assert client.delete(f"/v1/{kind}/{first.json()['id']}").status_code == 204
        assert not stored.exists()
