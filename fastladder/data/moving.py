"""Occluded moving digits: the generator of Recurrent Ladder Networks, section 4.1.

A digit moves over a frame at a constant velocity, bouncing off its edges, behind bars that hide whole rows and columns.
Background and occluders are 0, ink is up to 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fastladder.data.bouncing import Frames, bounce, check_placed, pixels, render

# (rows, columns) per frame: the knight's moves, so that no digit moves along an axis or a diagonal.
VELOCITIES = ((1, 2), (1, -2), (-1, 2), (-1, -2), (2, 1), (2, -1), (-2, 1), (-2, -1))


@dataclass(frozen=True)
class MovingDigits(Frames):
    """How digits move and what hides them. All sizes are in pixels.

    Attributes:
        frame_size: height and width of a frame.
        digit_size: height and width of a digit, less than a frame's.
        frames: the number of frames in a sequence.
        bar_width: the thickness of an occluding bar.
        bar_starts: the first row of every horizontal bar, and the first column of every vertical one. Empty: none.
    """

    frame_size: int = 32
    digit_size: int = 14
    frames: int = 5
    bar_width: int = 4
    bar_starts: tuple[int, ...] = (8, 20)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bar_width < 1:
            raise ValueError(f"bar_width: got {self.bar_width}, needs 1 or more (for no bars, bar_starts is empty)")
        last = self.frame_size - self.bar_width
        if not all(0 <= start <= last for start in self.bar_starts):
            raise ValueError(f"bar_starts: got {self.bar_starts}, needs 0 to {last}, so that bars lie in the frame")

    def visible(self, device: torch.device | str = "cpu") -> Tensor:
        """(frame_size, frame_size) bool: the pixels that no bar hides."""
        clear = torch.ones(self.frame_size, dtype=torch.bool)
        for start in self.bar_starts:
            clear[start : start + self.bar_width] = False
        return (clear[:, None] & clear).to(device)


PAPER = MovingDigits()
"""The paper's: 14 x 14 digits on 32 x 32, tiled 8 + 4 + 8 + 4 + 8, so that 56 % of a frame is visible."""

SMALL = MovingDigits(frame_size=20, digit_size=8, bar_width=2, bar_starts=(5, 13))
"""For the bundled 8 x 8 digits, on 20 x 20, tiled 5 + 2 + 6 + 2 + 5, so that 64 % of a frame is visible."""


def trajectories(count: int, config: MovingDigits, generator: torch.Generator) -> Tensor:
    """Draws where digits are, on the generator's device.

    The start is uniform over all places inside the frame, the velocity over the eight of `VELOCITIES`.

    Args:
        count: the number of sequences, N.
        config: the sizes.
        generator: its state decides the result.

    Returns:
        (N, frames, 2) int64, row and column, each from 0 to `config.margin`.
    """
    device = generator.device
    start = torch.randint(config.margin + 1, (count, 2), generator=generator, device=device)
    which = torch.randint(len(VELOCITIES), (count,), generator=generator, device=device)
    return bounce(start, torch.tensor(VELOCITIES, device=device)[which], config)


def occlude(frames: Tensor, config: MovingDigits) -> Tensor:
    """Hides what is behind the bars: (..., frame_size, frame_size) with the bars set to 0."""
    size = config.frame_size
    if frames.shape[-2:] != (size, size):
        raise ValueError(f"frames: got shape {tuple(frames.shape)}, needs (..., {size}, {size})")
    return frames * config.visible(frames.device)


def optimal_reconstruction(images: Tensor, positions: Tensor, config: MovingDigits) -> Tensor:
    """What can be known of the last frame with motion and segmentation given: the paper's optimal reconstruction.

    Every pixel of the digit that was visible in any frame, at its place in the last frame. What was never seen is 0.

    Args:
        images: (N, digit_size, digit_size).
        positions: (N, T, 2), on the images' device.
        config: the sizes.

    Returns:
        (N, 1, frame_size, frame_size) in the images' dtype.
    """
    check_placed(images, positions, config)
    known = _seen(positions, config)[:, -1].unflatten(1, images.shape[1:])
    return render(images * known, positions[:, -1:], config)[:, 0]


def coverage(positions: Tensor, config: MovingDigits) -> Tensor:
    """(N, T): the share of the digit's pixels, ink or not, visible in one at least of the frames so far."""
    return _seen(positions, config).float().mean(2)


def _seen(positions: Tensor, config: MovingDigits) -> Tensor:
    """(N, T, digit_size ** 2) bool: the pixels of the digit visible in that frame or an earlier one."""
    visible = config.visible(positions.device).flatten()[pixels(positions, config)]
    return visible.cummax(1).values
