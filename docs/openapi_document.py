"""Write the OpenAPI document of a service with default settings: `python docs/openapi_document.py`.

It is kept in `docs/openapi.json`, so that each change of the contract is seen in a review, and clients can be generated
without a service.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from api.http.app import openapi_document
from api.settings import Settings

DOCUMENT: Final = Path(__file__).parent / "openapi.json"


def document_text() -> str:
    """Return the OpenAPI document of a service with default settings, as JSON."""
    defaults = {name: field.default for name, field in Settings.model_fields.items()}  # whatever the environment has
    return json.dumps(openapi_document(Settings(**defaults)), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document_text(), encoding="utf-8")
