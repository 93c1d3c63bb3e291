"""Digits that move over a frame and bounce off its edges: what all such sequences share.

Positions are (row, column) of a digit's upper left corner.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Frames:
    """The sizes of sequences, in pixels.

    Attributes:
        frame_size: height and width of a frame.
        digit_size: height and width of a digit, less than a frame's.
        frames: the number of frames in a sequence.
    """

    frame_size: int
    digit_size: int
    frames: int

    def __post_init__(self) -> None:
        if not 1 <= self.digit_size < self.frame_size:
            needed = f"1 to {self.frame_size - 1}, less than frame_size"
            raise ValueError(f"digit_size: got {self.digit_size}, needs {needed}")
        if self.frames < 1:
            raise ValueError(f"frames: got {self.frames}, needs 1 or more")

    @property
    def margin(self) -> int:
        """The largest row and column of a position: a digit there touches the far edge."""
        return self.frame_size - self.digit_size

    def check_digits(self, images: Tensor) -> None:
        """Refuses images of digits of another size."""
        size = self.digit_size
        if images.shape[1:] != (size, size):
            shape = tuple(images.shape)
            raise ValueError(f"digits: got images of shape {shape}, needs (M, {size}, {size}) by config.digit_size")


def bounce(start: Tensor, velocity: Tensor, config: Frames) -> Tensor:
    """Motion at a constant velocity between mirrors: p' = -p or p' = 2 margin - p, where the velocity changes its sign.

    Args:
        start: (N, 2), from 0 to `config.margin`, in whole pixels or floating point.
        velocity: (N, 2), rows and columns per frame.
        config: the sizes.

    Returns:
        (N, frames, 2), from 0 to `config.margin`.
    """
    time = torch.arange(config.frames, device=start.device)[:, None]
    # Motion between two mirrors is motion along a circle of twice the margin, folded in half.
    unfolded = (start[:, None] + time * velocity[:, None]) % (2 * config.margin)
    return config.margin - (config.margin - unfolded).abs()


def render(images: Tensor, positions: Tensor, config: Frames) -> Tensor:
    """Draws each digit into frames that are otherwise empty.

    Args:
        images: (N, digit_size, digit_size).
        positions: (N, T, 2) int64, on the images' device.
        config: the sizes.

    Returns:
        (N, T, 1, frame_size, frame_size) in the images' dtype.
    """
    check_placed(images, positions, config)
    count, frames = positions.shape[:2]
    empty = images.new_zeros(count, frames, config.frame_size**2)
    ink = images.flatten(1)[:, None].expand(-1, frames, -1)
    return empty.scatter_(2, pixels(positions, config), ink).unflatten(2, (1, config.frame_size, config.frame_size))


def pixels(positions: Tensor, config: Frames) -> Tensor:
    """(N, T, digit_size ** 2) int64: where in a flattened frame each pixel of the digit lies."""
    along = torch.arange(config.digit_size, device=positions.device)
    within = (along[:, None] * config.frame_size + along).flatten()
    corner = positions[..., 0] * config.frame_size + positions[..., 1]
    return corner[..., None] + within


def check_placed(images: Tensor, positions: Tensor, config: Frames) -> None:
    """Refuses images and positions that do not go together, or lie outside the frame."""
    size = config.digit_size
    if images.dim() != 3 or images.shape[1:] != (size, size):
        raise ValueError(f"images: got shape {tuple(images.shape)}, needs (N, {size}, {size})")
    if positions.dim() != 3 or positions.shape[0] != len(images) or positions.shape[2] != 2:
        raise ValueError(f"positions: got shape {tuple(positions.shape)}, needs ({len(images)}, T, 2)")
    if positions.device != images.device:
        raise ValueError(f"positions: got device {positions.device}, needs {images.device} like images")
    # Elsewhere than on the CPU the look at the values would wait for the device.
    if positions.device.type == "cpu" and positions.numel():
        low, high = positions.aminmax()
        if low < 0 or high > config.margin:
            raise ValueError(f"positions: got values from {low} to {high}, needs 0 to {config.margin}")
