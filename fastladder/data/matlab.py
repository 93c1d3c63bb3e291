"""MATLAB files, which scipy reads."""

from pathlib import Path
from typing import Any

from fastladder.data.idx import DataError


def read_matlab(path: Path) -> dict[str, Any]:
    """The arrays of a MATLAB file (.mat) by their names.

    Raises:
        DataError: scipy is not installed, or the file is damaged.
    """
    try:
        from scipy.io import loadmat
    except ImportError:
        raise DataError(f"{path}: a MATLAB file needs scipy: pip install 'fastladder[train]'") from None
    try:
        return loadmat(path)
    except Exception as error:  # whatever the parser makes of a damaged file
        raise DataError(f"{path}: not a sound MATLAB file ({' '.join(str(error).split())})") from None
