"""Small NORB is the first camera's images, averaged to whole numbers, and a file of anything else is refused."""

import gzip

import numpy as np
import pytest
import torch

from fastladder.data import DataError, read_norb_matrix, small_norb
from tests.data.grey_files import CODES, NORB, categories, matrix_bytes, photographs, write_norb

# The bytes of the vector 3, 4, 258 of whole numbers, written by hand.
KNOWN = bytes.fromhex("544c3d1e 01000000 03000000 01000000 01000000 03000000 04000000 02010000")


@pytest.fixture
def folder(tmp_path):
    """Small files of the official names in a folder below."""
    write_norb(tmp_path / "norb")
    return tmp_path


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_known_bytes(pack, tmp_path):
    path = tmp_path / "known.mat"
    path.write_bytes(pack(KNOWN))
    matrix = read_norb_matrix(path)
    assert matrix.dtype == np.int32
    assert matrix.tolist() == [3, 4, 258]


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (2, 3, 4, 5)])
def test_every_element_type_and_number_of_dimensions(dtype, shape, tmp_path):
    array = (np.random.default_rng(0).normal(size=shape) * 50).astype(dtype)
    path = tmp_path / "matrix.mat"
    path.write_bytes(matrix_bytes(array))
    found = read_norb_matrix(path)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (KNOWN[:-1], r"has 31 bytes, its header \(shape \(3,\), int32\) needs 32"),
        (KNOWN + b"\0", "has 33 bytes, its header .* needs 32"),
        (KNOWN[:16], "has 16 bytes, its header of 1 dimensions needs 20"),
        (KNOWN[:6], "has 6 bytes, its header of 1 dimensions needs 20"),
        (KNOWN[:4] + b"\xff" * 4 + KNOWN[8:], "has 32 bytes, its header of 4294967295 dimensions needs"),
        (
            KNOWN[3::-1] + KNOWN[4:],
            "starts with bytes 1e 3d 4c 54, a binary matrix starts with one of 1e3d4c51, .* last",
        ),
        (b"\x52" + KNOWN[1:], "starts with bytes 52 4c 3d 1e"),  # a packed matrix, which small NORB has none of
        (b"", r"starts with bytes \(none\)"),
        (gzip.compress(KNOWN)[:-12], "truncated or damaged gzip"),
        (None, "no such file, a binary matrix of small NORB is needed"),
    ],
)
def test_a_damaged_file_is_named(content, words, tmp_path):
    path = tmp_path / "damaged.mat"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=words) as refusal:
        read_norb_matrix(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("size", [32, 96, 1])
def test_the_first_camera_at_every_size(size, folder, monkeypatch):
    monkeypatch.setenv("FASTLADDER_DATA", str(folder))
    splits = small_norb(size=size)
    assert "\n" not in splits.caveat
    for part, found in (("train", splits.train), ("test", splits.test)):
        assert found.source == f"small NORB {part}"
        assert found.images.dtype == torch.uint8
        first = torch.from_numpy(photographs(part)[:, :1]).double()
        means = torch.nn.functional.avg_pool2d(first, 96 // size)[:, 0]
        assert found.images.shape == means.shape
        assert (found.images - means).abs().max() <= 0.5 + 1e-9
        assert found.labels.tolist() == categories(part).tolist()


def test_the_images_are_32_x_32_unless_told(folder):
    assert small_norb(folder).test.images.shape == (3, 32, 32)


@pytest.mark.parametrize("size", [0, -32, 28, 192])
def test_a_size_that_does_not_divide_96_is_refused(size, folder):
    with pytest.raises(ValueError, match=f"size: got {size}, needs a divisor of 96"):
        small_norb(folder, size)


@pytest.mark.parametrize(
    ("kind", "array", "words"),
    [
        ("dat", photographs("train")[:, :1], r"got uint8 of shape \(4, 1, 96, 96\), needs uint8 of shape \(N, 2, 96"),
        ("dat", photographs("train").astype(np.int32), "got int32 of shape"),
        ("dat", photographs("train")[:0], r"got uint8 of shape \(0, 2, 96, 96\)"),
        ("cat", categories("train")[:3], r"got int32 of shape \(3,\), needs integer of shape \(4,\)"),
        ("cat", categories("train").astype(np.float32), "got float32 of shape"),
        ("cat", np.array([0, 1, 2, 5], np.int32), "got categories from 0 to 5, needs 0 to 4"),
        ("cat", np.array([0, 1, 2, -1], np.int32), "got categories from -1 to 2, needs 0 to 4"),
    ],
)
def test_files_that_do_not_fit_are_refused(kind, array, words, folder):
    path = folder / "norb" / f"{NORB['train']}-{kind}.mat"  # plain files are taken before compressed ones
    path.write_bytes(matrix_bytes(array))
    with pytest.raises(DataError, match=words) as refusal:
        small_norb(folder)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", ["dat", "cat"])
def test_a_missing_file_is_named(kind, folder):
    missing = next((folder / "norb").glob(f"*testing-{kind}.mat*"))
    missing.unlink()
    name = f"{NORB['test']}-{kind}.mat"
    with pytest.raises(DataError, match=f"holds no {name} or {name}.gz, nor does a folder in it"):
        small_norb(folder)
