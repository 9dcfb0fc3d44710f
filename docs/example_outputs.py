"""Run the Python examples of docs/python-api.md and write what they print: `python docs/example_outputs.py`.

The examples run in the order of the page, in one namespace, in a temporary folder that contains `digits.onnx`. The
output of an example is the text block right after it; an example without one may print anything.
"""

from __future__ import annotations

import io
import re
import shutil
from contextlib import chdir, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

PAGE: Final = Path(__file__).parent / "python-api.md"
NETWORK: Final = Path(__file__).parents[1] / "examples" / "digits" / "digits.onnx"
_EXAMPLE: Final = re.compile(
    r"^```python\n(?P<code>(?:(?!```).*\n)*)```\n(?P<shown>\n```text\n(?:(?!```).*\n)*```\n)?", re.MULTILINE
)


def with_outputs(text: str, namespace: dict[str, Any]) -> str:
    """Return the text of a page with each shown output replaced by what the Python example before it prints.

    Args:
        text: The page, in Markdown.
        namespace: Variables of the examples, which they read and change.

    Raises:
        Exception: What an example raises.
    """

    def run(example: re.Match[str]) -> str:
        output = _output(example["code"], namespace)
        if example["shown"] is None:
            return example[0]
        return f"```python\n{example['code']}```\n\n```text\n{output}```\n"

    with TemporaryDirectory() as folder:
        shutil.copy(NETWORK, folder)
        with chdir(folder):
            return _EXAMPLE.sub(run, text)


def _output(code: str, namespace: dict[str, Any]) -> str:
    """Run a Python example of a page and return what it prints."""
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with redirect_stdout(printed):
        exec(compile(code, str(PAGE), "exec"), namespace)  # noqa: S102  # the code of this project's own page
    printed.seek(0)
    return printed.read()


def main() -> None:
    """Write the outputs of the Python examples into their page."""
    before = PAGE.read_text(encoding="utf-8")
    after = with_outputs(before, {"__name__": "page"})
    if after != before:
        PAGE.write_text(after, encoding="utf-8")
        print(f"{PAGE.name}: outputs of the examples written")


if __name__ == "__main__":
    main()
