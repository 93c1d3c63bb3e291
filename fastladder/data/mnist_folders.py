"""Where people have MNIST: as the official page, torchvision or Kaggle lays it out, and beside other data.

MNIST's own files are told by what they hold, wherever at or below the named folder they lie; only where they are not
all found are other files of their names taken, and those from the named folder itself.
"""

import hashlib
import os
from collections.abc import Iterator
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


def read_others(folder: Path) -> dict[str, np.ndarray]:
    """What the four files in the folder itself hold, whatever data it is; nothing if one is missing or damaged.

    Raises:
        DataError: two sound copies of a file differ.
    """
    found: dict[str, np.ndarray] = {}
    _, _, files = next(os.walk(folder), ("", [], []))
    for path in (folder / file for file in sorted(files) if _official(file) in FILES):
        try:
            array = read_idx(path)
        except DataError:  # there may be another copy
            continue
        if not np.array_equal(found.setdefault(_official(path.name), array), array):
            raise DataError(f"{path}: differs from another copy beside it, and either may be meant: remove one")
    return found if len(found) == len(FILES) else {}


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
    """The official name of a file: Kaggle has a dot for the dash before idx. Whether it is gzip, its content tells."""
    return name.removesuffix(".gz").replace(".idx", "-idx")


def _listed(names: list[str], most: int = 8) -> str:
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return ", ".join(names[:most] + more) or "nothing"
