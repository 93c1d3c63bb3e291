"""Labelled grey images, of which digits are one kind: what generative models learn from and are measured on."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self


@dataclass(frozen=True, eq=False)
class GreyImages:
    """Labelled grey images.

    Attributes:
        images: (M, h, w) float32 in [0, 1], or uint8 where the whole numbers from 0 to 255 matter.
        labels: (M,) int64, 0 or more: the class of each image.
        source: where they come from, in words.
    """

    images: Tensor
    labels: Tensor
    source: str

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        came = f"images: got {images.dtype} of shape {tuple(images.shape)}"
        if images.dim() != 3:
            raise ValueError(f"{came}, needs (M, h, w)")
        if images.dtype not in (torch.uint8, torch.float32):
            raise ValueError(f"{came}, needs uint8 or float32")
        if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
            needed = f"int64 ({len(images)},), one label for each image"
            raise ValueError(f"labels: got {labels.dtype} of shape {tuple(labels.shape)}, needs {needed}")
        if len(images) == 0:
            raise ValueError("images: got none, needs one at least")
        if images.dtype == torch.float32 and not (images.min() >= 0 and images.max() <= 1):  # NaN is refused too
            raise ValueError(f"images: got values in [{images.min():g}, {images.max():g}], needs [0, 1]")
        if labels.min() < 0:
            raise ValueError(f"labels: got values in [{labels.min()}, {labels.max()}], needs 0 or more")

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: Tensor | np.ndarray | list[int] | slice) -> Self:
        """The images at `indices`, in that order."""
        index = indices if isinstance(indices, slice) else torch.as_tensor(indices)
        return replace(self, images=self.images[index], labels=self.labels[index])

    def fingerprint(self) -> str:
        """The sha256 of images and labels in hex: equal for equal content, whatever the source is called."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        for tensor in (self.images, self.labels):
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class GreySplits:
    """Images to learn from and images to report on; `GreySplits(*mnist())` is MNIST.

    Attributes:
        train: those to learn from.
        test: those to report on.
        caveat: one line to print beside results that these data set apart from published ones; empty for none.
    """

    train: GreyImages
    test: GreyImages
    caveat: str = ""
