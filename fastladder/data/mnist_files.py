"""MNIST from its four official idx files, in a folder or downloaded."""

import os
from pathlib import Path

import numpy as np
import torch

from fastladder.data.digits import Digits, Splits
from fastladder.data.idx import DataError, read_idx

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"

# The official files and their md5 sums.
FILES = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}

NAME_A_FOLDER = "name the folder that holds the four idx files (--data-dir or FASTLADDER_DATA)"
REMEDY = f"{NAME_A_FOLDER}, or have them downloaded (--download, download=True)"


def mnist(folder: str | Path | None = None, *, download: bool = False) -> tuple[Digits, Digits]:
    """MNIST: the 60,000 digits for training and the 10,000 for testing, 28 x 28.

    Args:
        folder: where the four files lie, gzip or plain, either there or in its subfolder `mnist`. None looks in the
            folder that the environment variable FASTLADDER_DATA names, and if it names none in the user's cache.
        download: fetch the files that are missing into `folder`. They are checked against the official md5 sums.

    Raises:
        DataError: a file is missing, damaged or not MNIST, or a download failed; the message says the remedy.
    """
    folder = _folder(folder)
    if download:
        for name in FILES:
            if _find(folder, name) is None:
                _fetch(folder, name)
    elif not folder.is_dir():
        raise DataError(f"{folder}: no such folder, MNIST is needed there: {REMEDY}")
    return _read(folder, "train", 60_000), _read(folder, "t10k", 10_000)


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


def _find(folder: Path, name: str) -> Path | None:
    """The file, in the folder or its subfolder mnist, compressed or not."""
    plain = name.removesuffix(".gz")
    places = (place / file for place in (folder, folder / "mnist") for file in (name, plain))
    return next((place for place in places if place.is_file()), None)


def _fetch(folder: Path, name: str) -> None:
    try:
        import pooch
    except ImportError:
        raise DataError("the download of MNIST needs pooch: pip install 'fastladder[train]'") from None
    try:
        pooch.retrieve(URL + name, known_hash=f"md5:{FILES[name]}", path=folder / "mnist", fname=name)
    except (OSError, ValueError) as error:  # no network, a folder that cannot be written, a wrong md5
        reason = " ".join(str(error).split())
        raise DataError(f"{URL}{name}: the download to {folder / 'mnist'} failed ({reason}): {NAME_A_FOLDER}") from None


def _read(folder: Path, part: str, count: int) -> Digits:
    images = _array(folder, f"{part}-images-idx3-ubyte.gz", (count, 28, 28))
    labels = _array(folder, f"{part}-labels-idx1-ubyte.gz", (count,))
    if labels.max() > 9:
        raise DataError(f"{folder}: {part}-labels-idx1-ubyte.gz holds the label {labels.max()}, needs 0 to 9")
    return Digits(torch.from_numpy(images).float() / 255, torch.from_numpy(labels).long(), f"MNIST {part}")


def _array(folder: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    path = _find(folder, name)
    if path is None:
        raise DataError(f"{folder}: holds no {name}, which MNIST needs: {REMEDY}")
    array = read_idx(path)
    if array.shape != shape or array.dtype != np.uint8:
        raise DataError(f"{path}: holds {array.dtype} of shape {array.shape}, MNIST needs uint8 of shape {shape}")
    return array
