"""Textures from photographs: plates of the Brodatz album, and three that come with scikit-image."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from fastladder.data.arrays import check_array
from fastladder.data.folders import find_file
from fastladder.data.idx import DataError
from fastladder.data.texture_images import Textures, standardised

BRODATZ = "brodatz_320x320.npz"
SIZE = 320
# Homogeneous plates of which a stroke of a digit shows more than one repetition, no two of them much alike. The paper
# does not name its 20.
PLATES = (3, 4, 6, 9, 17, 20, 21, 24, 34, 49, 52, 57, 65, 68, 77, 84, 87, 92, 103, 111)


def brodatz(folder: str | Path | None = None, plates: Sequence[int] = PLATES) -> Textures:
    """Plates of Brodatz, "Textures: A Photographic Album for Artists and Designers" (Dover, 1966), at 320 x 320.

    Args:
        folder: where `brodatz_320x320.npz` lies, or the folder above; None: the one that the environment variable
            FASTLADDER_DATA names. The file has images (M, 320, 320) and plate (M,), their numbers, uint8 both.
        plates: which, from 1 to 112.

    Returns:
        The textures, standardised.

    Raises:
        ValueError: no plate was asked for, one twice, or one that the file does not hold.
        DataError: the file is not there, is damaged or holds anything else; the message names it.
    """
    if len(plates) < 2 or len(set(plates)) < len(plates):
        raise ValueError(f"plates: got {tuple(plates)}, needs two different ones at least, each once")
    path = find_file((BRODATZ,), folder)
    try:
        with np.load(path, allow_pickle=False) as file:
            content = dict(file)
    except Exception as error:  # whatever the parser makes of a damaged file
        raise DataError(f"{path}: not a sound npz file ({' '.join(str(error).split())})") from None
    images = check_array(f"{path}: images", content.get("images"), np.uint8, (None, SIZE, SIZE))
    numbers = check_array(f"{path}: plate", content.get("plate"), np.integer, (len(images),)).tolist()
    missing = [plate for plate in plates if plate not in numbers]
    if missing:
        raise ValueError(f"plates: got {missing[0]}, needs one of those in {path}")
    chosen = torch.from_numpy(images[[numbers.index(plate) for plate in plates]])
    try:
        return standardised(chosen, f"{len(plates)} Brodatz plates")
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def scikit_image_textures() -> Textures:
    """Brick, grass and gravel, 512 x 512 each, which come with scikit-image (CC0): no download.

    Returns:
        The three textures, standardised.

    Raises:
        DataError: scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError:
        raise DataError("the textures of scikit-image need it: pip install 'fastladder[textures]'") from None
    images = np.stack([data.brick(), data.grass(), data.gravel()])
    return standardised(torch.from_numpy(images), "brick, grass and gravel of scikit-image")
