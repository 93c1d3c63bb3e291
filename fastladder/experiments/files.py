"""Files that somebody keeps: whoever reads one, also after a crash, finds the old content or the new, and all of it."""

import fcntl
import io
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastladder.experiments.errors import RunError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class WriteError(RunError):
    """A file that cannot be written. What was there before is as it was."""


def write(path: Path, content: str | bytes | memoryview) -> None:
    """Writes a file whole or not at all: beside it first, and when that has reached the disk, in one step in its place.

    Args:
        path: of the file, in a folder that is there. A link stays one; a device or a pipe is written to as it is.
        content: text becomes UTF-8.

    Raises:
        WriteError: it cannot be written, as on a full disk.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            target.write_bytes(data)
        else:
            _replace(target, data)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror})") from None


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON, as `write` does."""
    write(path, json.dumps(value, indent=2) + "\n")


def write_figure(path: Path, figure: "Figure", **options: Any) -> None:
    """Writes a picture, as `write` does.

    Args:
        path: its ending says in which format.
        figure: what is drawn.
        options: of `matplotlib.figure.Figure.savefig`.

    Raises:
        RunError: there is no such format.
    """
    picture = io.BytesIO()
    try:
        figure.savefig(picture, format=path.suffix[1:] or None, **options)
    except ValueError as error:
        raise RunError(f"{path}: {error}") from None
    write(path, picture.getbuffer())


def _replace(path: Path, data: bytes | memoryview) -> None:
    scratch = path.with_name(f"{path.name}.partial")  # always this name: what a killed process leaves is written over
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every file system has locks
            fcntl.flock(folder, fcntl.LOCK_EX)  # until it is closed: one process at a time
        try:
            with scratch.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(scratch, path)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
        with suppress(OSError):  # not every file system can; the file itself is safe
            os.fsync(folder)
    finally:
        os.close(folder)
