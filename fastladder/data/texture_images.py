"""Textures as images, from any source, alike in brightness and contrast."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

MEAN, DEVIATION = 0.5, 0.2


@dataclass(frozen=True, eq=False)
class Textures:
    """Images of textures, from which pieces are cut.

    Attributes:
        images: (B, S, S) float32 in [0, 1], B from 2.
        source: where they come from, in words.
    """

    images: Tensor
    source: str

    def __post_init__(self) -> None:
        images = self.images
        came = f"images: got {images.dtype} of shape {tuple(images.shape)}"
        if images.dim() != 3 or images.shape[1] != images.shape[2] or images.dtype != torch.float32:
            raise ValueError(f"{came}, needs float32 (B, S, S)")
        if len(images) < 2 or images.numel() == 0:
            raise ValueError(f"{came}, needs two textures of one pixel at least")
        if not (images.min() >= 0 and images.max() <= 1):  # written so that NaN is refused too
            raise ValueError(f"images: got values in [{images.min():g}, {images.max():g}], needs [0, 1]")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        """S, height and width of a texture."""
        return self.images.shape[1]

    def halved(self) -> "Textures":
        """The textures at half the size, for images of half the size: each pixel is the mean of 2 x 2, standardised."""
        return standardised(avg_pool2d(self.images[:, None], 2)[:, 0], f"{self.source}, halved")

    def fingerprint(self) -> str:
        """The sha256 of the images in hex: equal for equal content, whatever the source is called."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        digest.update(self.images.cpu().numpy().tobytes())
        return digest.hexdigest()


def standardised(images: Tensor, source: str) -> Textures:
    """Textures whose pixels have a mean of 1/2 and a standard deviation of 1/5, but for what exceeds [0, 1].

    What is on a background of another texture is then told by the texture, and not by its brightness or contrast.

    Args:
        images: (B, S, S) floating point, of any finite values.
        source: where they come from, in words.

    Raises:
        ValueError: an image is of a single value, or has values that are not finite.
    """
    if not images.isfinite().all():
        raise ValueError("images: got NaN or infinity, needs finite numbers")
    if images.dim() != 3 or images.numel() == 0:
        raise ValueError(f"images: got shape {tuple(images.shape)}, needs (B, S, S) of one pixel at least")
    deviation, mean = torch.std_mean(images.double(), (1, 2), correction=0, keepdim=True)
    flat = (deviation.flatten() == 0).nonzero()
    if len(flat):
        raise ValueError(f"images: got texture {flat[0].item()} of a single value, needs textures that vary")
    standard = MEAN + DEVIATION * (images - mean) / deviation
    return Textures(standard.clamp(0, 1).float(), source)
