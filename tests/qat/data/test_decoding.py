"""Images are decoded to the size and channels that a network reads; anything else is an error."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from network.errors import DatasetError
from network.network_input import InputFormat
from qat.data import decoding
from qat.data.decoding import Crop, ImageSize, decode, fit_pixels
from qat.data.images import fitted
from qat.data.opening import open_dataset
from tests.builders import network_of
from tests.qat.data import making


def written(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


GREY = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 3)
COLOUR = Image.merge("RGB", (GREY, GREY.rotate(90), GREY.rotate(180)))
MODES = {
    "L": GREY,
    "RGB": COLOUR,
    "RGBA": Image.merge("RGBA", (*COLOUR.split(), GREY)),
    "LA": Image.merge("LA", (GREY, GREY)),
    "1": GREY.convert("1"),
    "P": COLOUR.quantize(64),
}


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("mode", MODES)
def test_images_are_converted_to_the_networks_channels(mode: str, channels: int) -> None:
    pixels = decode(written(MODES[mode]), "x", ImageSize(8, 8, channels))
    expected = MODES[mode].convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
    assert pixels.shape == (8, 8, channels)
    np.testing.assert_array_equal(pixels, np.asarray(expected).reshape(8, 8, channels))


def test_a_palette_with_transparency_and_ink_colours() -> None:
    palette = written(MODES["P"], transparency=bytes(range(64)))
    np.testing.assert_array_equal(
        decode(palette, "x", ImageSize(8, 8, 3)), decode(written(MODES["P"]), "x", ImageSize(8, 8, 3))
    )
    ink = written(COLOUR.convert("CMYK"), "JPEG", quality=100)
    assert decode(ink, "x", ImageSize(8, 8, 3)).shape == (8, 8, 3)


def test_without_a_network_an_image_stays_as_it_is() -> None:
    assert decode(written(GREY), "x", None).shape == (8, 8, 1)
    np.testing.assert_array_equal(decode(written(COLOUR), "x", None), np.asarray(COLOUR))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be decoded"),
        (b"GIF89a" + bytes(50), "cannot be decoded"),
        (written(COLOUR)[:60], "cannot be decoded"),
        (written(COLOUR, "JPEG")[:300], "cannot be decoded"),
        (written(Image.fromarray(np.zeros((4, 4), np.uint16))), "more than 8 bits per channel"),
    ],
)
def test_an_invalid_image_is_named(content: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=f"'folder/x.png' .*{message}"):
        decode(content, "folder/x.png", ImageSize(8, 8, 3))


def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = bytearray(written(GREY))
    for side in (16, 20):  # width and height in the IHDR chunk; Pillow checks the checksum later
        bomb[side : side + 4] = (60_000).to_bytes(4, "big")
    import zlib

    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    with pytest.raises(DatasetError, match="'x' has more than 89478485 pixels"):
        decode(bytes(bomb), "x", ImageSize(8, 8, 3))
    monkeypatch.setattr(decoding, "MAX_PIXELS", 63)
    with pytest.raises(DatasetError, match="'x' has 8 x 8 pixels; at most 63"):
        decode(written(GREY), "x", ImageSize(8, 8, 3))


@pytest.mark.parametrize("size", [(512, 384), (300, 500), (64, 64), (20, 30), (4096, 256)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_image_of_another_size_is_center_cropped(size: tuple[int, int], kind: str) -> None:
    """The result is compared with Pillow's resize followed by a crop; on a smooth image both are nearly equal."""
    width, height = size
    down, right = np.mgrid[0:height, 0:width]
    smooth = np.stack([255 * down / height, 255 * right / width, 128 + 100 * np.sin(down / height * 6)], axis=2)
    image = Image.fromarray(smooth.astype(np.uint8))
    taken = decode(written(image, kind, quality=95), "x", ImageSize(48, 48, 3)).astype(int)
    scale = 48 * 256 / 224 / min(width, height)
    resized = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    left, upper = (resized.width - 48) // 2, (resized.height - 48) // 2
    expected = np.asarray(resized.crop((left, upper, left + 48, upper + 48))).astype(int)
    assert np.abs(taken - expected).mean() < 4


@given(
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    area=st.floats(0.01, 1),
    ratio=st.floats(0.7, 1.4),
    right=st.floats(0, 1),
    down=st.floats(0, 1),
)
def test_a_crop_is_inside_its_image(
    width: int, height: int, area: float, ratio: float, right: float, down: float
) -> None:
    left, upper, end, lower = Crop(area, ratio, right, down).box(width, height)
    assert 0 <= left < end <= width
    assert 0 <= upper < lower <= height
    if end - left < width and lower - upper < height:
        assert (end - left) * (lower - upper) == pytest.approx(area * width * height, rel=1e-6)
        assert (end - left) / (lower - upper) == pytest.approx(ratio, rel=1e-6)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_crop_of_a_file_and_of_its_pixels_are_the_same(kind: str) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    crop = Crop(0.3, 1.2, 0.25, 1.0)
    content = written(image, kind)
    whole = decode(content, "x", None)
    np.testing.assert_array_equal(decode(content, "x", ImageSize(40, 40, 3), crop), fit_pixels(whole, crop))
    np.testing.assert_array_equal(fit_pixels(whole, Crop(1, 1, 0.3, 0.4)), whole)


def test_a_network_whose_input_is_not_an_image(tmp_path: Path) -> None:
    samples = making.images()
    dataset = open_dataset(making.folders(tmp_path, samples))
    from network.layers import FullyConnected, Shape

    weight = np.zeros((3, 192), dtype=np.float32)
    layer = FullyConnected(name="a", inputs=("input",), output="a", output_channels=3, weight=weight)
    flat = network_of([layer], Shape(192, 1, 1))
    with pytest.raises(DatasetError, match="encoded images need"):
        fitted(dataset, replace(flat, inputs=(replace(flat.only_input, format=InputFormat((192,))),)))
    with pytest.raises(DatasetError, match="images of 2 channels"):
        fitted(dataset, making.network_for(channels=2))


def test_images_of_several_sizes_need_a_network(tmp_path: Path) -> None:
    samples = making.images()
    root = making.folders(tmp_path, samples)
    (root / "train" / "ant" / "0001.png").write_bytes(making.encoded(making.images(12).train_x[0]))
    dataset = open_dataset(root)
    with pytest.raises(DatasetError, match=r"'train/ant/0001.png' is \(12, 12, 3\) and others are \(8, 8, 3\)"):
        dataset.train_x[:3]
    assert fitted(dataset, making.network_for()).train_x[:3].shape == (3, 8, 8, 3)
