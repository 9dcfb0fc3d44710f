"""Image folders with a mask or a target image for each image, and image folders without classes."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from api.operations.measures import measured_table
from network.errors import DatasetError
from network.layers import Convolution, Shape
from network.network import Network
from network.network_input import InputFormat
from qat.data.checks import check_dataset
from qat.data.dataset import Dataset
from qat.data.images import fitted
from qat.data.opening import open_dataset
from qat.options.sensitivity import Measure, SensitivityOptions
from qat.options.task import Metric, TaskKind
from qat.options.training import TrainingOptions
from qat.progress import silent
from qat.tasks.choice import choose_task, targets_of
from qat.train import train
from tests.builders import network_of, with_input_format
from tests.qat.zoo import SCHEMES, allocation_of

Bytes = npt.NDArray[np.uint8]
RNG = np.random.default_rng(4)
SIDE = 8


def network_for(channels: int, side: int = SIDE, stride: int = 1) -> Network:
    """Return a network for images of 3 channels, whose output has `channels` channels."""
    layer = Convolution(
        name="c", inputs=("input",), output="out", output_channels=channels, kernel=(1, 1), stride=(stride, stride),
        weight=np.ones((channels, 3, 1, 1), np.float32),
    )  # fmt: skip
    whole = network_of([layer], Shape(3, side, side))
    return with_input_format(whole, InputFormat((3, side, side), False, (127.0,), (1 / 128,)))


def write(path: Path, pixels: Bytes, mode: str = "") -> Path:
    """Write an image; in the mode P, the pixels are indices of a palette, in the mode 1 they are 0 or 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels * (255 if mode == "1" else 1)).convert(mode or None) if mode != "P" else None
    if image is None:
        image = Image.fromarray(pixels, "P")
        image.putpalette(RNG.integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(path)
    return path


def pixels_of(*dims: int) -> Bytes:
    return RNG.integers(0, 256, dims, dtype=np.uint8)


def classes_of(classes: int, side: int = SIDE) -> Bytes:
    return RNG.integers(0, classes, (side, side), dtype=np.uint8)


LAYOUTS = {
    "inside the split folders": ("train/images", "train/masks", "test/images", "test/masks"),
    "around the split folders": ("images/training", "labels/training", "images/validation", "labels/validation"),
    "wrapped": ("archive/x/train/img", "archive/x/train/annotations", "archive/x/val/img", "archive/x/val/mask"),
    "names with other words": ("train_pet_images", "train_pet_masks", "test_pet_images", "test_pet_masks"),
    "names of both": ("train_images", "train_masks", "test_images", "test_masks"),
    "masks next to the split folders": ("train", "train_masks", "test", "test_masks"),
    "all masks in one folder": ("images/train", "masks", "images/test", "masks"),
    "deeper": ("images/train", "annotations/trimaps/train", "images/test", "annotations/trimaps/test"),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_masks_are_found_by_the_words_in_the_names_of_folders(tmp_path: Path, layout: str) -> None:
    train_x, train_y, test_x, test_y = (tmp_path / "data" / each for each in LAYOUTS[layout])
    images, masks = [pixels_of(SIDE, SIDE, 3) for _ in range(7)], [classes_of(3) for _ in range(7)]
    for index in range(7):
        samples, targets = (train_x, train_y) if index < 5 else (test_x, test_y)
        write(samples / f"{index}.png", images[index])
        write(targets / f"{index}.png", masks[index], "P" if index % 2 else "")
    (train_y / "list.txt").write_text("not read")
    network = network_for(3)
    dataset = fitted(open_dataset(tmp_path / "data"), network)
    check_dataset(dataset, network)
    assert choose_task(network, dataset).kind is TaskKind.PIXELS
    for x, y, chosen in (
        (dataset.train_x, dataset.train_y, slice(0, 5)),
        (dataset.test_x, dataset.test_y, slice(5, 7)),
    ):
        assert y is not None
        np.testing.assert_array_equal(x[:], images[chosen])
        np.testing.assert_array_equal(y[:], masks[chosen])
        assert y.dtype == np.uint8
        assert y.shape == (len(x), SIDE, SIDE)


def test_masks_that_are_not_split_are_held_out_with_their_images(tmp_path: Path) -> None:
    for index in range(30):
        write(tmp_path / "images" / f"{index}.png", np.full((SIDE, SIDE, 3), index, np.uint8))
        write(tmp_path / "masks" / f"{index}_mask.png", np.full((SIDE, SIDE), index % 3, np.uint8))
    dataset = open_dataset(tmp_path)
    assert (len(dataset.train_x), len(dataset.test_x)) == (27, 3)
    for x, y in ((dataset.train_x, dataset.train_y), (dataset.test_x, dataset.test_y)):
        assert y is not None
        np.testing.assert_array_equal(x[:][:, 0, 0, 0] % 3, y[:][:, 0, 0])
    assert dataset.train_y is not None
    np.testing.assert_array_equal(dataset.train_y[np.array([9, 3])], dataset.train_y[:][[9, 3]])


@pytest.mark.parametrize("mode", ["", "1", "RGB", "LA"])
def test_black_and_white_masks_are_classes_0_and_1(tmp_path: Path, mode: str) -> None:
    masks = [classes_of(2) for _ in range(4)]
    for index, mask in enumerate(masks):
        write(tmp_path / "images" / f"{index}.jpg", pixels_of(SIDE, SIDE, 3))
        write(tmp_path / "masks" / f"{index}.png", mask if mode == "1" else mask * 255, mode)
    for channels in (1, 2):
        network = network_for(channels)
        dataset = fitted(open_dataset(tmp_path), network)
        check_dataset(dataset, network)
        task = choose_task(network, dataset)
        assert task.kind is TaskKind.PIXELS
        assert dataset.train_y is not None
        found = targets_of(task, network, dataset.train_x, dataset.train_y)[:]
        assert {tuple(each) for each in found.astype(int).tolist()} <= {tuple(each.ravel().tolist()) for each in masks}
        assert set(np.unique(found).tolist()) == {0, 1}


def test_255_among_other_classes_stays_the_ignored_class(tmp_path: Path) -> None:
    for index in range(3):
        write(tmp_path / "images" / f"{index}.png", pixels_of(SIDE, SIDE, 3))
        mask = np.full((SIDE, SIDE), 255 if index else 1, np.uint8)
        write(tmp_path / "masks" / f"{index}.png", mask, "P")
    dataset = open_dataset(tmp_path)
    assert dataset.train_y is not None
    assert dataset.test_y is not None
    both = np.concatenate([dataset.train_y[:], dataset.test_y[:]])
    assert np.unique(both).tolist() == [1, 255]
    check_dataset(dataset, network_for(3))


@pytest.mark.parametrize("stride", [1, 2])
def test_masks_follow_the_crop_of_their_image_and_the_size_of_the_output(tmp_path: Path, stride: int) -> None:
    # The left half of each image is black and class 0, the right half is white and class 2.
    for index, (height, width) in enumerate([(16, 16), (20, 44), (8, 8), (50, 30)]):
        image, mask = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
        image[:, width // 2 :], mask[:, width // 2 :] = 255, 2
        write(tmp_path / "images" / f"{index}.png", image)
        write(tmp_path / "masks" / f"{index}.png", mask)
    network = network_for(3, stride=stride)
    dataset = fitted(open_dataset(tmp_path), network)
    check_dataset(dataset, network)
    assert dataset.train_y is not None
    side = SIDE // stride
    assert dataset.train_y.shape == (3, side, side)
    for image, mask in zip(dataset.train_x[:], dataset.train_y[:], strict=True):
        assert mask.tolist() == [[0] * (side // 2) + [2] * (side // 2)] * side
        assert (image[:, : SIDE // 2] < 128).all()
        assert (image[:, SIDE // 2 :] > 127).all()


def test_the_crop_of_a_mask_is_that_of_its_image(tmp_path: Path) -> None:
    rows = np.repeat(np.arange(64, dtype=np.uint8)[:, None], 64, axis=1)
    for index in range(2):
        write(tmp_path / "images" / f"{index}.png", np.stack([rows] * 3, axis=2))
        write(tmp_path / "masks" / f"{index}.png", rows)
    dataset = fitted(open_dataset(tmp_path), network_for(64))
    assert dataset.train_y is not None
    seen = dataset.train_y[:1][0, :, 0].astype(int)
    assert seen.tolist() == [
        7,
        14,
        21,
        28,
        35,
        42,
        49,
        56,
    ]  # the middle of each eighth of 224/256 of the image, 4 to 60
    assert np.abs(dataset.train_x[:1][0, :, 0, 0].astype(int) - seen).max() <= 1


@pytest.mark.parametrize("names", [("noisy", "clean"), ("inputs", "targets"), ("input", "target")])
@pytest.mark.parametrize("scale", [1, 2])
def test_target_images(tmp_path: Path, names: tuple[str, str], scale: int) -> None:
    clean = [pixels_of(SIDE, SIDE, 3) for _ in range(6)]
    for index, pixels in enumerate(clean):
        part = "train" if index < 4 else "test"
        write(tmp_path / part / names[0] / f"{index}.png", np.kron(pixels, np.ones((scale, scale, 1), np.uint8)))
        write(tmp_path / part / names[1] / f"{index}.png", pixels)
    network = network_for(3, SIDE * scale, stride=scale)  # also with an output that is smaller than the input
    dataset = fitted(open_dataset(tmp_path), network)
    check_dataset(dataset, network)
    task = choose_task(network, dataset)
    assert task.kind is TaskKind.IMAGES
    assert dataset.train_y is not None
    np.testing.assert_array_equal(dataset.train_y[:], clean[:4])
    targets = targets_of(task, network, dataset.train_x, dataset.train_y)[:1]
    expected = (clean[0].astype(np.float32) - 127) / 128
    np.testing.assert_allclose(targets.reshape(3, SIDE, SIDE), expected.transpose(2, 0, 1))


def test_target_images_are_cropped_as_their_images(tmp_path: Path) -> None:
    for index in range(3):
        small = pixels_of(20, 30, 3)
        write(tmp_path / "input" / f"{index}.png", small)
        write(tmp_path / "target" / f"{index}.png", np.kron(small, np.ones((2, 2, 1), np.uint8)))
    network = network_for(3)
    dataset = fitted(open_dataset(tmp_path), network)
    check_dataset(dataset, network)
    assert dataset.train_y is not None
    difference = dataset.train_y[:].astype(int) - dataset.train_x[:].astype(int)
    assert np.abs(difference).mean() < 12, "both show the same part"


WITHOUT_CLASSES = {
    "in the root": [""],
    "in split folders": ["train", "test"],
    "in a folder of images": ["images"],
    "in a folder with a longer name": ["pet_images"],
    "in split folders with a folder of images": ["train/images", "test/images"],
    "in images of parts": ["pets/images/train", "pets/images/val"],
}


@pytest.mark.parametrize("layout", WITHOUT_CLASSES)
def test_images_without_classes_have_no_targets(tmp_path: Path, layout: str) -> None:
    for folder in WITHOUT_CLASSES[layout]:
        for index in range(4):
            write(tmp_path / "data" / folder / f"{index}.png", pixels_of(SIDE, SIDE, 3))
    dataset = open_dataset(tmp_path / "data")
    assert (dataset.train_y, dataset.test_y, dataset.class_names) == (None, None, None)
    assert len(dataset.train_x) == (3 if len(WITHOUT_CLASSES[layout]) == 1 else 4)
    check_dataset(dataset, network_for(3))


@pytest.mark.parametrize(
    "folders",
    [
        ("train/images", "train/dog"), ("clean", "dirty"), ("cat_images", "dog_images"), ("image1 cat", "image2 dog"),
        ("with_mask", "without_mask"),
        ("train/cat/images", "train/dog/images"), ("images/cat", "images/dog"), ("train/noisy", "train/clean"),
    ],
)  # fmt: skip
def test_classes_with_such_names_stay_classes(tmp_path: Path, folders: tuple[str, str]) -> None:
    for number, folder in enumerate(folders):
        for index in range(3):
            write(tmp_path / folder / f"{number}{index}.png", pixels_of(SIDE, SIDE, 3))
    dataset = open_dataset(tmp_path)
    assert dataset.class_names is not None
    assert len(dataset.class_names) == 2


def tree(root: Path, files: dict[str, Any]) -> Path:
    """Write files: an extent (height, width) gives an image of 3 channels, or a mask in a folder of masks."""
    for path, content in files.items():
        if isinstance(content, str):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content)
        else:
            write(root / path, np.zeros(content, np.uint8))
    return root


EXTENT, IMAGE = (8, 8), (8, 8, 3)
IMAGES = {f"images/{each}.png": IMAGE for each in "abcde"}
GOOD = IMAGES | {f"masks/{each}.png": EXTENT for each in "abcde"}
REFUSED: dict[str, dict[str, Any]] = {
    "2 of 7 images in 'images' have no mask in 'masks': 'images/x.png', 'images/y.png'; expected a file": (
        GOOD | {"images/x.png": IMAGE, "images/y.png": IMAGE}
    ),
    r"5 of 5 images .* 'images/c.png' and 2 more; .* .files such as 'a.gif' are not read": (
        IMAGES | {"masks/z.png": EXTENT, "masks/a.gif": "GIF"}
    ),
    r"2 of 5 checked masks have another extent than their images: 'masks/b.png' 9 x 8 and 'images/b.png' 8 x 8": (
        GOOD | {"masks/b.png": (8, 9), "masks/c.png": (4, 4)}
    ),
    "1 of 2 images in 'noisy' have no target image in 'clean': .*; if these folders are two classes, rename them": {
        f"{each}.png": IMAGE for each in ("noisy/a", "noisy/b", "clean/a")
    },
    "5 of 5 masks have a lossy format": IMAGES | {f"masks/{each}.jpg": EXTENT for each in "abcde"},
    "'masks/a.png' and 'masks/a_mask.png' are both the mask of 'images/a.png'": GOOD | {"masks/a_mask.png": EXTENT},
    "'overlays' holds images, and is next to 'images' and 'masks'": GOOD | {"overlays/a.png": IMAGE},
    "'labels' is next to images and holds no masks or images but files such as 'a.txt'": (
        IMAGES | {"labels/a.txt": "0 0.5 0.5 0.1 0.1"}
    ),
    "hold two kinds of targets of the same images": GOOD | {f"targets/{each}.png": IMAGE for each in "abcde"},
    "holds only a test set": {f"test/{path}": extent for path, extent in GOOD.items()},
    "two images of 'images' are named 'a'": GOOD | {"images/a.jpg": IMAGE},
    "'test/masks' holds targets of the part 'test', which has no images": (
        {f"train/{path}": extent for path, extent in GOOD.items()} | {"test/masks/a.png": EXTENT}
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_what_does_not_pair_is_refused_with_names_and_counts(tmp_path: Path, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_dataset(tree(tmp_path, REFUSED[message]))


def test_a_mask_with_colours_or_16_bits_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, GOOD)
    write(tmp_path / "masks" / "a.png", pixels_of(8, 8, 3))
    with pytest.raises(DatasetError, match=r"the mask 'masks/a.png' has colours and no palette"):
        open_dataset(tmp_path)
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "masks" / "a.png")
    with pytest.raises(DatasetError, match=r"the mask 'masks/a.png' has Pillow's mode 'I;16'"):
        open_dataset(tmp_path)


def test_target_images_need_an_image_output(tmp_path: Path) -> None:
    tree(tmp_path, {path.replace("masks", "targets"): IMAGE for path in GOOD})
    with pytest.raises(DatasetError, match="the network computes 2 channels of 8 x 8; target images need"):
        check_dataset(open_dataset(tmp_path), network_for(2))


def test_classes_that_the_network_does_not_have_are_named(tmp_path: Path) -> None:
    tree(tmp_path, GOOD)
    for each in "abcde":
        write(tmp_path / "masks" / f"{each}.png", np.full((8, 8), 5, np.uint8))
    with pytest.raises(DatasetError, match=r"train_y\[0\] is 5 .* expected 0 to 2"):
        check_dataset(open_dataset(tmp_path), network_for(3))


def test_a_changed_mask_is_refused_when_it_is_read(tmp_path: Path) -> None:
    dataset: Dataset = open_dataset(tree(tmp_path, GOOD))
    for each in "abcde":
        write(tmp_path / "masks" / f"{each}.png", np.zeros((4, 8), np.uint8))
    assert dataset.train_y is not None
    with pytest.raises(DatasetError, match=r"the mask 'masks/.*' has 8 x 4 pixels and the image 'images/.*' 8 x 8"):
        dataset.train_y[:1]
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(buffer, "PNG")
    for each in "abcde":
        (tmp_path / "masks" / f"{each}.png").write_bytes(buffer.getvalue()[:-30])
    with pytest.raises(DatasetError, match="cannot be decoded"):
        dataset.train_y[:1]


def test_a_network_is_measured_trained_and_judged_on_masks_in_files(tmp_path: Path) -> None:
    for index in range(24):  # the class of a pixel is its brightest channel
        pixels = pixels_of(2 * SIDE, 3 * SIDE, 3)
        write(tmp_path / "images" / f"{index}.png", pixels)
        write(tmp_path / "masks" / f"{index}.png", pixels.argmax(axis=2).astype(np.uint8), "P")
    whole = network_for(3)
    (layer,) = whole.layers
    assert isinstance(layer, Convolution)
    weight = (np.eye(3) + 0.1 * RNG.normal(size=(3, 3))).astype(np.float32)
    layer = replace(layer, weight=weight[:, :, None, None])
    network = replace(whole, layers=(layer,))
    dataset = open_dataset(tmp_path)
    options = SensitivityOptions(measure=Measure.HESSIAN, samples=8, probes=4)
    table = measured_table(network, dataset, options, silent)
    assert all(row[2] > 0 for row in table.weights.values())
    result = train(
        network, allocation_of(network, 8, SCHEMES[0]), dataset, TrainingOptions(epochs=1, batch_size=8, workers=0)
    )
    (quality, _) = result.qualities
    assert quality.metric is Metric.MEAN_IOU
    assert quality.float_network is not None
    assert quality.float_network > 40  # the images are resized smoothly, the masks to the nearest pixel
    assert abs(quality.integer_only - quality.float_network) < 15
