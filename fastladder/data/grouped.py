"""Images and sequences with the group that every pixel belongs to, which grouping is scored by and never shown."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class GroupedImages:
    """Images, the true group of every pixel and, where there are any, the digits in each image.

    Attributes:
        images: (M, H, W) float32 in [0, 1].
        groups: (M, H, W) uint8, the group of every pixel, counted from 1; 0 where it is not scored.
        labels: (M, L) int64, 0 to 9, the L = 1 or 2 digits of an image; None where what is shown has no class.
        source: where they come from, in words.
    """

    images: Tensor
    groups: Tensor
    labels: Tensor | None
    source: str

    def __post_init__(self) -> None:
        images, groups, labels = self.images, self.groups, self.labels
        if images.dim() != 3 or images.dtype != torch.float32:
            raise ValueError(f"images: got {images.dtype} of shape {tuple(images.shape)}, needs float32 (M, H, W)")
        if images.numel() == 0:
            raise ValueError(f"images: got shape {tuple(images.shape)}, needs one image of one pixel at least")
        if not (images.min() >= 0 and images.max() <= 1):  # written so that NaN is refused too
            raise ValueError(f"images: got values in [{images.min():g}, {images.max():g}], needs [0, 1]")
        if groups.shape != images.shape or groups.dtype != torch.uint8:
            needed = f"uint8 {tuple(images.shape)} like images"
            raise ValueError(f"groups: got {groups.dtype} of shape {tuple(groups.shape)}, needs {needed}")
        if labels is None:
            return
        if labels.shape not in ((len(images), 1), (len(images), 2)) or labels.dtype != torch.int64:
            needed = f"int64 ({len(images)}, 1) or ({len(images)}, 2), the digits of each image"
            raise ValueError(f"labels: got {labels.dtype} of shape {tuple(labels.shape)}, needs {needed}")
        if labels.min() < 0 or labels.max() > 9:
            raise ValueError(f"labels: got values in [{labels.min()}, {labels.max()}], needs 0 to 9")

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: Tensor | np.ndarray | list[int] | slice) -> "GroupedImages":
        """The images at `indices`, in that order."""
        index = indices if isinstance(indices, slice) else torch.as_tensor(indices)
        labels = None if self.labels is None else self.labels[index]
        return GroupedImages(self.images[index], self.groups[index], labels, self.source)

    def fingerprint(self) -> str:
        """The sha256 of images, groups and labels in hex: equal for equal content, whatever the source is called."""
        digest = hashlib.sha256()
        for tensor in (self.images, self.groups, self.labels):
            if tensor is not None:
                digest.update(repr(tuple(tensor.shape)).encode())
                digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()


class GroupedSplits(NamedTuple):
    """Images to learn from, to choose by and to report on."""

    train: GroupedImages
    valid: GroupedImages
    test: GroupedImages


class GroupedBatch(NamedTuple):
    """N images, or without the leading axis one.

    Attributes:
        image: (N, H, W) float32 in [0, 1]: the input, and without noise the target.
        groups: (N, H, W) uint8, the true group of every pixel, 0 where it is not scored. No model is shown it.
        label: (N, L) int64, the digits of an image, or None.
    """

    image: Tensor
    groups: Tensor
    label: Tensor | None


class GroupedSequence(NamedTuple):
    """One sequence, or with a leading batch axis several. T frames of size H x W.

    Attributes:
        frames: (T, H, W) float32 in [0, 1].
        groups: (T, H, W) uint8, the true group of every pixel, counted from 1; 0 where it is not scored.
        label: (L,) int64, the digits.
    """

    frames: Tensor
    groups: Tensor
    label: Tensor


def check_sizes(sizes: tuple[int, int, int]) -> None:
    """Refuses numbers of images that make no splits."""
    if len(sizes) != 3 or min(sizes) < 1:
        raise ValueError(f"sizes: got {sizes}, needs three numbers above 0: train, valid and test")
