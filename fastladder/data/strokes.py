"""Digits made larger and thicker, and as sharp as before."""

from dataclasses import replace

from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d, pad

from fastladder.data.digits import Digits

CONTRAST = 5  # of digits that are enlarged
MARGIN = 2  # empty pixels around them


def enlarge(images: Tensor, height: int, width: int) -> Tensor:
    """Images (N, h, w) at another size, interpolated linearly and with five times the contrast around 1/2.

    Ink is then all or nothing but at the edge of a stroke, as in MNIST, where half of the pixels of a small digit are
    in between, and cannot be given to one group.
    """
    images = interpolate(images[:, None], (height, width), mode="bilinear")[:, 0]
    return (CONTRAST * (images - 0.5) + 0.5).clamp(0, 1)


def enlarged(digits: Digits, size: int | None = None, margin: int = MARGIN) -> Digits:
    """The digits at another size, see `enlarge`, with empty pixels all around: 8 x 8 becomes 20 x 20.

    The margin is as wide as two textured digits are moved, so that none of their ink is lost.

    Args:
        digits: which.
        size: height and width of a digit without its margin; None: twice those it has.
        margin: how many empty pixels, 0 or more.
    """
    if size is not None and size < 1:
        raise ValueError(f"size: got {size}, needs 1 or more")
    if margin < 0:
        raise ValueError(f"margin: got {margin}, needs 0 or more")
    height, width = digits.images.shape[1:]
    images = enlarge(digits.images, size or 2 * height, size or 2 * width)
    return replace(digits, images=pad(images, (margin,) * 4), source=f"{digits.source}, enlarged")


def thickened(digits: Digits) -> Digits:
    """The digits with strokes that are one pixel wider on all sides: each pixel is the largest of 3 x 3."""
    images = max_pool2d(digits.images[:, None], 3, stride=1, padding=1)[:, 0]
    return replace(digits, images=images, source=f"{digits.source}, thickened")
