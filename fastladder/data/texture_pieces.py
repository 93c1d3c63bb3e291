"""Square pieces that are cut out of textures, turned and scaled."""

from math import ceil, inf, log, sqrt
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from fastladder.data.texture_images import Textures


class Pieces(NamedTuple):
    """Where pieces are cut, of any leading shape.

    Attributes:
        texture: int64, which of the textures.
        row, column: of the middle of the piece in its texture, in pixels.
        angle: by which it is turned, in radians.
        scale: how many of its pixels a pixel of the texture fills, both ways.
    """

    texture: Tensor
    row: Tensor
    column: Tensor
    angle: Tensor
    scale: Tensor


def draw_pieces(
    count: int, textures: Textures, size: int, scales: tuple[float, float] | None, generator: torch.Generator
) -> Pieces:
    """Draws pairs of pieces, each of two textures, on the generator's device.

    A piece lies anywhere in its texture, at any angle, both uniform, and the logarithm of its scale is uniform too.

    Args:
        count: the number of pairs, M.
        textures: which; see `check_pieces`.
        size: height and width of a piece.
        scales: the smallest and the largest; None: pieces are neither turned nor scaled.
        generator: its state decides the result.

    Returns:
        Pieces of shape (M, 2).
    """
    device, total = generator.device, len(textures)
    first = torch.randint(total, (count,), generator=generator, device=device)
    second = (first + 1 + torch.randint(total - 1, (count,), generator=generator, device=device)) % total
    down, across, turn, zoom = torch.rand(4, count, 2, generator=generator, device=device)
    angle, scale = torch.zeros_like(turn), torch.ones_like(zoom)
    if scales is not None:
        low, high = map(log, scales)
        angle, scale = 2 * torch.pi * turn, (low + (high - low) * zoom).exp()
    reach = (size - 1) / 2 * (angle.cos().abs() + angle.sin().abs()) / scale  # of a piece from its middle
    row, column = (reach + place * (textures.size - 1 - 2 * reach) for place in (down, across))
    return Pieces(torch.stack([first, second], 1), row, column, angle, scale)


def cut(images: Tensor, pieces: Pieces, size: int) -> Tensor:
    """Cuts out pieces, interpolated linearly.

    Args:
        images: (B, S, S), of the textures.
        pieces: of shape (M,), on the images' device.
        size: height and width of a piece.

    Returns:
        (M, size, size).
    """
    texture, middle_row, middle_column, angle, scale = (each[:, None, None] for each in pieces)
    along = (torch.arange(size, device=images.device) - (size - 1) / 2) / scale
    row = middle_row + angle.cos() * along.mT + angle.sin() * along
    column = middle_column + angle.cos() * along - angle.sin() * along.mT
    # All textures are one image, one below the other, so that none has to be copied for its pieces.
    count, side = images.shape[:2]
    grid = torch.stack([column / (side - 1), (row + texture * side) / (count * side - 1)], 3)
    rows = grid_sample(images.view(1, 1, -1, side), 2 * grid.view(1, -1, size, 2) - 1, align_corners=True)
    return rows.view(-1, size, size)


def check_pieces(textures: Textures, size: int, scales: tuple[float, float] | None) -> None:
    """Refuses sizes and scales that are none, and textures that are too small for them."""
    if size < 1:
        raise ValueError(f"size: got {size}, needs 1 or more")
    needed, pieces = size, f"pieces of {size} x {size}"
    if scales is not None:
        if len(scales) != 2 or not 0 < scales[0] <= scales[1] < inf:
            raise ValueError(f"scales: got {scales}, needs two finite numbers above 0, the smaller one first")
        needed = 1 + ceil((size - 1) * sqrt(2) / scales[0])
        pieces += f" at any angle and scale {scales[0]:g}"
    needed = max(2, needed)
    if textures.size < needed:
        raise ValueError(f"textures: got {textures.size} x {textures.size}, needs {needed} x {needed} for {pieces}")
