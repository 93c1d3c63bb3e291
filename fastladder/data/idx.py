"""The idx file format, in which MNIST is published."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP = (
    b"\x1f\x8b"  # how such a file begins; names are no sign of it, as browsers unpack what they fetch and keep the name
)


class DataError(ValueError):
    """Data that is missing, damaged or of another kind than is needed. One line says which, and the remedy."""


def read_idx(path: str | Path) -> np.ndarray:
    """Reads an idx file, gzip or plain, as its content shows, as a writable array in native byte order.

    The format: two zero bytes, the code of the element type, the number of dimensions, each dimension as a big-endian
    uint32, then the elements, the last dimension varying fastest. Bytes are only ever read as numbers.

    Raises:
        DataError: the file is missing, unreadable, not idx, damaged, truncated or longer than its header says.
    """
    path = Path(path)
    content = read_bytes(path, "an idx file")
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in DTYPES:
        codes = ", ".join(f"{code:02x}" for code in DTYPES)
        raise DataError(
            f"{path}: starts with bytes {content[:4].hex(' ') or '(none)'}, "
            f"an idx file starts with 00 00, one of {codes}, and the number of dimensions"
        )
    dtype = np.dtype(DTYPES[content[2]])
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{path}: has {len(content)} bytes, its idx header alone needs {start}")
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    needed = start + dtype.itemsize * math.prod(shape)
    if len(content) != needed:
        raise DataError(f"{path}: has {len(content)} bytes, its header (shape {shape}, {dtype.name}) needs {needed}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def read_bytes(path: Path, kind: str) -> bytes:
    """What a file holds, unpacked where it is gzip; `kind` says what is needed, where it cannot be read.

    Raises:
        DataError: the file is missing, unreadable or a damaged gzip file.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(GZIP) else content
    except FileNotFoundError:
        raise DataError(f"{path}: no such file, {kind} is needed") from None
    except gzip.BadGzipFile as error:
        raise DataError(f"{path}: not a sound gzip file ({error}), its first bytes say it is one") from None
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: a truncated or damaged gzip file ({error}), a whole one is needed") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}), {kind} is needed") from None
