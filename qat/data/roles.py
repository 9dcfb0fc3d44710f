"""Detection of folders of samples and folders of targets from their names (`images`, `masks`). Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from qat.data.files import entries
from qat.data.folder_layout import is_image
from qat.data.parts import part_of_name, words_of


class Role(StrEnum):
    """What the images of a folder are."""

    SAMPLES = "samples"
    MASKS = "masks"
    TARGET_IMAGES = "target images"


_WORDS: Final = {
    Role.SAMPLES: ("image", "img", "input", "noisy"),
    Role.MASKS: ("mask", "label", "annotation", "segmentation"),
    Role.TARGET_IMAGES: ("target", "clean"),
}
"""Words that name each role, in the singular."""
WORDS_OF_CLASSES: Final = frozenset({"noisy", "clean"})
"""Words that can be the names of two classes, too."""
_ROLES: Final = {form: role for role, words in _WORDS.items() for word in words for form in (word, f"{word}s")}

_MAX_DEPTH: Final = 5
"""Largest number of nested folders in which folders of samples and targets are searched."""
_MAX_FOLDERS: Final = 64
"""Largest number of folders in one directory that are searched; more are classes."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with files.

    Attributes:
        path: Path relative to the root of the dataset, with `/` as separator; "" for the root.
        images: Names of the images directly in the folder, sorted.
        others: Names of the other files directly in the folder, sorted.
    """

    path: str
    images: list[str]
    others: list[str]

    @property
    def role(self) -> Role | None:
        """Role that the name of the folder or of the innermost folder around it states; None if none states one."""
        stated = self._stated_role()
        return None if stated is None else _ROLES[stated[1]]

    @property
    def role_word(self) -> str:
        """Word that states the role, such as 'masks'; "" if no name states a role."""
        stated = self._stated_role()
        return "" if stated is None else stated[1]

    @property
    def part(self) -> str | None:
        """Part that the names state, 'train' or a word of `parts.TEST`; None if they state none."""
        return part_of_name(self.path)

    @property
    def rest(self) -> tuple[str, ...]:
        """Names of the folders on the path that state neither a role nor a part, and the words next to the role."""
        components = self.path.split("/") if self.path else []
        stated = self._stated_role()
        place = -1 if stated is None else stated[0]
        names = [each for at, each in enumerate(components) if at != place and part_of_name(each) is None]
        words = words_of(components[place]) if place >= 0 else []  # 'cat_images' has the word 'cat'
        return (*names, *(each for each in words if each not in _ROLES and part_of_name(each) is None))

    def _stated_role(self) -> tuple[int, str] | None:
        """Return the place of the innermost name on the path that states a role, and the word that states it."""
        components = self.path.split("/")
        for place in reversed(range(len(components))):
            words = [word for word in words_of(components[place]) if word in _ROLES]
            if len({_ROLES[word] for word in words}) > 1:  # 'image_masks' holds masks
                words = [word for word in words if _ROLES[word] is not Role.SAMPLES]
            if words:
                return place, words[-1]
        return None


def folders_with_files(root: Path) -> list[Folder]:
    """Return the folders of a tree that directly contain files, sorted by path.

    The search does not enter the folders of a directory with more than `_MAX_FOLDERS` of them, which are classes.

    Args:
        root: Root directory of the tree.

    Raises:
        DatasetError: if a directory cannot be read or contains a symbolic link.
    """
    return _below(root, "", _MAX_DEPTH)


def _below(root: Path, path: str, depth: int) -> list[Folder]:
    listed = entries(root / path)
    files = [each.name for each in listed if each.is_file(follow_symlinks=False)]
    images = [each for each in files if is_image(each)]
    found = [Folder(path, images, [each for each in files if not is_image(each)])] if files else []
    inner = [each.name for each in listed if each.is_dir(follow_symlinks=False)]
    if not depth or len(inner) > _MAX_FOLDERS:
        return found
    for each in inner:
        found += _below(root, f"{path}/{each}" if path else each, depth - 1)
    return found
