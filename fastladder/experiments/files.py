"""Files that somebody keeps: whoever reads one, also after a crash, finds the old content or the new, and all of it."""

import errno
import glob
import io
import json
import os
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastladder.experiments.errors import RunError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


ABANDONED = 3600  # seconds
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}  # what a disk does to those who write


class WriteError(RunError):
    """A file that cannot be written. What was there before is as it was."""


def write(path: Path, content: str | bytes | memoryview) -> None:
    """Writes a file whole or not at all: beside it first, and when that has reached the disk, in one step in its place.

    Args:
        path: of the file, in a folder that is there. A file that is replaced keeps its mode; a link stays one; a device
            or a pipe is written to as it is.
        content: text becomes UTF-8.

    Raises:
        WriteError: it cannot be written, as on a full disk.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        mode = _mode(path)
        if mode is None or stat.S_ISREG(mode):
            _replace(Path(os.path.realpath(path)), data, mode and stat.S_IMODE(mode))
        else:
            path.write_bytes(data)  # by this name: that of an unnamed pipe below /proc cannot be opened
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


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _replace(path: Path, data: bytes | memoryview, mode: int | None) -> None:
    if mode is not None:
        path.open("r+b").close()  # what may not be written to may not be replaced
    _remove_abandoned(path)
    # A name of its own, as several processes may write the file at once. The system gives it the umask's mode.
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with scratch.open("xb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # not every file system can; the file itself is safe
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _remove_abandoned(path: Path) -> None:
    """Removes what killed processes left of this file, so long ago that nobody can still be writing it."""
    for scratch in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with suppress(OSError):
            if time.time() - scratch.lstat().st_mtime > ABANDONED:
                scratch.unlink()
