"""Several digits that move over a frame at once, and the digit that every pixel is of: Moving MNIST with its groups.

The sequences are those of Srivastava, Mansimov and Salakhutdinov, "Unsupervised Learning of Video Representations using
LSTMs" (ICML 2015), drawn anew, on which Recurrent Ladder Networks, section 4.3, group by motion.
"""

import hashlib
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from fastladder.data.bouncing import Frames, bounce, render
from fastladder.data.digits import Digits
from fastladder.data.drawn import DrawnDataset, Index, draw_evenly
from fastladder.data.grouped import GroupedSequence


@dataclass(frozen=True)
class MovingGroups(Frames):
    """How several digits move, each at the same speed in a direction of its own. All sizes are in pixels.

    Attributes:
        frame_size: height and width of a frame.
        digit_size: height and width of a digit, less than a frame's.
        frames: the number of frames in a sequence.
        speed: how far a digit moves from one frame to the next.
        objects: the number of digits in a sequence, 1 to 254.
    """

    frame_size: int = 64
    digit_size: int = 28
    frames: int = 20
    speed: float = 3.6
    objects: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.speed < inf:
            raise ValueError(f"speed: got {self.speed}, needs a finite number above 0")
        if not 1 <= self.objects <= 254:
            raise ValueError(f"objects: got {self.objects}, needs 1 to 254")


MOVING_MNIST = MovingGroups()
"""That of Moving MNIST: two 28 x 28 digits on 64 x 64 for 20 frames, a tenth of the way from edge to edge in each."""

MOVING_SMALL = MovingGroups(frame_size=32, digit_size=14, speed=1.8)
"""The same at half the size, for `enlarged(bundled_digits(), 14, margin=0)` or `Digits.halved` ones of MNIST."""


def directed_trajectories(count: int, config: MovingGroups, generator: torch.Generator) -> Tensor:
    """Draws where digits are, on the generator's device.

    Start and direction are uniform. The motion is exact, in fractions of a pixel, and what is returned is the nearest
    whole pixel to it, so that digits are as sharp as they are given, and every pixel is of a digit or not.

    Args:
        count: the number of digits, N.
        config: the sizes.
        generator: its state decides the result.

    Returns:
        (N, frames, 2) int64, row and column, each from 0 to `config.margin`.
    """
    device = generator.device
    start = config.margin * torch.rand(count, 2, generator=generator, device=device)
    angle = 2 * torch.pi * torch.rand(count, generator=generator, device=device)
    velocity = config.speed * torch.stack([angle.sin(), angle.cos()], 1)
    return bounce(start, velocity, config).round().long()


def overlay(inks: Tensor, *, background: bool = False, overlap: bool = False) -> tuple[Tensor, Tensor]:
    """Lays digits over each other: a pixel is as bright as the brightest of them, as in Moving MNIST.

    Args:
        inks: (N, L, *D) in [0, 1], L up to 254: the ink of each digit, 0 where it is not.
        background: whether pixels without ink are scored, as a group of their own, L + 1.
        overlap: whether pixels with ink of several digits are scored, as of the digit with the most ink there, the
            first of equals. In the paper neither is.

    Returns:
        What is seen (N, *D), and the groups (N, *D) uint8: 1 to L where there is ink of that digit alone.
    """
    # Groups are products and sums of bytes: on a CPU, where and masked_fill take longer than all of this together.
    seen = inks[:, 0]
    groups = seen.bool().byte()
    covered = groups.clone()
    for group, ink in enumerate(inks.unbind(1)[1:], 2):
        groups += (ink > seen) * (group - groups)
        covered += ink.bool()
        seen = seen.maximum(ink)
    if not overlap:
        groups *= covered == 1
    if background:
        groups += (covered == 0) * (inks.shape[1] + 1)
    return seen, groups


class GroupedMovingDigits(DrawnDataset[GroupedSequence]):
    """Sequences of several moving digits, with the digit that every pixel is of, counted from 1.

    Digits and their motion are drawn once from the seed and are the same on every device. Frames are drawn when they
    are asked for, see `fastladder.data.drawn.DrawnDataset`. Every digit is shown as often as any other, give or take
    one, in each of the groups.

    Args:
        digits: the images, of height and width `config.digit_size`.
        config: how they move, and how many at once.
        count: the number of sequences, which may exceed that of the digits.
        seed: 0 or more.
        background, overlap: whether such pixels are scored, see `overlay`; else their group is 0.
        device: where the frames are made. Other than "cpu" only with a DataLoader that has no workers.
    """

    def __init__(
        self,
        digits: Digits,
        config: MovingGroups = MOVING_MNIST,
        *,
        count: int,
        seed: int = 0,
        background: bool = False,
        overlap: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        config.check_digits(digits.images)
        self.digits, self.config = digits, config
        self.background, self.overlap = background, overlap
        self.images, self.labels = digits.images.to(device), digits.labels.to(device)
        self.source = f"{config.objects} moving digits of {digits.source}"
        super().__init__(count, seed)

    def decide(self, generator: torch.Generator) -> None:
        """Draws the digits of each sequence, and how they move."""
        objects = self.config.objects
        shown = [draw_evenly(len(self.digits), len(self), generator) for _ in range(objects)]
        self.shown = torch.stack(shown, 1).to(self.images.device)  # (M, L)
        positions = directed_trajectories(len(self) * objects, self.config, generator)
        self.positions = positions.unflatten(0, (len(self), objects)).to(self.images.device)  # (M, L, T, 2)

    def batch(self, index: Index) -> GroupedSequence:
        """Several sequences."""
        shown, positions = self.shown[index], self.positions[index]
        inks = render(self.images[shown.flatten()], positions.flatten(0, 1), self.config)[:, :, 0]
        frames, groups = overlay(inks.unflatten(0, shown.shape), background=self.background, overlap=self.overlap)
        return GroupedSequence(frames, groups, self.labels[shown])

    def fingerprint(self) -> str:
        """The sha256 of all that decides frames, groups and labels, with the epoch, in hex."""
        parts = f"{self.digits.fingerprint()} {self.config} {len(self)} {self.seed} {self.background} {self.overlap}"
        return hashlib.sha256(parts.encode()).hexdigest()
