"""The ends of the networks: from an image to the lowest hidden layer, and from that to what is observed."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from fastladder.models.ladder_vae.gaussians import MLP, NormedLinear, Style


def normed(convolution: nn.Conv2d | nn.ConvTranspose2d, style: Style) -> list[nn.Module]:
    """A convolution, batch normalisation if the style has it, and a nonlinearity."""
    norms = [nn.BatchNorm2d(convolution.out_channels, **style.factory)] if style.norm == "batch" else []
    return [convolution, *norms, style.activation()]


def smaller_shape(shape: tuple[int, ...], channels: Sequence[int]) -> tuple[int, ...]:
    """The shape (C, H, W) of an image after convolutions that halve its height and width.

    Raises:
        ValueError: the image cannot be halved so many times.
    """
    factor = 2 ** len(channels)
    if len(shape) != 3 or shape[1] % factor or shape[2] % factor:
        raise ValueError(
            f"input_shape: got {shape}, needs (C, H, W) with height and width that {factor} divides, for "
            f"{len(channels)} convolutions"
        )
    return (channels[-1], shape[1] // factor, shape[2] // factor)


class ImageReader(nn.Sequential):
    """From images (N, *input_shape) to hidden units (N, hidden): convolutions that halve the image, then an `MLP`.

    Without channels there are no convolutions, as in the paper.
    """

    def __init__(self, input_shape: tuple[int, ...], channels: Sequence[int], hidden: int, style: Style) -> None:
        layers: list[nn.Module] = []
        shape = input_shape
        if channels:
            shape = smaller_shape(input_shape, channels)
            for before, after in zip((input_shape[0], *channels), channels, strict=False):
                layers += normed(nn.Conv2d(before, after, 4, 2, 1, bias=style.bias, **style.factory), style)
        super().__init__(*layers, nn.Flatten(), MLP(prod(shape), hidden, style))


class ImageWriter(nn.Module):
    """From latent variables (N, in_features) to what is observed, (N, parts, *input_shape): `ImageReader` in reverse.

    The last layer has a bias and no normalisation.
    """

    def __init__(
        self,
        in_features: int,
        hidden: int,
        channels: Sequence[int],
        input_shape: tuple[int, ...],
        parts: int,
        style: Style,
    ) -> None:
        super().__init__()
        self.shape = (parts, *input_shape)
        layers: list[nn.Module] = [MLP(in_features, hidden, style)]
        if not channels:
            layers.append(nn.Linear(hidden, prod(self.shape), **style.factory))
        else:
            shape = smaller_shape(input_shape, channels)
            layers += [NormedLinear(hidden, prod(shape), style), style.activation(), nn.Unflatten(1, shape)]
            backward = list(reversed(channels))
            for before, after in pairwise(backward):
                layers += normed(nn.ConvTranspose2d(before, after, 4, 2, 1, bias=style.bias, **style.factory), style)
            layers.append(nn.ConvTranspose2d(channels[0], parts * input_shape[0], 4, 2, 1, **style.factory))
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        output: Tensor = self.layers(z)
        return output.flatten(1).unflatten(1, self.shape)
