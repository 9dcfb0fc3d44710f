"""Write the tables of options in `docs/*.md` from the fields of pydantic models: `python docs/option_tables.py`.

A table stands between two comments, and is replaced as a whole. The first comment names the model, and after a colon
the fields of this table; without a colon the table has all fields:

    <!-- options: qat.options.training.TrainingOptions: epochs, batch_size -->
    <!-- end of options -->
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

from network.option_fields import OptionField, ValueKind, option_fields
from network.options import Options

DOCUMENTS: Final = Path(__file__).parent
_BLOCK: Final = re.compile(
    r"^(?P<begin><!-- options: (?P<model>[\w.]+)(?:: (?P<names>[\w, \n]+?))? -->)$"
    r".*?^(?P<end><!-- end of options -->)$",
    re.MULTILINE | re.DOTALL,
)
_ARXIV: Final = re.compile(r"arXiv (\d{4}\.\d{4,5})")


def with_tables(text: str) -> str:
    """Return the text of a document with each of its tables of options replaced by its current content.

    Args:
        text: The document, in Markdown.

    Raises:
        ValueError: if a comment names a model or a field that does not exist.
    """
    return _BLOCK.sub(lambda block: f"{block['begin']}\n{_table(*_chosen(block))}{block['end']}", text)


def listed_fields(text: str) -> Iterator[tuple[str, str]]:
    """Yield, for each field that a document's tables list, the dotted path of its model and its name.

    Args:
        text: The document, in Markdown.

    Raises:
        ValueError: if a comment names a model or a field that does not exist.
    """
    for block in _BLOCK.finditer(text):
        yield from ((block["model"], field.name) for field in _chosen(block)[0])


def model_at(path: str) -> type[Options]:
    """Return the pydantic model of options at a dotted path, such as `qat.options.training.TrainingOptions`.

    Raises:
        ValueError: if there is no such model.
    """
    module, _, name = path.rpartition(".")
    try:
        model = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        raise ValueError(f"the class {path!r} does not exist; expected a path such as module.Class") from None
    if not isinstance(model, type) or not issubclass(model, Options):
        raise ValueError(f"{path!r} is not a class of options; expected a subclass of network.options.Options")
    return model


def _chosen(block: re.Match[str]) -> tuple[list[OptionField], frozenset[str]]:
    """Return the pydantic fields that a table of options lists, and the names of all fields of their model."""
    fields = {field.name: field for field in option_fields(model_at(block["model"]))}
    names = [name.strip() for name in block["names"].split(",")] if block["names"] else list(fields)
    if unknown := [name for name in names if name not in fields]:
        raise ValueError(f"{block['model']} has no field {', '.join(unknown)}; it has {', '.join(fields)}")
    return [fields[name] for name in names], frozenset(fields)


def _table(fields: list[OptionField], names: frozenset[str]) -> str:
    rows = ["| option | default | values | description |", "|---|---|---|---|"]
    rows += [
        f"| `{field.name}` | {_default(field)} | {_values(field)} | {_description(field.description, names)} |"
        for field in fields
    ]
    return "".join(f"{row}\n" for row in rows)


def _default(field: OptionField) -> str:
    value = field.default
    if value is None:
        return "required" if field.is_required else "none"
    if isinstance(value, str):
        return f"`{value}`"
    return "empty" if value in ([], {}) else json.dumps(value)


def _values(field: OptionField) -> str:
    texts = [_kind_text(kind) for kind in field.kinds]
    return ", or ".join([*texts, "none"] if field.is_nullable else texts)


def _kind_text(kind: ValueKind) -> str:
    match kind:
        case ValueKind(choices=(_, *_)):
            text = ", ".join(f"`{name}`" for name in kind.choices)
        case ValueKind(type="boolean"):
            text = "`true`, `false`"
        case ValueKind(type="integer" | "number"):
            what = "whole number" if kind.type == "integer" else "number"
            text = f"{what}, {kind.range_text}" if kind.range_text else what
        case ValueKind(type="array", values=ValueKind() as element):
            text = f"list of {_kind_text(element)}"
        case ValueKind(type="array"):
            text = "list"
        case ValueKind(type="object", values=ValueKind() as value):
            text = f"names, each with {_kind_text(value)}"
        case ValueKind(type="object"):
            text = f"`{kind.model}`"
        case ValueKind(examples=(_, *_)):
            text = f"text such as {', '.join(f'`{example}`' for example in kind.examples)}"
        case _:
            text = "text"
    return text


def _description(text: str, names: frozenset[str]) -> str:
    for name in names:
        if "_" in name:
            text = re.sub(rf"\b{name}\b", f"`{name}`", text)
    return _ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", text).replace("|", r"\|")


def main() -> None:
    """Write the tables of options into all documents that have one."""
    for path in sorted(DOCUMENTS.glob("*.md")):
        before = path.read_text(encoding="utf-8")
        after = with_tables(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"{path.name}: tables of options written")


if __name__ == "__main__":
    main()
