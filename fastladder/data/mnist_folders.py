"""Where people have MNIST: as the official page, torchvision or Kaggle lays it out, and beside other data."""

import re
from pathlib import Path

from fastladder.data.idx import DataError, read_idx

# The official files and their md5 sums.
FILES = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}

# Other data in files of the same names, shapes and types: told by the name of its folder, as for torchvision
# FashionMNIST/raw and KMNIST/raw; and Fashion-MNIST, which is everywhere, in any folder by its first labels.
OTHER = re.compile(r"(fashion|kuzushiji|not|[efkq])[-_ ]?mnist|fashion|kuzushiji", re.IGNORECASE)
FASHION = [9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9, 5, 5, 7, 9, 1, 0]


def find_folders(folder: Path) -> list[Path]:
    """The folders that hold all four files of MNIST: `folder` itself, and below it those called mnist or raw.

    Raises:
        DataError: a folder cannot be read, or the labels that would tell Fashion-MNIST are damaged.
    """
    try:
        return [place for place in _places(folder) if not _missing(place) and _other(place) is None]
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}), MNIST is looked for there") from None


def find_copies(folder: Path, name: str) -> list[Path]:
    """The files that are the official file `name`: gzip or plain, with a dot for the dash before idx as from Kaggle,
    or unpacked into a folder of its own."""
    dashed = name.removesuffix(".gz")
    spellings = (dashed, dashed.replace("-idx", ".idx"))
    places = (folder, *(folder / spelling for spelling in spellings))
    paths = (place / file for place in places for spelling in spellings for file in (f"{spelling}.gz", spelling))
    return [path for path in paths if path.is_file()]


def describe(folder: Path) -> str:
    """For an error: each folder in which MNIST was looked for, and what it holds instead."""
    said = []
    for place in _places(folder):
        missing = _missing(place)
        if not missing:
            said.append(f"{place} holds {_other(place)}")
        elif len(missing) < len(FILES):
            found = (path.relative_to(place).as_posix() for name in FILES for path in find_copies(place, name))
            said.append(f"{place} holds {', '.join(found)} but no {', '.join(missing)}")
        else:
            said.append(f"{place} holds {_listed(place)}")
    return "; ".join(said if len(said) > 1 else [*said, "no folder below it is called mnist or raw"])


def _places(folder: Path) -> list[Path]:
    """The folder, and below it, however deep, those called mnist or raw in any case."""
    places: dict[Path, Path] = {}  # by where links lead, so that none comes twice

    def add(place: Path) -> None:
        if place.is_dir() and place.resolve() not in places:
            places[place.resolve()] = place
            for entry in sorted(place.iterdir()):
                if entry.name.lower() in ("mnist", "raw"):
                    add(entry)

    add(folder)
    return list(places.values())


def _missing(folder: Path) -> list[str]:
    return [name for name in FILES if not find_copies(folder, name)]


def _other(folder: Path) -> str | None:
    """What a folder with all four files holds if it is not MNIST."""
    path = folder.resolve()
    name = path.parent.name if path.name.lower() == "raw" else path.name
    if OTHER.fullmatch(name):
        return f"other data, as the name {name} says"
    labels = read_idx(find_copies(folder, "train-labels-idx1-ubyte.gz")[0])
    return "Fashion-MNIST, as its labels show" if labels.ravel()[: len(FASHION)].tolist() == FASHION else None


def _listed(folder: Path, most: int = 8) -> str:
    names = [entry.name + "/" * entry.is_dir() for entry in sorted(folder.iterdir())]
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return ", ".join(names[:most] + more) or "nothing"
