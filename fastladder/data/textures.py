"""Textured digits: one or two digits filled with textures, on a textured background, after Tagger, section 3."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from fastladder.data.digits import Digits, bundled_digits, split_digits
from fastladder.data.grouped import GroupedImages, GroupedSplits, check_sizes
from fastladder.data.mnist_files import mnist_splits
from fastladder.data.strokes import MARGIN, enlarged

TEXTURE_SIZE = 38  # height and width of a texture
FREQUENCIES = tuple(
    (down, across + index) for index, down in enumerate((4, 10, 21, 32, 37)) for across in (0, 4, 8, 12)
)
"""The 20 textures: cycles per 38 pixels, down the rows and across the columns. 32 and 37 are also -6 and -1."""

PHASE_SEED = 546_298  # that of the paper's program, and like there the same textures for all splits
SHIFT = MARGIN  # pixels by which each of two digits is moved
SCORED = 0.9  # a pixel belongs to a layer that has more than this share of it
CHUNK = 1000  # images made at once


def texture_bank() -> Tensor:
    """(20, 38, 38) float32 in [0, 1]: waves cos(2 pi (f_1 row + f_2 column) / 38 + phase), scaled to the whole range.

    Each is the real part of an inverse discrete Fourier transform of a single coefficient of random phase.
    """
    phases = 2 * np.pi * np.random.RandomState(PHASE_SEED).rand(len(FREQUENCIES))
    along = torch.arange(TEXTURE_SIZE, dtype=torch.float64)
    down, across = torch.tensor(FREQUENCIES)[:, :, None, None].unbind(1)
    angle = 2 * torch.pi / TEXTURE_SIZE * (down * along[:, None] + across * along)
    waves = torch.cos(angle + torch.from_numpy(phases)[:, None, None])
    low, high = waves.amin((1, 2), keepdim=True), waves.amax((1, 2), keepdim=True)
    return ((waves - low) / (high - low)).float()


def composite(textures: Tensor, mattes: Tensor) -> tuple[Tensor, Tensor]:
    """Lays textures over each other, each through its matte: x = a t + (1 - a) x with matte a and texture t.

    Args:
        textures: (N, L, H, W) from the background upwards.
        mattes: (N, L - 1, H, W) in [0, 1], how much of every layer but the background covers what is below it.

    Returns:
        The images (N, H, W), and (N, L, H, W) the share of each layer in every pixel, which add to 1 over layers.
    """
    image = textures[:, 0]
    shares = torch.ones_like(textures)
    for layer, matte in enumerate(mattes.unbind(1), 1):
        image = image.lerp(textures[:, layer], matte)
        shares[:, layer] = matte
        shares[:, :layer] *= 1 - matte[:, None]
    return image, shares


def textured_digits(digits: Digits, count: int, objects: int, *, seed: int) -> GroupedImages:
    """Draws images of one or two textured digits on a textured background, all textures of an image different.

    A texture is a random piece of one of `texture_bank`, a digit's ink the matte through which it is seen. A single
    digit stays where it is. Of two, one is moved two pixels left and up, the other right and down, what leaves the
    image is lost, and a random one is on top. Every digit is shown as often as any other, give or take one, at
    each depth.

    Args:
        digits: those to show, of height and width 3 to 38, which are the images' too.
        count: the number of images, M.
        objects: the number of digits in an image, 1 or 2.
        seed: 0 or more; it alone decides the outcome.

    Returns:
        Groups are 1 for the background, 2 for the lower digit and 3 for the upper one; a pixel that no layer has more
        than 0.9 of is not scored. labels (M, objects) are those of the lower and the upper digit.
    """
    height, width = digits.images.shape[1:]
    if not SHIFT < min(height, width) <= max(height, width) <= TEXTURE_SIZE:
        raise ValueError(f"digits: got images of {height} x {width}, needs {SHIFT + 1} to {TEXTURE_SIZE} both ways")
    if count < 1:
        raise ValueError(f"count: got {count}, needs 1 or more")
    if objects not in (1, 2):
        raise ValueError(f"objects: got {objects}, needs 1 or 2")
    if seed < 0:
        raise ValueError(f"seed: got {seed}, needs 0 or more")
    generator = np.random.default_rng(seed)
    layers = objects + 1
    bank = texture_bank()
    shown = torch.stack([_draw_evenly(len(digits), count, generator) for _ in range(objects)], 1)
    # (M, objects): whether a digit is the one moved left and up.
    raised = torch.from_numpy(generator.integers(2, size=(count, 1)) == np.arange(objects))
    which = generator.permuted(np.tile(np.arange(len(bank)), (count, 1)), axis=1)[:, :layers]
    top = generator.integers(TEXTURE_SIZE - height + 1, size=(count, layers))
    left = generator.integers(TEXTURE_SIZE - width + 1, size=(count, layers))
    texture, row, column = (torch.from_numpy(drawn)[:, :, None, None] for drawn in (which, top, left))

    images = torch.empty(count, height, width)
    groups = torch.empty(count, height, width, dtype=torch.uint8)
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        rows = row[part] + torch.arange(height)[:, None]
        columns = column[part] + torch.arange(width)
        mattes = digits.images[shown[part]]
        if objects == 2:
            mattes = torch.where(raised[part, :, None, None], _moved(mattes, -SHIFT), _moved(mattes, SHIFT))
        images[part], shares = composite(bank[texture[part], rows, columns], mattes)
        share, layer = shares.max(1)
        groups[part] = torch.where(share > SCORED, layer + 1, 0)
    name = {1: "one textured digit", 2: "two textured digits"}[objects]
    return GroupedImages(images, groups, digits.labels[shown], f"{name} of {digits.source}")


def texture_splits(
    source: Literal["mnist", "bundled"],
    objects: int,
    sizes: tuple[int, int, int] = (50_000, 10_000, 10_000),
    folder: str | Path | None = None,
    download: bool = False,
    seed: int = 0,
) -> GroupedSplits:
    """Textured digits to learn from, to choose by and to report on, with no digit in two of the splits.

    "mnist" with two objects is the paper's TextureMNIST2, with one object its TextureMNIST1, drawn anew. The paper's
    program draws the pairs of its training and its validation images from the same 60,000 digits, so that they share
    digits; here the validation images show the last 10,000 of these, and the training images the others.

    Args:
        source: "mnist", or "bundled", the digits of scikit-learn enlarged to 20 x 20.
        objects: the number of digits in an image, 1 or 2.
        sizes: the number of images in train, valid and test, which may exceed the number of digits.
        folder: where MNIST lies, see `mnist`.
        download: fetch MNIST into that folder if it is not there.
        seed: 0 or more.

    Raises:
        DataError: MNIST is missing or damaged, or scikit-learn is not installed.
    """
    check_sizes(sizes)
    if source not in ("mnist", "bundled"):
        raise ValueError(f'source: got "{source}", needs "mnist" or "bundled"')
    if seed < 0:
        raise ValueError(f"seed: got {seed}, needs 0 or more")
    splits = mnist_splits(folder, download=download) if source == "mnist" else split_digits(enlarged(bundled_digits()))
    seeds = np.random.SeedSequence(seed).generate_state(3)
    parts = zip(splits, sizes, seeds, strict=True)
    return GroupedSplits(*(textured_digits(part, count, objects, seed=int(state)) for part, count, state in parts))


def _draw_evenly(total: int, count: int, generator: np.random.Generator) -> Tensor:
    """(count,) int64 from 0 to total - 1 at random, none drawn again before all others have been."""
    rounds = -(-count // total)
    return torch.from_numpy(np.concatenate([generator.permutation(total) for _ in range(rounds)])[:count])


def _moved(mattes: Tensor, pixels: int) -> Tensor:
    """Images moved right and down, or left and up by a negative number; what comes in is 0."""
    return pad(mattes, (pixels, -pixels) * 2)
