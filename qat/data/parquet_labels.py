"""Classes in a column of a Parquet file: whole numbers, names, booleans or floating-point numbers. Imports no torch.

Whole numbers are the class numbers, also as text or as floating-point numbers (3.0). Any other text is the name of a
class, and classes are numbered in the order of their names (`class_names`). False is class 0, true is class 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as kinds

from network.errors import DatasetError
from qat.data.class_names import MAX_CLASS_NAMES, NamedLabels, number_classes
from qat.data.dataset import Labels
from qat.data.names import printable

_LABEL_NAMES: Final = ("label", "labels", "fine_label", "class", "cls", "target", "y")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True, eq=False)
class GroupLabels:
    """Labels of a row group.

    Attributes:
        values: Class number of each row, or the index of its name in `names`, int64 [rows].
        names: The different names in the row group; None if the column contains numbers.
    """

    values: Labels
    names: tuple[str, ...] | None


def label_column(schema: pa.Schema, image_column: str, file: str) -> str | None:
    """Choose the column of classes by its name; a column of whole numbers is preferred.

    Args:
        schema: Schema of the file.
        image_column: Path of the column of encoded images, e.g. `image.bytes`.
        file: Name of the file in errors.

    Returns:
        Name of the column; None if no column has such a name, or if it contains nothing but nulls.

    Raises:
        DatasetError: if the only column with such a name has a type that cannot contain classes.
    """
    image = image_column.partition(".")[0]
    types = {each: schema.field(each).type for each in _LABEL_NAMES if each in schema.names and each != image}
    types = {each: kind for each, kind in types.items() if not kinds.is_null(kind)}
    numbered = [each for each, kind in types.items() if kinds.is_integer(kind)]
    readable = [each for each, kind in types.items() if _is_readable(kind)]
    if types and not readable:
        name, kind = next(iter(types.items()))
        raise DatasetError(
            f"the column '{name}' of '{file}' holds {printable(str(kind))[:60]}; expected the class of each row: a "
            "whole number, the name of the class, or a boolean. Convert the column, or rename it if it does not "
            "contain classes"
        )
    return next(iter(numbered or readable), None)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column contains text.

    Args:
        kind: Type of the column.
    """
    kind = kind.value_type if kinds.is_dictionary(kind) else kind
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind))


def _is_readable(kind: pa.DataType) -> bool:
    return bool(is_text(kind) or kinds.is_integer(kind) or kinds.is_boolean(kind) or kinds.is_floating(kind))


def labels_of_group(column: pa.ChunkedArray, name: str) -> GroupLabels:
    """Read the labels of a row group.

    Args:
        column: The column of the row group, without nulls; text is dictionary-encoded.
        name: Name of the file and the row group in errors.

    Raises:
        DatasetError: if a value is not a whole number, or there are more than `MAX_CLASS_NAMES` names.
    """
    if kinds.is_dictionary(column.type):
        encoded = column.unify_dictionaries().combine_chunks()
        array = encoded if isinstance(encoded, pa.DictionaryArray) else encoded.chunk(0)
        if len(array.dictionary) > MAX_CLASS_NAMES:
            raise DatasetError(
                f"'{name}' holds {len(array.dictionary)} different texts as labels; expected at most "
                f"{MAX_CLASS_NAMES} names of classes"
            )
        names = tuple(array.dictionary.to_pylist())
        if "" in names:
            raise DatasetError(f"'{name}' holds an empty text as label; expected the name of the class of each row")
        return GroupLabels(np.asarray(array.indices.to_numpy()).astype(np.int64), names)
    values = np.asarray(column.to_numpy())
    if values.dtype.kind == "f":
        values = values.astype(np.float64)
        bad = np.flatnonzero(~(np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) < 2.0**53)))
        if bad.size:
            raise DatasetError(
                f"'{name}' holds the label {values[bad[0]]} in its row {bad[0]}; expected the class of each row, a "
                "whole number from 0: real numbers are not classes"
            )
    return GroupLabels(values.astype(np.int64), None)


def named_labels(groups: Sequence[GroupLabels], is_train: npt.NDArray[np.bool_], dataset: str) -> NamedLabels:
    """Join the labels of all row groups and number the classes.

    Args:
        groups: Labels of each row group, in the order of the rows.
        is_train: Whether each row belongs to the training set, or to a set that is not split, bool [rows].
        dataset: Name of the dataset in errors.

    Returns:
        The class numbers; the names are empty if the classes have none.

    Raises:
        DatasetError: if some files have names and others numbers, or the test set has a class that the training set
            does not have.
    """
    if all(each.names is None for each in groups):
        return NamedLabels(np.concatenate([each.values for each in groups]), ())
    if any(each.names is None for each in groups):
        raise DatasetError(
            f"some files of '{dataset}' have the classes as names and others as numbers; expected one form in all files"
        )
    names = sorted({name for each in groups for name in each.names or ()})
    place = {name: index for index, name in enumerate(names)}
    tables = [np.array([place[name] for name in each.names or ()], dtype=np.int64) for each in groups]
    codes = np.concatenate([table[each.values] for table, each in zip(tables, groups, strict=True)])
    if all(_WHOLE_NUMBER.fullmatch(name) for name in names):
        return NamedLabels(np.array([int(name) for name in names], dtype=np.int64)[codes], ())
    return number_classes(names, codes, is_train, dataset)
