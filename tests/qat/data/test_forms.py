"""Every dataset format returns the samples that its files were written from, and names invalid files and samples."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import qat.data.npy
from network.errors import DatasetError
from qat.data.checks import check_dataset
from qat.data.dataset import Dataset, SampleSource
from qat.data.images import fitted
from qat.data.names import reason_of
from qat.data.opening import open_dataset
from tests.qat.data import making
from tests.qat.data.making import FORMS, images, network_for

SIDE = {form: 32 if "cifar" in form else 8 for form in FORMS}


def labels_of(labels: object) -> list[int]:
    assert isinstance(labels, np.ndarray)
    assert labels.dtype == np.int64
    return [int(each) for each in labels]


def _sent(source: SampleSource) -> SampleSource:
    """Return the source as a worker process receives it."""
    sent: SampleSource = pickle.loads(pickle.dumps(source))  # noqa: S301  # the data comes from this test
    return sent


@pytest.mark.parametrize("form", FORMS)
def test_every_format_returns_the_samples_that_were_written(tmp_path: Path, form: str) -> None:
    samples = images(SIDE[form])
    dataset = fitted(open_dataset(FORMS[form](tmp_path / "pets", samples) if form != "npz" and "archive" not in form
                                  else FORMS[form](tmp_path, samples)), network_for(SIDE[form]))  # fmt: skip
    check_dataset(dataset, network_for(SIDE[form]))
    for part, x, y in samples.parts:
        source = getattr(dataset, f"{part}_x")
        assert (source.dtype, source.shape, len(source)) == (np.uint8, x.shape, len(x))
        assert labels_of(getattr(dataset, f"{part}_y")) == y.tolist()
        np.testing.assert_array_equal(source[:], x)
        some = np.array([3, 0, 5, 3, -1])
        np.testing.assert_array_equal(source[some], x[some])
        np.testing.assert_array_equal(source[4:1:-2], x[4:1:-2])
        assert source[:0].shape == (0, *x.shape[1:])
        np.testing.assert_array_equal(_sent(source)[2:4], x[2:4])


@pytest.mark.parametrize("form", ["idx", "idx as torchvision leaves it", "packed idx"])
def test_grey_images_have_a_channel(tmp_path: Path, form: str) -> None:
    samples = images(channels=1)
    dataset = open_dataset(FORMS[form](tmp_path / "mnist", samples))
    check_dataset(dataset, network_for(channels=1))
    np.testing.assert_array_equal(dataset.train_x[:], samples.train_x)


def test_the_unpacked_one_of_two_idx_files_is_used(tmp_path: Path) -> None:
    samples = images(channels=1)
    root = making.idx(making.idx(tmp_path / "mnist", samples, packed=True), samples)
    for path in root.glob("*.gz"):
        path.write_bytes(b"damaged")
    (root / "train-images-idx3-ubyte").rename(root / "train-images.idx3-ubyte")  # some programs unpack to this name
    np.testing.assert_array_equal(open_dataset(root).train_x[:], samples.train_x)
    (root / "other-train-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(DatasetError, match="both contain train images; remove one of them"):
        open_dataset(root)


@pytest.mark.parametrize("form", ["npz", "npy"])
@pytest.mark.parametrize("labels", [False, True])
def test_a_training_set_alone(tmp_path: Path, form: str, labels: bool) -> None:
    samples = images()
    root = making.arrays(tmp_path / "alone", samples)
    for each in ("test_x", "test_y") if labels else ("test_x", "test_y", "train_y"):
        (root / f"{each}.npy").unlink()
    place = root
    if form == "npz":
        place = tmp_path / "alone.npz"
        np.savez(place, **{each.stem: np.load(each) for each in root.glob("*.npy")})
    dataset = open_dataset(place)
    check_dataset(dataset, network_for())
    assert not dataset.has_test_set
    assert (len(dataset.test_x), dataset.test_x.shape, dataset.test_x[:].shape) == (0, (0, 8, 8, 3), (0, 8, 8, 3))
    assert (dataset.test_y, dataset.train_y is not None) == (None, labels)
    np.testing.assert_array_equal(dataset.train_x[:], samples.train_x)


def test_two_datasets_in_one_directory_are_refused(tmp_path: Path) -> None:
    making.torchvision_idx(tmp_path / "data", images(channels=1))
    making.cifar(tmp_path / "data" / "cifar-10-batches-bin", images(32))
    with pytest.raises(DatasetError, match="'data' holds several datasets, in 'MNIST/raw' and 'cifar-10-batches"):
        open_dataset(tmp_path / "data")


def test_a_dataset_without_labels(tmp_path: Path) -> None:
    samples = images()
    for part, x, _ in samples.parts:
        for index, pixels in enumerate(x):
            (tmp_path / "flat" / part).mkdir(parents=True, exist_ok=True)
            (tmp_path / "flat" / part / f"{index:03d}.png").write_bytes(making.encoded(pixels))
    making.tar_of(tmp_path / "plain.tar", [each for each in making.shard_members(samples.train_x, samples.train_y)
                                           if each[0].endswith("png")])  # fmt: skip
    np.savez(tmp_path / "none.npz", train_x=samples.train_x, test_x=samples.test_x)
    for place in ("flat", "plain.tar", "none.npz"):
        dataset = open_dataset(tmp_path / place)
        assert dataset.train_y is None
        assert dataset.test_y is None
        check_dataset(dataset, network_for())
        np.testing.assert_array_equal(dataset.train_x[:1], samples.train_x[:1])


def test_a_test_set_with_labels_of_minus_one_is_replaced_by_the_validation_set(tmp_path: Path) -> None:
    samples = images()
    root = making.parquet(tmp_path, samples)
    pq.write_table(making.table(samples.train_x[:4], [-1] * 4), root / "data" / "test-00000-of-00001.parquet")
    np.testing.assert_array_equal(open_dataset(root).test_x[:], samples.test_x)
    (root / "data" / "validation-00000-of-00001.parquet").unlink()
    assert open_dataset(root).test_y is None


def test_samples_of_an_unsplit_dataset_are_held_out(tmp_path: Path) -> None:
    """The expected split is computed independently: the first tenth of each class, sorted by SHA-256 of the name."""
    import hashlib

    samples = images(train=45)
    root = making.folders(tmp_path, samples) / "train"
    dataset = open_dataset(root)
    expected = set()
    for label, name in enumerate(making.NAMES):
        files = [f"{name}/{index:04d}.png" for index in np.flatnonzero(samples.train_y == label)]
        first = sorted(files, key=lambda each: hashlib.sha256(each.encode()).digest())[: round(len(files) / 10)]
        expected |= {int(each[4:8]) for each in first}
    kept = [index for index in range(45) if index not in expected]
    assert len(expected) == 6
    np.testing.assert_array_equal(dataset.test_x[:], samples.train_x[sorted(expected)])
    np.testing.assert_array_equal(dataset.train_x[:], samples.train_x[kept])
    assert labels_of(dataset.test_y) == samples.train_y[sorted(expected)].tolist()
    assert labels_of(dataset.train_y) == samples.train_y[kept].tolist()


def test_large_stored_samples_are_left_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = images()
    path = making.npz(tmp_path, samples)
    monkeypatch.setattr(qat.data.npy, "LEFT_IN_FILE_BYTES", 1000)
    dataset = open_dataset(path, max_bytes=1000)
    assert not isinstance(dataset.train_x, np.ndarray)
    np.testing.assert_array_equal(dataset.train_x[:], samples.train_x)
    content = bytearray(path.read_bytes())
    content[content.index(samples.train_x.tobytes()) + 7] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="Bad CRC-32"):
        open_dataset(path)


@pytest.mark.parametrize("stored", ["<f4", ">f4"])
def test_numbers_in_files_are_checked_when_they_are_read(tmp_path: Path, stored: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 5)).astype(stored)
    x[33, 2] = np.inf
    np.save(tmp_path / "train_x.npy", x)
    np.save(tmp_path / "test_x.npy", x[:3])
    dataset = open_dataset(tmp_path)
    assert dataset.train_x.dtype == np.float32
    np.testing.assert_array_equal(dataset.train_x[:30], x[:30].astype(np.float32))
    with pytest.raises(DatasetError, match=r"train_x\[33\] holds NaN or infinity"):
        dataset.train_x[np.array([2, 33, 34])]


def opened_and_read(path: Path) -> Dataset:
    dataset = fitted(open_dataset(path), network_for())
    check_dataset(dataset, network_for())
    dataset.train_x[:]
    dataset.test_x[:]
    return dataset


def cut(path: Path, share: float = 0.6) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def flipped(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


DAMAGED = {
    "folders": ("train/bee/0011.png", "train/bee/0011.png"),
    "shards": ("pets-train-000001.tar", "pets-train-000001.tar"),
    "parquet": ("data/train-00000-of-00001.parquet", "train-00000-of-00001.parquet"),
    "idx": ("train-images-idx3-ubyte", "train-images-idx3-ubyte"),
    "packed idx": ("t10k-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"),
    "cifar 10": ("data_batch_2.bin", "data_batch_2.bin"),
    "npy": ("train_x.npy", "train_x"),
}


@pytest.mark.parametrize("form", DAMAGED)
def test_a_truncated_file_is_named(tmp_path: Path, form: str) -> None:
    place, named = DAMAGED[form]
    root = FORMS[form](tmp_path / "pets", images(SIDE[form], channels=1 if "idx" in form else 3))
    cut(root / place)
    with pytest.raises(DatasetError, match=named):
        opened_and_read(root)


def test_a_file_that_is_truncated_after_it_was_opened_is_named(tmp_path: Path) -> None:
    for form, (place, named) in DAMAGED.items():
        if form in {"packed idx", "cifar 10"}:  # these formats are kept in memory
            continue
        root = FORMS[form](tmp_path / form, images(channels=1 if "idx" in form else 3))
        dataset = fitted(open_dataset(root), network_for(channels=1 if "idx" in form else 3))
        cut(root / place, 0.1)
        with pytest.raises(DatasetError, match=named):
            dataset.train_x[:]


def test_one_invalid_image_is_named(tmp_path: Path) -> None:
    samples = images()
    members = making.shard_members(samples.train_x, samples.train_y)
    members[14] = (members[14][0], members[14][1][:60])  # the image of sample 7
    making.tar_of(tmp_path / "shards" / "train-0.tar", members)
    making.tar_of(tmp_path / "shards" / "test-0.tar", making.shard_members(samples.test_x, samples.test_y))
    with pytest.raises(DatasetError, match=r"'train-0\.tar: 00007\.png' cannot be decoded"):
        opened_and_read(tmp_path / "shards")
    rows = making.table(samples.train_x, samples.train_y.tolist())
    bad = rows["image"].to_pylist()
    bad[17] = {"bytes": b"no image", "path": None}
    both = {"bad": bad, "none": [*bad[:17], {"bytes": None, "path": "0.png"}, *bad[18:]]}
    for what, message in (("bad", "cannot be decoded"), ("none", "holds no image")):
        column = pa.array(both[what], rows.schema.field("image").type)
        root = making.parquet(tmp_path / what, samples)
        place = root / "data" / "train-00000-of-00001.parquet"
        pq.write_table(rows.set_column(1, "image", column), place, row_group_size=5)
        with pytest.raises(DatasetError, match=rf"'train-00000-of-00001\.parquet: row 17' {message}"):
            opened_and_read(root)


FOREIGN = {
    "text": b"not an image",
    "empty": b"",
    "html": b"<html>404</html>",
    "head of a JPEG": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "GIF": b"GIF89a" + bytes(40),
    "PDF": b"%PDF-1.4",
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("content", FOREIGN)
@pytest.mark.parametrize("form", ["folders", "shards", "one shard", "parquet", "parquet of bytes"])
def test_a_file_that_is_no_image_is_named_without_the_address_of_an_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, content: str
) -> None:
    encoded, count = making.encoded, 0

    def one_foreign(pixels: making.Bytes) -> bytes:
        nonlocal count
        count += 1
        return FOREIGN[content] if count == 12 else encoded(pixels)

    monkeypatch.setattr(making, "encoded", one_foreign)
    place = FORMS[form](tmp_path / "pets", images())
    with pytest.raises(DatasetError, match=r"11|00003\.png") as caught:
        opened_and_read(place)
    assert "<" not in str(caught.value)
    assert "0x" not in str(caught.value)


def test_a_reason_has_no_address() -> None:
    texts = {
        f"cannot identify image file {io.BytesIO()!r}": "cannot identify image file",
        f"{object()!r} is not a file": "is not a file",
        f"no '{io.BytesIO()!r}', no {open!r}": "no, no <built-in function open>",
        repr(object()): "ValueError",
        "a < 3 at 0x10": "a < 3 at 0x10",
    }
    assert [reason_of(ValueError(text)) for text in texts] == list(texts.values())


@pytest.mark.filterwarnings("ignore:Reading `.npy`")  # numpy mistakes some damaged headers for headers of Python 2
@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_file_gives_samples_or_an_error_of_one_line(tmp_path: Path, form: str) -> None:
    """Random bytes of a file are changed, mostly where headers and directories are stored."""
    rng = np.random.default_rng(sum(form.encode()))
    root = tmp_path if form == "npz" or "archive" in form else tmp_path / "pets"
    place = FORMS[form](root, images(SIDE[form], train=12))
    network = network_for(SIDE[form])
    files = sorted(each for each in place.rglob("*") if each.is_file()) if place.is_dir() else [place]
    messages = []
    for trial in range(30):
        path = files[int(rng.integers(len(files)))]
        whole = path.read_bytes()
        damaged = bytearray(whole)
        start, length = ((0, len(whole)), (0, 600), (len(whole) - 600, 600))[trial % 3]
        for at in rng.integers(max(0, start), min(len(whole), start + length), (1, 2, 20)[trial // 3 % 3]):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            dataset = fitted(open_dataset(place), network)
            check_dataset(dataset, network)
            dataset.train_x[:]
        except DatasetError as error:
            messages.append(str(error))
        path.write_bytes(whole)
    assert all(each.isprintable() and " at 0x" not in each for each in messages)
    assert len(set(messages)) > 2 or "cifar" in form  # CIFAR's files consist almost entirely of pixels


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _wrong(root: Path, what: str) -> Path:  # noqa: PLR0912  # one branch for each kind of error
    samples = images()
    members = making.shard_members(samples.train_x, samples.train_y)
    match what:
        case "missing path":
            return root / "nowhere"
        case "empty directory":
            root.mkdir()
        case "text":
            _write(root / "a.txt", b"hello")
            return root / "a.txt"
        case "no images in a class":
            (making.folders(root, samples) / "train" / "dog").mkdir()
        case "class only in the test set":
            _write(making.folders(root, samples) / "val" / "dog" / "0.png", making.encoded(samples.test_x[0]))
        case "images and class folders":
            _write(making.folders(root, samples) / "train" / "0.png", making.encoded(samples.test_x[0]))
        case "a label missing":
            making.tar_of(root / "train.tar", [each for each in members if each[0] != "00004.cls"])
        case "an invalid label":
            making.tar_of(root / "train.tar", [*members[:3], ("00001.cls", b"cat"), *members[4:]])
        case "two images":
            making.tar_of(root / "train.tar", [members[0], ("00000.jpg", b"x"), *members[1:]])
        case "no image":
            making.tar_of(root / "train.tar", [("a.txt", b"x"), ("a.cls", b"1")])
        case "an invalid header":
            flipped(making.tar_of(root / "train.tar", members), 512 * 4 + 3)
        case "a long header":
            making.tar_of(root / "train.tar", [("x" * 2_000_000 + ".png", b""), *members])
        case "compressed archive":
            making.cifar_archive(root, samples)
            _write(root / "x.tar.gz", (root / "cifar-10-binary.tar.gz").read_bytes()[:100])
            return root / "x.tar.gz"
        case "a null label":
            making.parquet(root, samples)
            pq.write_table(making.table(samples.train_x, [None, *[1] * 23]), root / "data" / "train-1.parquet")
        case "no column of images":
            root.mkdir()
            pq.write_table(pa.table({"text": ["a"], "label": [1]}), root / "train.parquet")
        case "two columns of one name":
            root.mkdir()
            table = making.table(samples.train_x, samples.train_y.tolist())
            names = ["image"] * table.num_columns
            pq.write_table(table.rename_columns(names), root / "train.parquet")
        case "not parquet":
            _write(root / "train.parquet", b"PAR1" + bytes(100) + b"PAR1")
        case "a group too large":
            making.parquet(root, samples)
        case "other idx":
            _write(making.idx(root, images(channels=1)) / "t10k-labels-idx1-ubyte", b"\0\0\x0d\1\0\0\0\1abcd")
        case "more than the header states":
            place = making.idx(root, images(channels=1)) / "train-labels-idx1-ubyte.gz"
            _write(root / "train-labels-idx1-ubyte", (root / "train-labels-idx1-ubyte").read_bytes() + b"1")
            assert not place.exists()
        case "test set missing":
            making.arrays(root, samples)
            (root / "test_x.npy").unlink()
        case "by columns":
            making.arrays(root, samples)
            np.save(root / "train_x.npy", np.asfortranarray(samples.train_x))
        case _:
            raise ValueError(what)
    return root


WRONG = {
    "missing path": "there is no file '",
    "empty directory": "is not a dataset of a known format; expected an .npz",
    "text": "'a.txt' is not a dataset of a known format",
    "no images in a class": "the class folder 'train/dog' holds no images",
    "class only in the test set": "the test set has the class 'dog'",
    "images and class folders": r"'train' holds images \('0.png'\) and folders \('ant'\)",
    "a label missing": r"'train.tar: 00004.png' has no label",
    "an invalid label": r"'00001.cls' does not hold a whole number",
    "two images": r"sample '00000' has two images",
    "no image": "holds no images",
    "an invalid header": r"'train.tar' cannot be read as a .tar: no header at byte 2048",
    "a long header": r"a header of 20\d+ bytes; at most",
    "compressed archive": r"'x' cannot be unpacked",
    "a null label": r"'train-1.parquet' holds 1 rows without a class",
    "no column of images": r"'train.parquet' has no column of encoded images, only text, label",
    "two columns of one name": r"'train.parquet' has several columns with the name 'image'; expected columns with",
    "not parquet": r"'train.parquet' cannot be read as Parquet",
    "a group too large": "row group 0' holds .* bytes of images; at most 100",
    "other idx": r"'t10k-labels-idx1-ubyte' does not begin as an idx file",
    "more than the header states": r"header of 'train-labels-idx1-ubyte' states 24 values, but the file holds more",
    "test set missing": r"lacks test_x.npy",
    "by columns": r"'train_x' is stored column by column",
}


@pytest.mark.parametrize("what", WRONG)
def test_messages_say_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    if what == "a group too large":
        monkeypatch.setattr("qat.data.parquet.MAX_GROUP_BYTES", 100)
    with pytest.raises(DatasetError, match=WRONG[what]):
        opened_and_read(_wrong(tmp_path / "pets", what))


def test_no_link_is_followed(tmp_path: Path) -> None:
    samples = images()
    secret = tmp_path / "secret.png"
    secret.write_bytes(making.encoded(samples.train_x[0]))
    root = making.folders(tmp_path / "pets", samples)
    dataset = fitted(open_dataset(root), network_for())
    (root / "train" / "ant" / "0000.png").unlink()
    (root / "train" / "ant" / "0000.png").symlink_to(secret)
    with pytest.raises(DatasetError, match="a symbolic link"):
        dataset.train_x[:1]  # the link was created after the folder was listed
    with pytest.raises(DatasetError, match=r"'ant/0000\.png' is a symbolic link"):
        open_dataset(root)
    (root / "train" / "ant" / "0000.png").unlink()
    (root / "train" / "dog").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(DatasetError, match="'train/dog' is a symbolic link"):
        open_dataset(root)
    named = tmp_path / "named"
    named.symlink_to(making.arrays(tmp_path / "arrays", samples), target_is_directory=True)
    assert len(open_dataset(named).train_x) == 24  # the caller gave this link, so it is followed


def test_links_and_paths_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    import tarfile

    samples = images()
    path = tmp_path / "train.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("00000.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    making.tar_of(tmp_path / "more.tar", making.shard_members(samples.train_x, samples.train_y, "../../../"))
    path.write_bytes(path.read_bytes()[:512] + (tmp_path / "more.tar").read_bytes())
    before = sorted(tmp_path.iterdir())
    dataset = fitted(open_dataset(path), network_for())
    assert len(dataset.train_x) + len(dataset.test_x) == 24  # the link is not a sample
    dataset.train_x[:]
    assert sorted(tmp_path.iterdir()) == before
