"""Small NORB, photographs of 50 toys of five categories, from its files in the binary matrix format.

LeCun, Huang and Bottou, "Learning Methods for Generic Object Recognition with Invariance to Pose and Lighting", CVPR
2004. The files are those of the authors' page; nothing is downloaded.
"""

import math
from pathlib import Path

import numpy as np
import torch

from fastladder.data.arrays import check_array
from fastladder.data.folders import find_file
from fastladder.data.grey_images import GreyImages, GreySplits
from fastladder.data.idx import DataError, read_bytes

# What a file begins with, and the type of its elements.
DTYPES = {0x1E3D4C51: "<f4", 0x1E3D4C53: "<f8", 0x1E3D4C54: "<i4", 0x1E3D4C55: "u1", 0x1E3D4C56: "<i2"}
FILES = {
    "train": "smallnorb-5x46789x9x18x6x2x96x96-training-{}.mat",
    "test": "smallnorb-5x01235x9x18x6x2x96x96-testing-{}.mat",
}
SIDE = 96  # height and width of a photograph
CATEGORIES = 5  # four-legged animals, human figures, airplanes, trucks, cars
CAVEAT = (
    "small NORB is reduced by averaging here, the published log-likelihoods are of bicubic interpolation: "
    "they are not comparable nat for nat"
)


def small_norb(folder: str | Path | None = None, size: int = 32) -> GreySplits:
    """Small NORB: 24,300 grey images for training and 24,300, of other toys, for testing, of the first camera alone.

    Each toy was photographed by two cameras. The 32 x 32 images that the likelihoods of Ladder Variational Autoencoders
    (Table 3) were measured on are all of the first, as its program takes that one twice: one of its epochs is two here.

    Args:
        folder: where the files ending in -dat.mat and -cat.mat lie, gzip or plain, or the folder above; None: the one
            that the environment variable FASTLADDER_DATA names.
        size: height and width of the images, a divisor of 96: a pixel is the mean of a square, rounded.

    Returns:
        images (M, size, size) uint8; labels 0 to 4: animal, human figure, airplane, truck, car.

    Raises:
        ValueError: size does not divide 96.
        DataError: a file is missing, damaged or holds anything else; the message names it.
    """
    if size < 1 or SIDE % size:
        raise ValueError(f"size: got {size}, needs a divisor of {SIDE}")
    return GreySplits(read_part("train", folder, size), read_part("test", folder, size), CAVEAT)


def read_norb_matrix(path: str | Path) -> np.ndarray:
    """Reads a file of the binary matrix format, gzip or plain, as a read-only array.

    The format, all of it little-endian: the code of the element type, the number of dimensions, each dimension, of
    which there are always three at least, 1 where the array has no such dimension, then the elements, the last
    dimension varying fastest. Codes and dimensions have four bytes.

    Raises:
        DataError: the file is missing, unreadable, of another format, damaged, truncated or longer than it says.
    """
    path = Path(path)
    content = read_bytes(path, "a binary matrix of small NORB")
    code = int.from_bytes(content[:4], "little")
    if code not in DTYPES:
        codes = ", ".join(f"{known:08x}" for known in DTYPES)
        raise DataError(
            f"{path}: starts with bytes {content[:4].hex(' ') or '(none)'}, "
            f"a binary matrix starts with one of {codes}, the last byte first"
        )
    dimensions = int.from_bytes(content[4:8], "little")
    start = 8 + 4 * max(dimensions, 3)
    if len(content) < start:
        raise DataError(f"{path}: has {len(content)} bytes, its header of {dimensions} dimensions needs {start}")
    shape = tuple(np.frombuffer(content, "<u4", dimensions, offset=8).tolist())
    dtype = np.dtype(DTYPES[code])
    needed = start + dtype.itemsize * math.prod(shape)
    if len(content) != needed:
        raise DataError(f"{path}: has {len(content)} bytes, its header (shape {shape}, {dtype.name}) needs {needed}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def read_part(part: str, folder: str | Path | None, size: int) -> GreyImages:
    """The images of the first camera and their categories, of train or test."""
    dat, cat = (FILES[part].format(kind) for kind in ("dat", "cat"))
    path = find_file((dat, f"{dat}.gz"), folder)
    photographs = check_array(str(path), read_norb_matrix(path), np.uint8, (None, 2, SIDE, SIDE))
    path = find_file((cat, f"{cat}.gz"), folder)
    labels = check_array(str(path), read_norb_matrix(path), np.integer, (len(photographs),))
    if labels.min() < 0 or labels.max() >= CATEGORIES:
        held = f"categories from {labels.min()} to {labels.max()}"
        raise DataError(f"{path}: got {held}, needs 0 to {CATEGORIES - 1}")
    images = torch.from_numpy(averaged(photographs[:, 0], size))
    return GreyImages(images, torch.from_numpy(labels.astype(np.int64)), f"small NORB {part}")


def averaged(images: np.ndarray, size: int) -> np.ndarray:
    """Images (M, h, h) uint8 at size x size: a pixel is the mean of a square to the nearest whole number, halves up."""
    side = images.shape[1] // size
    squares = images.reshape(len(images), size, side, size, side)
    return ((squares.sum((2, 4), dtype=np.uint32) + side**2 // 2) // side**2).astype(np.uint8)
