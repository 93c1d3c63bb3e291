"""What an array from a file has to be."""

from collections.abc import Sequence

import numpy as np

from fastladder.data.idx import DataError


def check_array(place: str, array: np.ndarray | None, kind: type, shape: Sequence[int | None]) -> np.ndarray:
    """The array itself, which is to be there, of that kind and shape, where None is any size above 0.

    Raises:
        DataError: it is not; the message begins with `place`.
    """
    sizes = ", ".join("N" if size is None else str(size) for size in shape)
    needed = f"{kind.__name__} of shape ({sizes}{',' if len(shape) == 1 else ''})"
    if array is None:
        raise DataError(f"{place}: got none, needs {needed}")
    fits = array.ndim == len(shape) and all(
        size > 0 if wanted is None else size == wanted for size, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits or not np.issubdtype(array.dtype, kind):
        raise DataError(f"{place}: got {array.dtype} of shape {array.shape}, needs {needed}")
    return array
