import gzip
import os
from pathlib import Path

import numpy as np
import pytest


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
def write_mnist(write_idx):
    """Four files of the names, shapes and types of MNIST, filled with noise."""

    def write(folder):
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        for part, count in (("train", 60_000), ("t10k", 10_000)):
            pixels = rng.integers(0, 256, (count, 1, 1), dtype=np.uint8).repeat(28, 1).repeat(28, 2)
            write_idx(folder / f"{part}-images-idx3-ubyte", pixels)
            write_idx(folder / f"{part}-labels-idx1-ubyte.gz", rng.integers(0, 10, count, dtype=np.uint8))
        return folder

    return write


@pytest.fixture(scope="session")
def mnist_folder():
    """The folder with the real MNIST files, or a skip that says where they were looked for."""
    named = os.environ.get("FASTLADDER_TEST_DATA")
    if named:
        places = [Path(named)]
    else:
        places = [parent.parent / "shared" / "data" for parent in Path(__file__).resolve().parents]
    for place in places:
        for folder in (place, place / "mnist"):
            if (folder / "train-images-idx3-ubyte.gz").is_file():
                return folder
    pytest.skip("no real MNIST: neither FASTLADDER_TEST_DATA nor a folder shared/data beside the checkout holds it")
