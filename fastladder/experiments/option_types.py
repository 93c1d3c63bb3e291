"""Types of options that read more than one of Python's own types does."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastladder.experiments.errors import OptionError


@dataclass(frozen=True)
class OptionType:
    """Reads an option, and has a name that --help shows: of a function it would show the address."""

    name: str
    read: Callable[[Any], Any]

    def __call__(self, value: Any) -> Any:
        return self.read(value)

    def __repr__(self) -> str:
        return self.name


def read_path(value: str | None) -> str | None:
    """A path as it is given: ~ is the home folder, also where no shell sees it, as in --run=~/x or a file."""
    return None if value is None else os.path.expanduser(value)


def read_picture(value: str) -> str:
    """A path for `fastladder.experiments.files.write_figure`: an error is one before the work for the picture is done.

    Raises:
        OptionError: there is no such format, or no such folder.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    path = Path(value).expanduser()
    formats = FigureCanvasBase.get_supported_filetypes()
    if path.suffix and path.suffix[1:].lower() not in formats:
        raise OptionError(f"{path}: cannot be written, needs one of the endings {', '.join(sorted(formats))}")
    if not path.parent.is_dir():
        raise OptionError(f"{path}: cannot be written, as there is no folder {path.parent}")
    return str(path)


def read_limit(value: Any) -> int | float | None:
    """Reads 1 as one batch and 1.0 as all of them. Zero batches are refused: they are no training and no evaluation.

    Lightning's own annotation, Union[int, float], does not: typing may return Union[float, int] from its cache.
    """
    if value is None:
        return None
    limit = int(value) if str(value).isdigit() else float(value)
    if not limit > 0:
        raise OptionError(f"got {value}, needs more than 0")
    return limit


def read_count(value: Any) -> int:
    """Reads a number of batches."""
    if not str(value).isdigit() or int(value) < 1:
        raise OptionError(f"got {value}, needs 1 or more")
    return int(value)


user_path = OptionType("path", read_path)
picture_path = OptionType("path", read_picture)
batch_limit = OptionType("int | float", read_limit)
batch_count = OptionType("int", read_count)
