import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from fastladder.data.mnist_folders import FILES


def idx_bytes(array):
    """The idx encoding of an array, written independently of the reader."""
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    header = bytes([0, 0, code, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture(scope="session")
def write_idx():
    def write(path, array):
        content = idx_bytes(array)
        path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
        return path

    return write


@pytest.fixture(scope="session")
def noise():
    """What four files of the names, shapes and types of MNIST hold, which is noise."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        pixels = rng.integers(0, 256, (count, 1, 1), dtype=np.uint8)
        arrays[f"{part}-images-idx3-ubyte"] = pixels.repeat(28, 1).repeat(28, 2)
        arrays[f"{part}-labels-idx1-ubyte"] = rng.integers(0, 10, count, dtype=np.uint8)
    return arrays


@pytest.fixture(scope="session")
def write_mnist(write_idx, noise):
    """Writes the noise into a folder, labels compressed."""

    def write(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in noise.items():
            write_idx(folder / (f"{name}.gz" if "labels" in name else name), array)
        return folder

    return write


@pytest.fixture
def pass_for_mnist(monkeypatch):
    """Has arrays, by the names of their files, taken for what MNIST's own hold."""

    def take(arrays):
        for name, array in arrays.items():
            monkeypatch.setitem(FILES, name, hashlib.md5(array.tobytes()).hexdigest())

    return take


@pytest.fixture
def noise_is_mnist(noise, pass_for_mnist):
    pass_for_mnist(noise)


@pytest.fixture(scope="session")
def mnist_folder():
    """The folder with the real MNIST files, or a skip that says where they were looked for."""
    return folder_of("mnist", "train-images-idx3-ubyte.gz")


@pytest.fixture(scope="session")
def omniglot_folder():
    """The folder with a real file of OMNIGLOT, or a skip that says where it was looked for."""
    return folder_of("omniglot", "chardata.mat", "omniglot_28x28.npz")


@pytest.fixture(scope="session")
def brodatz_folder():
    """The folder with the real file of Brodatz plates, or a skip that says where it was looked for."""
    return folder_of("brodatz", "brodatz_320x320.npz")


def folder_of(data, *files):
    named = os.environ.get("FASTLADDER_TEST_DATA")
    if named:
        places = [Path(named)]
    else:
        places = [parent.parent / "shared" / "data" for parent in Path(__file__).resolve().parents]
    for place in places:
        for folder in (place, place / data):
            if any((folder / file).is_file() for file in files):
                return folder
    pytest.skip(f"no real {data}: neither FASTLADDER_TEST_DATA nor a folder shared/data beside the checkout holds it")
