"""MNIST from its four official idx files, in a folder or downloaded."""

import os
from pathlib import Path

import numpy as np
import torch

from fastladder.data.digits import Digits, Splits
from fastladder.data.idx import DataError, read_idx
from fastladder.data.mnist_folders import FILES, describe, find_copies, find_folders

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"

NAME_A_FOLDER = "name the folder that holds the four idx files (--data-dir or FASTLADDER_DATA)"
REMEDY = f"{NAME_A_FOLDER}, or have them downloaded (--download, download=True)"


def mnist(folder: str | Path | None = None, *, download: bool = False) -> tuple[Digits, Digits]:
    """MNIST: the 60,000 digits for training and the 10,000 for testing, 28 x 28.

    Args:
        folder: where the four files lie, or a folder above: they are looked for in it and below it in folders called
            mnist or raw, in any case. That finds torchvision's `MNIST/raw`. The files are gzip or plain, and called as
            on the official page or, with a dot before idx, as on Kaggle. All four have to lie together. None looks in
            the folder that the environment variable FASTLADDER_DATA names, and if it names none in the user's cache.
        download: if they are not found, fetch those that `folder/mnist` lacks into it. They are checked against the
            official md5 sums.

    Raises:
        DataError: the files are missing, damaged or not MNIST, there are several that differ, or a download failed;
            the message says what was found where, and the remedy.
    """
    folder = _folder(folder)
    places = find_folders(folder)
    if download and not places:
        _fetch(folder / "mnist")
        places = find_folders(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder, MNIST is needed there: {REMEDY}")
    if not places:
        raise DataError(f"{folder}: no folder there holds all four files of MNIST: {describe(folder)}: {REMEDY}")
    return _read(places, "train", 60_000), _read(places, "t10k", 10_000)


def mnist_splits(folder: str | Path | None = None, *, download: bool = False) -> Splits:
    """MNIST as 50,000 / 10,000 / 10,000 digits: the last 10,000 for training are held out. Arguments as in `mnist`."""
    train, test = mnist(folder, download=download)
    return Splits(train.subset(slice(50_000)), train.subset(slice(50_000, None)), test)


def _folder(folder: str | Path | None) -> Path:
    if folder is None:
        folder = os.environ.get("FASTLADDER_DATA") or None
    return _cache() if folder is None else Path(folder).expanduser()


def _cache() -> Path:
    try:
        import pooch
    except ImportError:
        remedy = f"{NAME_A_FOLDER}, or pip install 'fastladder[train]'"
        raise DataError(f"no folder for MNIST was named, and the user's cache needs pooch: {remedy}") from None
    return Path(pooch.os_cache("fastladder"))


def _fetch(folder: Path) -> None:
    """Downloads the files that the folder lacks."""
    try:
        import pooch
    except ImportError:
        raise DataError("the download of MNIST needs pooch: pip install 'fastladder[train]'") from None
    for name, md5 in FILES.items():
        if find_copies(folder, name):
            continue
        try:
            pooch.retrieve(URL + name, known_hash=f"md5:{md5}", path=folder, fname=name)
        except (OSError, ValueError) as error:  # no network, a folder that cannot be written, a wrong md5
            reason = " ".join(str(error).split())
            raise DataError(f"{URL}{name}: the download to {folder} failed ({reason}): {NAME_A_FOLDER}") from None


def _read(places: list[Path], part: str, count: int) -> Digits:
    images, _ = _array(places, f"{part}-images-idx3-ubyte.gz", (count, 28, 28))
    labels, path = _array(places, f"{part}-labels-idx1-ubyte.gz", (count,))
    if labels.max() > 9:
        raise DataError(f"{path}: holds the label {labels.max()}, needs 0 to 9")
    return Digits(torch.from_numpy(images).float() / 255, torch.from_numpy(labels).long(), f"MNIST {part}")


def _array(places: list[Path], name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, Path]:
    """What the file holds, and its path. Where there are several, as gzip and plain, they have to hold the same."""
    path, *copies = [copy for place in places for copy in find_copies(place, name)]
    array = read_idx(path)
    for copy in copies:
        if not np.array_equal(read_idx(copy), array):
            raise DataError(f"{path} and {copy}: differ, and either may be MNIST: remove one, or {NAME_A_FOLDER}")
    if array.shape != shape or array.dtype != np.uint8:
        raise DataError(f"{path}: holds {array.dtype} of shape {array.shape}, MNIST needs uint8 of shape {shape}")
    return array, path
