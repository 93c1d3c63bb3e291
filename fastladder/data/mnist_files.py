"""MNIST from its four official idx files, in a folder or downloaded."""

import os
import warnings
from pathlib import Path

import numpy as np
import torch

from fastladder.data.digits import Digits, Splits
from fastladder.data.idx import DataError
from fastladder.data.mnist_folders import FILES, find_mnist, read_others

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# What is downloaded, and its md5 sums.
DOWNLOADS = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}

NAME_A_FOLDER = "name the folder that holds the four idx files (--data-dir or FASTLADDER_DATA)"
REMEDY = f"{NAME_A_FOLDER}, or have them downloaded (--download, download=True)"


def mnist(folder: str | Path | None = None, *, download: bool = False) -> tuple[Digits, Digits]:
    """MNIST: the 60,000 digits for training and the 10,000 for testing, 28 x 28.

    MNIST's own files are recognised by what they hold, wherever at or below `folder` they lie. Only where they are not
    all found are other files of their names and shapes taken, with a warning, from a single folder that is not called
    like another data set (such as FashionMNIST).

    Args:
        folder: where the four files lie, or a folder above: they are looked for in it and below it in folders called
            mnist or raw, in any case. That finds torchvision's `MNIST/raw`. The files are gzip or plain, and called as
            on the official page or, with a dot before idx, as on Kaggle. None looks in the folder that the environment
            variable FASTLADDER_DATA names, and if it names none in the user's cache.
        download: fetch those of MNIST's own files that are not found into `folder/mnist`, where no file is replaced.
            They are checked against the official md5 sums.

    Raises:
        DataError: the files are missing, damaged or not of MNIST's shapes, there are several that differ, or a download
            failed; the message says what was found where, and the remedy.
    """
    folder = _folder(folder)
    found, seen = find_mnist(folder)
    if download and len(found) < len(FILES):
        _fetch(folder / "mnist", [f"{name}.gz" for name in FILES if name not in found])
        found, seen = find_mnist(folder)
    if not os.path.isdir(folder):
        raise DataError(f"{folder}: no such folder, MNIST is needed there: {REMEDY}")
    if len(found) == len(FILES):
        source = "MNIST"
    else:
        others, place = read_others(folder)
        if others:
            found, source = others, str(place)
            warnings.warn(f"{place}: holds other data than MNIST in files of its names, they are taken", stacklevel=2)
    if len(found) < len(FILES):
        missing = ", ".join(name for name in FILES if name not in found)
        where = "there or below it in folders called mnist or raw"
        remedy = f"remove what is in the way of the download, or {NAME_A_FOLDER}" if download else REMEDY
        raise DataError(f"{folder}: MNIST's {missing} not found {where}: {'; '.join(seen)}: {remedy}")
    return _digits(found, "train", 60_000, source), _digits(found, "t10k", 10_000, source)


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


def _fetch(folder: Path, names: list[str]) -> None:
    """Downloads files, and replaces none."""
    try:
        import pooch
    except ImportError:
        raise DataError("the download of MNIST needs pooch: pip install 'fastladder[train]'") from None
    for name in names:
        if os.path.lexists(folder / name):  # not MNIST's, or by now downloaded by another process
            continue
        try:
            pooch.retrieve(URL + name, known_hash=f"md5:{DOWNLOADS[name]}", path=folder, fname=name)
        except (OSError, ValueError) as error:  # no network, a folder that cannot be written, a wrong md5
            reason = " ".join(str(error).split())
            raise DataError(f"{URL}{name}: the download to {folder} failed ({reason}): {NAME_A_FOLDER}") from None


def _digits(found: dict[str, np.ndarray], part: str, count: int, source: str) -> Digits:
    images, labels = (found[f"{part}-{kind}-ubyte"] for kind in ("images-idx3", "labels-idx1"))
    for name, array, shape in (("images", images, (count, 28, 28)), ("labels", labels, (count,))):
        if array.shape != shape or array.dtype != np.uint8:
            held = f"{array.dtype} of shape {array.shape}"
            raise DataError(f"{source}: its {part}-{name} hold {held}, MNIST needs uint8 of shape {shape}")
    if labels.max() > 9:
        raise DataError(f"{source}: its {part}-labels hold {labels.max()}, needs 0 to 9")
    return Digits(torch.from_numpy(images).float() / 255, torch.from_numpy(labels).long(), f"{source} {part}")
