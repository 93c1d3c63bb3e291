"""Labelled images of digits, from any source, and the real ones that come with scikit-learn."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastladder.data.grey_images import GreyImages
from fastladder.data.idx import DataError


@dataclass(frozen=True, eq=False)
class Digits(GreyImages):
    """Labelled images of digits.

    Attributes:
        images: (M, h, w) float32, ink 1 on background 0.
        labels: (M,) int64, 0 to 9.
        source: where they come from, in words.
    """

    def __post_init__(self) -> None:
        if self.images.dtype != torch.float32:
            shape = tuple(self.images.shape)
            raise ValueError(f"images: got {self.images.dtype} of shape {shape}, needs float32 (M, h, w)")
        super().__post_init__()
        if self.labels.max() > 9:
            raise ValueError(f"labels: got values in [{self.labels.min()}, {self.labels.max()}], needs 0 to 9")

    def halved(self) -> "Digits":
        """The digits at half the height and width, each pixel the mean of 2 x 2: 28 x 28 becomes 14 x 14."""
        height, width = self.images.shape[1:]
        if height % 2 or width % 2:
            raise ValueError(f"images: got {height} x {width}, halving needs an even height and width")
        images = torch.nn.functional.avg_pool2d(self.images[:, None], 2)[:, 0]
        return Digits(images, self.labels, f"{self.source}, halved")

    def repeated(self, times: int) -> "Digits":
        """All digits, and then all again, until each is there so many times."""
        return self.subset(torch.arange(len(self)).repeat(times))

    def joined(self, other: "Digits") -> "Digits":
        """These digits and then the others, of the same height and width."""
        if other.images.shape[1:] != self.images.shape[1:]:
            height, width = self.images.shape[1:]
            shape = tuple(other.images.shape)
            raise ValueError(f"other: got images of shape {shape}, needs (M, {height}, {width}) like these")
        images, labels = torch.cat([self.images, other.images]), torch.cat([self.labels, other.labels])
        return Digits(images, labels, self.source)


class Splits(NamedTuple):
    """Digits to learn from, to choose by and to report on, with no digit in two of them."""

    train: Digits
    valid: Digits
    test: Digits


def bundled_digits() -> Digits:
    """The 1797 real handwritten digits, 8 x 8, that come with scikit-learn: no download.

    Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI 1998 (its test part).

    Raises:
        DataError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError("the bundled digits need scikit-learn: pip install 'fastladder[train]'") from None
    bunch = load_digits()
    images = torch.from_numpy(bunch.images / 16).float()
    return Digits(images, torch.from_numpy(bunch.target).long(), "scikit-learn digits")


def split_digits(digits: Digits, fractions: tuple[float, float, float] = (0.7, 0.1, 0.2), seed: int = 0) -> Splits:
    """Splits digits at random, every class in the same proportions, into train, valid and test.

    The scikit-learn digits lie in blocks by writer; a random split gives all three parts the same writers.

    Args:
        digits: what is split; every digit goes to exactly one part.
        fractions: the share of train, valid and test, each above 0, adding to 1.
        seed: the same seed gives the same split.
    """
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions: got {fractions}, needs three numbers above 0 that add to 1")
    order = np.random.default_rng(seed).permutation(len(digits))
    labels = digits.labels.cpu().numpy()[order]
    # Where each digit stands within its own class, in (0, 1): sorted by it, any run of digits holds all classes evenly.
    standing = np.empty(len(digits))
    for label in np.unique(labels):
        members = labels == label
        standing[members] = (np.arange(members.sum()) + 0.5) / members.sum()
    order = order[np.argsort(standing, kind="stable")]
    bounds = np.round(np.cumsum(fractions)[:2] * len(digits)).astype(int)
    return Splits(*(digits.subset(np.sort(part)) for part in np.split(order, bounds)))


def balanced_draw(digits: Digits, labels: int, seed: int = 0) -> Tensor:
    """Chooses which digits keep their labels: the same number of every class, at random.

    Args:
        digits: those to choose from.
        labels: how many are chosen; a multiple of the number of classes.
        seed: the same seed chooses the same digits.

    Returns:
        (M,) bool, true where a digit is chosen.

    Raises:
        ValueError: the classes cannot all have the same number, or one has too few digits; the message says which.
    """
    known = digits.labels.cpu()
    classes, members = known.unique(return_counts=True)
    share, rest = divmod(labels, len(classes))
    if labels < 1 or rest:
        raise ValueError(
            f"labels: got {labels}, a balanced draw needs a multiple of the {len(classes)} classes, above 0"
        )
    if share > members.min():
        there = f"{members.min()} digits of class {classes[members.argmin()]}"
        raise ValueError(f"labels: got {labels}, needs {share} digits of every class, but there are {there}")
    generator = np.random.default_rng(seed)
    chosen = torch.zeros(len(known), dtype=torch.bool)
    for label in classes:
        indices = (known == label).nonzero()[:, 0].numpy()
        chosen[generator.choice(indices, share, replace=False)] = True
    return chosen
