"""OMNIGLOT, handwritten characters of 50 alphabets, at 28 x 28: from `chardata.mat` or `omniglot_28x28.npz`.

The first is the file of Burda et al., "Importance Weighted Autoencoders" (ICLR 2016), on which likelihoods are
published. The second was made from the same drawings (Lake et al., Science 2015) with another split and reduction.
"""

from pathlib import Path

import numpy as np
import torch

from fastladder.data.arrays import check_array
from fastladder.data.folders import find_file
from fastladder.data.grey_images import GreyImages, GreySplits
from fastladder.data.idx import DataError
from fastladder.data.matlab import read_matlab

PUBLISHED = "chardata.mat"
REMADE = "omniglot_28x28.npz"
SIZE = 28
ALPHABETS = 50
CAVEAT = (
    f"{REMADE} has another split and another reduction to 28 x 28 than {PUBLISHED}: "
    "log-likelihoods are not comparable, nat for nat, with published ones"
)


def omniglot(folder: str | Path | None = None) -> GreySplits:
    """OMNIGLOT, upright, in the order of its file, in which images of one character or alphabet may be neighbours.

    Args:
        folder: where `chardata.mat` or `omniglot_28x28.npz` lies, or the folder above; the first is taken before the
            second. None: the folder that the environment variable FASTLADDER_DATA names.

    Returns:
        images (M, 28, 28) float32 in [0, 1], ink 1 on background 0, which may serve as probabilities; labels 0 to 49,
        the alphabet as the file numbers it. The sources name the file, and its caveat says where it matters which.

    Raises:
        DataError: neither file is there, or it is damaged or holds anything else; the message names the file.
    """
    path = find_file((PUBLISHED, REMADE), folder)
    return read_published(path) if path.name == PUBLISHED else read_remade(path)


def read_published(path: Path) -> GreySplits:
    """Reads `chardata.mat`, of which every column is an image, or an alphabet one-hot."""
    content = read_matlab(path)

    def part(name: str, prefix: str) -> GreyImages:
        columns = check_array(f"{path}: {prefix}data", content.get(f"{prefix}data"), np.number, (SIZE**2, None))
        place = f"{path}: {prefix}target"
        one_hot = check_array(place, content.get(f"{prefix}target"), np.number, (ALPHABETS, columns.shape[1]))
        if not (np.isin(one_hot, (0, 1)).all() and (one_hot.sum(0) == 1).all()):
            raise DataError(f"{place}: got other columns than one-hot ones, needs a single 1 among zeros in each")
        images = columns.T.reshape(-1, SIZE, SIZE).swapaxes(1, 2)  # MATLAB stores an image column by column
        return grey_images(path, name, images, one_hot.argmax(0))

    return GreySplits(part("train", ""), part("test", "test"))


def read_remade(path: Path) -> GreySplits:
    """Reads `omniglot_28x28.npz`: images from 0 to 255, their characters, and the alphabets of those."""
    try:
        with np.load(path, allow_pickle=False) as file:
            content = dict(file)
    except Exception as error:  # whatever the parser makes of a damaged file
        raise DataError(f"{path}: not a sound npz file ({' '.join(str(error).split())})") from None
    name = "alphabet_of_character"
    alphabets = check_array(f"{path}: {name}", content.get(name), np.integer, (None,))

    def part(name: str) -> GreyImages:
        images = check_array(f"{path}: {name}_images", content.get(f"{name}_images"), np.uint8, (None, SIZE, SIZE))
        place = f"{path}: {name}_character"
        characters = check_array(place, content.get(f"{name}_character"), np.integer, (len(images),))
        if characters.min() < 1 or characters.max() > len(alphabets):
            held = f"values in [{characters.min()}, {characters.max()}]"
            raise DataError(f"{place}: got {held}, needs 1 to {len(alphabets)}, which have an alphabet")
        return grey_images(path, name, images.astype(np.float32) / 255, alphabets[characters.astype(np.int64) - 1])

    return GreySplits(part("train"), part("test"), CAVEAT)


def grey_images(path: Path, part: str, images: np.ndarray, labels: np.ndarray) -> GreyImages:
    """Images (M, 28, 28) in [0, 1] and labels, of any types, as a part that names its file."""
    found = torch.from_numpy(np.ascontiguousarray(images, np.float32)), torch.from_numpy(labels.astype(np.int64))
    try:
        return GreyImages(*found, f"OMNIGLOT {path.name} {part}")
    except ValueError as error:
        raise DataError(f"{path}: {part}: {error}") from None
