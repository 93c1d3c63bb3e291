"""Files of grey images as people have them, in miniature, written independently of what reads them."""

import gzip
import struct

import numpy as np
from scipy.io import savemat

PARTS = ("train", "test")
CODES = {"f4": 0x1E3D4C51, "f8": 0x1E3D4C53, "i4": 0x1E3D4C54, "u1": 0x1E3D4C55, "i2": 0x1E3D4C56}
NORB = {"train": "smallnorb-5x46789x9x18x6x2x96x96-training", "test": "smallnorb-5x01235x9x18x6x2x96x96-testing"}
NORB_COUNTS = {"train": 4, "test": 3}
OMNIGLOT_COUNTS = {"train": 5, "test": 3}


def matrix_bytes(array):
    """The binary matrix of an array, as small NORB has them."""
    sizes = (*array.shape, 1, 1, 1)[: max(array.ndim, 3)]
    header = struct.pack(f"<{2 + len(sizes)}I", CODES[array.dtype.str[1:]], array.ndim, *sizes)
    return header + array.astype(array.dtype.newbyteorder("<")).tobytes()


def photographs(part):
    """Of both cameras, (M, 2, 96, 96) from 0 to 255."""
    return np.random.default_rng(len(part)).integers(0, 256, (NORB_COUNTS[part], 2, 96, 96), dtype=np.uint8)


def categories(part):
    return np.random.default_rng(len(part)).permutation(5).astype(np.int32)[: NORB_COUNTS[part]]


def write_norb(folder):
    """Writes small NORB, the test images and training categories compressed."""
    folder.mkdir(exist_ok=True)
    for part, name in NORB.items():
        dat, cat = matrix_bytes(photographs(part)), matrix_bytes(categories(part))
        if part == "train":
            (folder / f"{name}-dat.mat").write_bytes(dat)
            (folder / f"{name}-cat.mat.gz").write_bytes(gzip.compress(cat))
        else:
            (folder / f"{name}-dat.mat.gz").write_bytes(gzip.compress(dat))
            (folder / f"{name}-cat.mat").write_bytes(cat)


def upright(part):
    """Images of OMNIGLOT, (M, 28, 28) from 0 to 255, no two alike."""
    return np.random.default_rng(len(part)).integers(0, 256, (OMNIGLOT_COUNTS[part], 28, 28), dtype=np.uint8)


def alphabets(part):
    return np.random.default_rng(len(part)).permutation(50)[: OMNIGLOT_COUNTS[part]]


def published():
    """What `chardata.mat` holds: a column goes down the first column of an image, then down the second."""
    content = {}
    for part, prefix in (("train", ""), ("test", "test")):
        content[f"{prefix}data"] = np.stack([image.flatten("F") for image in upright(part) / 255], 1)
        content[f"{prefix}target"] = np.eye(50)[:, alphabets(part)]
    return content


def remade():
    """What `omniglot_28x28.npz` holds: character c is of alphabet 50 - c."""
    content = {"alphabet_of_character": np.arange(50, dtype=np.uint8)[::-1].copy()}
    for part in PARTS:
        content[f"{part}_images"] = upright(part)
        content[f"{part}_character"] = (50 - alphabets(part)).astype(np.uint16)
    return content


OMNIGLOT_WRITERS = {
    "chardata.mat": savemat,
    "omniglot_28x28.npz": lambda path, content: np.savez_compressed(path, **content),
}
OMNIGLOT_CONTENTS = {"chardata.mat": published, "omniglot_28x28.npz": remade}


def write_omniglot(folder, name, changes=None):
    """Writes the file of that name, and returns its path; a change to None leaves an array out."""
    content = {**OMNIGLOT_CONTENTS[name](), **(changes or {})}
    folder.mkdir(exist_ok=True)
    OMNIGLOT_WRITERS[name](folder / name, {key: value for key, value in content.items() if value is not None})
    return folder / name
