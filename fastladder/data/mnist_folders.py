"""Where people have MNIST: as the official page, torchvision or Kaggle lays it out, and beside other data.

MNIST's own files are recognised by what they hold, wherever at or below the named folder they lie. Only where they are
not all found are other files of their names taken, from a single folder that is not called like another data set.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from fastladder.data.idx import DataError, read_idx

# MNIST's files, and the md5 sums of the numbers in them: in the order of the file, without its header.
FILES = {
    "train-images-idx3-ubyte": "6510e85a72c3e9475c492d559d3770d2",
    "train-labels-idx1-ubyte": "e86ee40d66677c011a9abda399ec8c4d",
    "t10k-images-idx3-ubyte": "240610fa99e73bfa49df8e7fc24d3206",
    "t10k-labels-idx1-ubyte": "073c3904dfbd3e141ff8aa01cfde6b15",
}


# Data sets that come in files of the same names and shapes.
OTHERS = re.compile("fashion|fmnist|f-mnist|kmnist|kuzushiji|emnist|qmnist|notmnist", re.IGNORECASE)


def find_mnist(folder: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """What MNIST's own files hold, of those that are found; and, for an error, what else was seen where."""
    found: dict[str, np.ndarray] = {}
    seen: list[str] = []
    for path in _files(folder, seen):
        name = _official(path.name)
        if name in found:
            continue
        try:
            array = read_idx(path)
        except DataError as error:  # there may be another copy
            seen.append(str(error))
            continue
        if hashlib.md5(array.tobytes(), usedforsecurity=False).hexdigest() == FILES[name]:
            found[name] = array
        else:
            seen.append(f"{path} is not MNIST's")
    return found, seen


def read_others(folder: Path) -> tuple[dict[str, np.ndarray], Path]:
    """What four files of MNIST's names hold that lie in one folder, whatever data it is, and that folder.

    The named folder comes before those below it. One that is called like another data set is passed over. Where none
    has all four files there is nothing.

    Raises:
        DataError: two sound copies of a file differ, or two folders below the named one do.
    """
    complete: dict[Path, dict[str, np.ndarray]] = {}
    for place, paths in _by_folder(_files(folder, [])).items():
        found: dict[str, np.ndarray] = {}
        for path in paths:
            try:
                array = read_idx(path)
            except DataError:  # there may be another copy
                continue
            if not np.array_equal(found.setdefault(_official(path.name), array), array):
                raise DataError(f"{path}: differs from another copy beside it, and either may be meant: remove one")
        if len(found) == len(FILES):
            complete[place] = found
    if folder in complete:
        return complete[folder], folder
    for place, found in complete.items():
        first, of_first = next(iter(complete.items()))
        if not all(np.array_equal(found[name], of_first[name]) for name in FILES):
            raise DataError(f"{folder}: holds data in {first} and other data in {place}: name the folder that is meant")
    return next(((found, place) for place, found in complete.items()), ({}, folder))


def _by_folder(paths: Iterable[Path]) -> dict[Path, list[Path]]:
    """Files by the folder they lie in, or in which, as Kaggle unpacks them, each has a folder of its name."""
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        place = path.parent.parent if _official(path.parent.name) in FILES else path.parent
        named = place.resolve()
        if not OTHERS.search(named.parent.name if named.name.lower() == "raw" else named.name):
            folders.setdefault(place, []).append(path)
    return folders


def _files(folder: Path, seen: list[str]) -> Iterator[Path]:
    """Every file called like one of MNIST's, in the folder and below it, however deep, in those called mnist or raw in
    any case or, as Kaggle unpacks them, like one of the files. What each folder holds is added to `seen`."""
    visited = set()  # as links may lead back

    def refused(error: OSError) -> None:
        seen.append(f"{error.filename} cannot be read ({error.strerror})")

    for place, folders, files in os.walk(folder, onerror=refused, followlinks=True):
        if (real := os.path.realpath(place)) in visited:
            folders.clear()
            continue
        visited.add(real)
        seen.append(f"{place} holds {_listed(sorted([*(f'{name}/' for name in folders), *files]))}")
        folders[:] = sorted(name for name in folders if name.lower() in ("mnist", "raw") or _official(name) in FILES)
        yield from (Path(place, file) for file in sorted(files) if _official(file) in FILES)


def _official(name: str) -> str:
    """The official name of a file: Kaggle has a dot for the dash before idx. Whether it is gzip, its content shows."""
    return name.removesuffix(".gz").replace(".idx", "-idx")


def _listed(names: list[str], most: int = 8) -> str:
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return ", ".join(names[:most] + more) or "nothing"
