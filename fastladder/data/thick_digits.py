"""Thick digits of one texture on a background of another, after Recurrent Ladder Networks, section 4.2."""

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from fastladder.data.digits import Digits, Splits, bundled_digits, split_digits
from fastladder.data.drawn import DrawnDataset, Index, draw_evenly
from fastladder.data.grouped import GroupedBatch, GroupedImages, GroupedSplits, check_sizes
from fastladder.data.mnist_files import mnist_splits
from fastladder.data.strokes import enlarge, enlarged, thickened
from fastladder.data.texture_images import Textures
from fastladder.data.texture_pieces import Pieces, check_pieces, cut, draw_pieces
from fastladder.data.textures import SCORED

SCALES = (0.75, 1.5)  # the paper does not give its own
THICK_SIZES = {"mnist": 96, "bundled": 40}  # height and width of an image, by the source of its digit
CHUNK = 500  # images made at once


class TexturedThickDigits(DrawnDataset[GroupedBatch]):
    """Images of a digit filled with one texture on a background of another one.

    Each image has a piece of one texture for its digit and of another for its background, cut anywhere, turned by any
    angle, and scaled. Digits and pieces are drawn once from the seed and are the same on every device; images are drawn
    when they are asked for, see `fastladder.data.drawn.DrawnDataset`. Every digit is shown as often as any other, give
    or take one.

    The paper's images are of `thickened` digits of MNIST, at 96 x 96. At 48 x 48 the strokes of
    `enlarged(bundled_digits(), margin=1)` are thick enough, and textures that are `Textures.halved` go with them. The
    paper turns and scales its 20 textures "when producing the training data", and says no more of them: test images are
    then of the same textures as they are, with `scales=None`.

    Groups are 1 for the background and 2 for the digit. A pixel that neither has more than 0.9 of is not scored.

    Args:
        digits: what is shown, enlarged to the size of an image.
        textures: those of digits and backgrounds, large enough for a piece at any angle and scale.
        size: height and width of an image.
        scales: the smallest and the largest scale, between which its logarithm is uniform; at 2 a texture is twice as
            large. None: textures are neither turned nor scaled.
        count: the number of images, which may exceed that of the digits.
        seed: 0 or more.
        device: where images are made. Other than "cpu" only with a DataLoader that has no workers.
    """

    def __init__(
        self,
        digits: Digits,
        textures: Textures,
        size: int = 96,
        *,
        scales: tuple[float, float] | None = SCALES,
        count: int,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        check_pieces(textures, size, scales)
        self.digits, self.textures, self.size, self.scales = digits, textures, size, scales
        self.images, self.labels = digits.images.to(device), digits.labels[:, None].to(device)
        self.texture_images = textures.images.to(device)
        self.source = f"{digits.source}, of {textures.source}"
        super().__init__(count, seed)

    def decide(self, generator: torch.Generator) -> None:
        """Draws the digit of each image, and the pieces of textures that its background and its digit are."""
        device = self.images.device
        self.shown = draw_evenly(len(self.digits), len(self), generator).to(device)
        pieces = draw_pieces(len(self), self.textures, self.size, self.scales, generator)
        self.pieces = Pieces(*(each.to(device) for each in pieces))  # (M, 2)

    def batch(self, index: Index) -> GroupedBatch:
        """Several images."""
        pieces = Pieces(*(each[index].flatten() for each in self.pieces))
        below, above = cut(self.texture_images, pieces, self.size).unflatten(0, (-1, 2)).unbind(1)
        shown = self.shown[index]
        matte = enlarge(self.images[shown], self.size, self.size)
        groups = 2 * (matte > SCORED).byte() + (1 - matte > SCORED)
        # Interpolation rounds, to above 1 too.
        return GroupedBatch(below.lerp(above, matte).clamp(0, 1), groups, self.labels[shown])

    def fingerprint(self) -> str:
        """The sha256 of all that decides images, groups and labels, with the epoch, in hex."""
        content = f"{self.digits.fingerprint()} {self.textures.fingerprint()}"
        parts = f"{content} {self.size} {self.scales} {len(self)} {self.seed}"
        return hashlib.sha256(parts.encode()).hexdigest()

    def images_at_once(self) -> GroupedImages:
        """All images, made now and kept."""
        batches = [self.batch(part) for part in torch.arange(len(self)).split(CHUNK)]
        images, groups = (torch.cat(each) for each in zip(*(batch[:2] for batch in batches), strict=True))
        return GroupedImages(images, groups, self.labels[self.shown], self.source)


def thick_digit_splits(
    source: Literal["mnist", "bundled"],
    textures: Textures,
    sizes: tuple[int, int, int] = (50_000, 10_000, 10_000),
    folder: str | Path | None = None,
    download: bool = False,
    seed: int = 0,
) -> GroupedSplits:
    """Textured thick digits to learn from, to choose by and to report on, with no digit in two of the splits.

    All images are made at once. Those of "mnist" are the paper's, drawn anew: 96 x 96, 3 GB. Those of "bundled" are
    40 x 40. In training images the textures are turned and scaled, in the others they are as they are.

    Args:
        source: "mnist", or "bundled", the digits of scikit-learn.
        textures: those of digits and backgrounds.
        sizes: the number of images in train, valid and test, which may exceed the number of digits.
        folder: where MNIST lies, see `mnist`.
        download: fetch MNIST into that folder if it is not there.
        seed: 0 or more.

    Raises:
        DataError: MNIST is missing or damaged, or scikit-learn is not installed.
    """
    check_sizes(sizes)
    if source not in THICK_SIZES:
        raise ValueError(f'source: got "{source}", needs "mnist" or "bundled"')
    if source == "mnist":
        splits = Splits(*map(thickened, mnist_splits(folder, download=download)))
    else:
        splits = Splits(*(enlarged(part, margin=1) for part in split_digits(bundled_digits())))
    seeds = np.random.SeedSequence(seed).generate_state(3)
    parts = zip(splits, (SCALES, None, None), sizes, seeds, strict=True)
    size = THICK_SIZES[source]
    drawn = [
        TexturedThickDigits(digits, textures, size, scales=scales, count=count, seed=int(state))
        for digits, scales, count, state in parts
    ]
    return GroupedSplits(*(dataset.images_at_once() for dataset in drawn))
