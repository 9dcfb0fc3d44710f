"""Pairs of images and their masks or target images, by the names of files and folders. Imports no torch.

The folders of samples (`images`, `inputs`, `noisy`) and of targets (`masks`, `labels`, `annotations`, `targets`,
`clean`) are inside the split folders, or around them, or their names state both (`train_images`, `train_masks`). An
image and its target have the same name, apart from the suffix (`cat.jpg`, `cat.png`) and a word at the end
(`cat_mask.png`).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from network.errors import DatasetError
from qat.data.names import printable, some_of
from qat.data.paired_images import TargetKind
from qat.data.roles import WORDS_OF_CLASSES, Folder, Role, folders_with_files

_ENDING: Final = re.compile(
    r"[ _.-](?:masks?|labels?|annotations?|segmentations?|seg|gt|targets?|clean)$", re.IGNORECASE
)
_LOSSY: Final = (".jpg", ".jpeg", ".webp")
_KINDS: Final = {Role.MASKS: TargetKind.MASK, Role.TARGET_IMAGES: TargetKind.IMAGE}


@dataclass(frozen=True, slots=True)
class Pairs:
    """Images of one part of a dataset, and their targets.

    Attributes:
        images: Path of each image relative to the root, n items.
        targets: Path of the target of each image, n items; None if the part has no targets.
        kind: What the targets are; None if the part has no targets.
    """

    images: list[str]
    targets: list[str] | None
    kind: TargetKind | None


def find_pairs(root: Path) -> dict[str | None, Pairs] | None:
    """Find the images and targets of each part of a dataset; None if the folders are classes or have no such names.

    A folder `images` without a folder of targets holds samples without targets.

    Args:
        root: Root directory of the tree of images.

    Returns:
        The pairs by part: 'train', a word of `parts.TEST`, or None for images whose names state no part.

    Raises:
        DatasetError: if an image has no target or two, if there are masks of a lossy format, if a folder of targets
            holds no images, or if other folders hold images, too.
    """
    folders = folders_with_files(root)
    with_images = [each for each in folders if each.images]
    samples = [each for each in with_images if each.role is Role.SAMPLES]
    targets = [each for each in with_images if each.role in _KINDS]
    if not samples and targets:  # `train` and `train_masks`
        samples = [each for each in with_images if each.role is None and _is_part(each.path)]
    others = [each for each in with_images if each not in samples and each not in targets]
    if not samples or (others and not targets):
        return None
    if not targets:
        return _without_targets(samples, folders)
    pairs = _paired(samples, targets)
    if pairs is None:
        return None
    if others:
        raise DatasetError(
            f"'{printable(others[0].path or root.name)}' holds images, and is next to '{printable(samples[0].path)}' "
            f"and '{printable(targets[0].path)}', which are samples and their targets; move it elsewhere"
        )
    return pairs


def _is_part(path: str) -> bool:
    return bool(path) and not Folder(path, [], []).rest


def _without_targets(samples: list[Folder], folders: list[Folder]) -> dict[str | None, Pairs] | None:
    if len({each.rest for each in samples}) > 1:
        return None  # train/CLASS/images, or classes such as cat_images and dog_images
    empty = next((each for each in folders if each.role in _KINDS and not each.images and each.others), None)
    if empty is not None:
        raise DatasetError(
            f"'{printable(empty.path)}' is next to images and holds no masks or images but files such as "
            f"'{printable(empty.others[0])}'; expected a .png for each image: convert them, or give the folder "
            f"'{printable(samples[0].path)}' alone for samples without targets"
        )
    found: dict[str | None, Pairs] = {}
    for folder in samples:
        before = found[folder.part].images if folder.part in found else []
        found[folder.part] = Pairs(before + _paths(folder), None, None)
    return found


def _paired(samples: list[Folder], targets: list[Folder]) -> dict[str | None, Pairs] | None:
    """Pair images with targets in each part; None if no image has a target and the folders can be two classes."""
    found: dict[str | None, Pairs] = {}
    problems = []
    for part in dict.fromkeys(each.part for each in samples):
        of_part = [each for each in samples if each.part == part]
        their_targets = [each for each in targets if each.part == part] or [
            each for each in targets if each.part is None
        ]
        if not their_targets:
            found[part] = Pairs([path for each in of_part for path in _paths(each)], None, None)
            continue
        pairs, missing = _pairs_of(of_part, their_targets)
        found[part] = pairs
        if missing:
            problems.append((len(pairs.images) - len(missing), _missing(of_part, their_targets, missing, pairs)))
    if problems and not any(pairs for pairs, _ in problems) and _can_be_classes(samples, targets):
        return None
    if problems:
        raise DatasetError(problems[0][1])
    stray = [each for each in targets if each.part not in {None, *found}]
    if stray:
        raise DatasetError(
            f"'{printable(stray[0].path)}' holds targets of the part '{stray[0].part}', which has no images; expected "
            "a folder of images for it"
        )
    return found


def _can_be_classes(samples: list[Folder], targets: list[Folder]) -> bool:
    return {each.role_word.rstrip("s") for each in (*samples, *targets)} <= WORDS_OF_CLASSES


def _pairs_of(samples: list[Folder], targets: list[Folder]) -> tuple[Pairs, list[str]]:
    """Pair the images and targets of one part; the images without a target are also returned alone."""
    kinds = {_KINDS[each.role] for each in targets if each.role in _KINDS}
    if len(kinds) > 1:
        raise DatasetError(
            f"'{printable(targets[0].path)}' and '{printable(targets[-1].path)}' hold two kinds of targets of the same "
            "images; keep one of them"
        )
    kind = kinds.pop()
    count = Counter(_stem(name) for each in samples for name in each.images)
    is_unique = max(count.values()) == 1  # else images/a/1.png and images/b/1.png have targets in a and b
    of_image = {
        (() if is_unique else each.rest, _stem(name)): path
        for each in samples
        for name, path in zip(each.images, _paths(each), strict=True)
    }
    if len(of_image) < count.total():
        twice = next(stem for stem, times in count.items() if times > 1)
        raise DatasetError(
            f"two images of '{printable(samples[0].path)}' are named '{printable(twice)}', so their {kind}s cannot be "
            "told apart; rename one of them"
        )
    target_of: dict[str, str] = {}
    for folder in targets:
        for name, path in zip(folder.images, _paths(folder), strict=True):
            rest = () if is_unique else folder.rest
            stem = _stem(name)
            image = of_image.get((rest, stem)) or of_image.get((rest, _ENDING.sub("", stem)))
            if image is None:
                continue
            if image in target_of:
                raise DatasetError(
                    f"'{printable(target_of[image])}' and '{printable(path)}' are both the {kind} of "
                    f"'{printable(image)}'; keep one of them"
                )
            target_of[image] = path
    if kind is TargetKind.MASK:
        _check_lossless(list(target_of.values()))
    images = list(of_image.values())
    return Pairs(images, [target_of.get(each, "") for each in images], kind), [e for e in images if e not in target_of]


def _check_lossless(masks: list[str]) -> None:
    lossy = [each for each in masks if each.lower().endswith(_LOSSY)]
    if lossy:
        raise DatasetError(
            f"{len(lossy)} of {len(masks)} masks have a lossy format ({some_of(_quoted(lossy))}), which changes class "
            "numbers; save the masks as .png"
        )


def _missing(samples: list[Folder], targets: list[Folder], missing: list[str], pairs: Pairs) -> str:
    others = [name for each in targets for name in each.others]
    hint = f" (files such as '{printable(others[0])}' are not read)" if others else ""
    hint += ": add them, or remove these images"
    hint += "; if these folders are two classes, rename them" if _can_be_classes(samples, targets) else ""
    return (
        f"{len(missing)} of {len(pairs.images)} images in '{printable(samples[0].path)}' have no {pairs.kind} in "
        f"'{printable(targets[0].path)}': {some_of(_quoted(missing))}; expected a file of the same name with the "
        f"suffix .png for each image{hint}"
    )


def _quoted(paths: list[str]) -> list[str]:
    return [f"'{printable(each)}'" for each in paths]


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _paths(folder: Folder) -> list[str]:
    return [f"{folder.path}/{each}" if folder.path else each for each in folder.images]
