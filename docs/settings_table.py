"""Write the table of the service's settings in `docs/api.md` from their definitions: `python docs/settings_table.py`.

The table stands between two comments, and is replaced as a whole:

    <!-- settings -->
    <!-- end of settings -->
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from api.cli.setting_options import default_text, environment_variable, option_name
from api.settings import Settings

DOCUMENT: Final = Path(__file__).parent / "api.md"
_BLOCK: Final = re.compile(r"^(<!-- settings -->)$.*?^(<!-- end of settings -->)$", re.MULTILINE | re.DOTALL)


def with_table(text: str) -> str:
    """Return the text of a document with its table of settings replaced by the current one.

    Args:
        text: The document, in Markdown.

    Raises:
        ValueError: If the document has no such table, or several.
    """
    table = "\n".join(["| option | variable | default | meaning |", "|---|---|---|---|", *_rows()])
    replaced, count = _BLOCK.subn(lambda block: f"{block[1]}\n{table}\n{block[2]}", text)
    if count != 1:
        raise ValueError(f"the document has {count} tables of settings; expected one between two comments")
    return replaced


def _rows() -> list[str]:
    return [
        f"| `{option_name(field)}` | `{environment_variable(field)}` | `{default_text(field)}` | {field.description} |"
        for field in Settings.model_fields.values()
    ]


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
