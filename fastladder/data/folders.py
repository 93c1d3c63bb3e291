"""Where the files of a data set lie: in the folder that the user names, or in a folder in it."""

import os
from collections.abc import Sequence
from pathlib import Path

from fastladder.data.idx import DataError


def find_file(names: Sequence[str], folder: str | Path | None = None) -> Path:
    """The file of the first of these names that is there, in the folder before those in it.

    Args:
        names: what the file may be called, the preferred name first.
        folder: where it lies, or the folder above; None: the one that the environment variable FASTLADDER_DATA names.

    Raises:
        DataError: there is no such file or folder, or none was named.
    """
    folder = folder or os.environ.get("FASTLADDER_DATA")
    remedy = "name the folder that holds it (--data-dir or FASTLADDER_DATA)"
    if not folder:
        raise DataError(f"{' or '.join(names)} is needed: {remedy}")
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder, {' or '.join(names)} is needed there: {remedy}")
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    found = [place / name for name in names for place in places if (place / name).is_file()]
    if not found:
        raise DataError(f"{folder}: holds no {' or '.join(names)}, nor does a folder in it: {remedy}")
    return found[0]
