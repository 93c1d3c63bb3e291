import gzip

import numpy as np
import pytest

from fastladder.data import DataError, read_idx

KNOWN = bytes.fromhex("00000802 00000002 00000003 000102fdfeff")


@pytest.mark.parametrize("name", ["known-idx2-ubyte", "known-idx2-ubyte.gz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_known_bytes(tmp_path, name, pack):
    """Whatever the name says: browsers unpack what they fetch, and people take an ending away."""
    path = tmp_path / name
    path.write_bytes(pack(KNOWN))
    array = read_idx(path)
    assert array.dtype == np.uint8
    assert array.tolist() == [[0, 1, 2], [253, 254, 255]]
    array[0, 0] = 7  # writable, as torch.from_numpy needs


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
def test_every_element_type(tmp_path, write_idx, dtype, shape):
    array = (np.random.default_rng(0).normal(size=shape) * 50).astype(dtype)
    found = read_idx(write_idx(tmp_path / "array", array))
    assert found.dtype == array.dtype
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (KNOWN[:-1], "has 17 bytes, its header .* needs 18"),
        (KNOWN + b"\0", "has 19 bytes, its header .* needs 18"),
        (KNOWN[:9], "has 9 bytes, its idx header alone needs 12"),
        (KNOWN[:3], "starts with bytes 00 00 08, an idx file starts with"),
        (b"", r"starts with bytes \(none\)"),
        (b"\x89PNG" + KNOWN, "starts with bytes 89 50 4e 47"),
        (b"\0\0\x0a" + KNOWN[3:], "starts with bytes 00 00 0a 02, .* one of 08, 09, 0b, 0c, 0d, 0e"),
        (b"\0\0\x08\x02" + b"\xff" * 8, "has 12 bytes"),
    ],
    ids=["truncated", "too long", "header cut", "start cut", "empty", "another format", "unknown type", "huge shape"],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_damaged_file_is_named(tmp_path, content, message, suffix):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert_one_line_about(path, caught)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda packed: packed[:-12], "truncated or damaged gzip"),
        (lambda packed: packed[:12] + b"\xff\xff\xff" + packed[15:], "gzip"),
        (lambda packed: packed + b"more", "not a sound gzip file"),
    ],
    ids=["truncated", "damaged", "followed by more"],
)
def test_a_bad_gzip_file_is_named(tmp_path, spoil, message):
    path = tmp_path / "bad.gz"
    path.write_bytes(spoil(gzip.compress(KNOWN)))
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert_one_line_about(path, caught)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file") as caught:
        read_idx(tmp_path / "missing")
    assert_one_line_about(tmp_path / "missing", caught)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read") as caught:
        read_idx(tmp_path)
    assert_one_line_about(tmp_path, caught)


def assert_one_line_about(path, caught):
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
