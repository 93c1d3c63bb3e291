"""The networks that do nothing but classify, of Table 2 of Tagger and Table 4 of Recurrent Ladder Networks."""

from collections.abc import Sequence
from math import prod

from torch import nn

from fastladder.experiments.classification.classifiers import CLASSES


def mlp(data_shape: Sequence[int], widths: Sequence[int] = (2000, 2000, 2000)) -> nn.Sequential:
    r"""FC MLP: fully connected layers with batch normalisation and ReLU after each, and one to the logits.

    Args:
        data_shape: \*D, of an image.
        widths: of the layers.

    Raises:
        ValueError: a width is not above 0.
    """
    _check_positive("widths", widths)
    inputs = (prod(data_shape), *widths)
    layers: list[nn.Module] = [nn.Flatten()]
    for below, units in zip(inputs, widths, strict=False):
        layers += [nn.Linear(below, units, bias=False), nn.BatchNorm1d(units), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(inputs[-1], CLASSES))


def model_c(data_shape: Sequence[int], channels: Sequence[int] = (96, 192)) -> nn.Sequential:
    """ConvNet: Model C of Springenberg et al., Striving for Simplicity, 2015, as section 3.3 of Tagger changes it.

    Of images of 28 x 28, with channels A = 96 and B = 192:

        3 x 3 convolution to A, 28 x 28; twice
        3 x 3 max pool of stride 2, 14 x 14
        3 x 3 convolution to B, 14 x 14; twice
        3 x 3 max pool of stride 2, 7 x 7
        3 x 3 convolution to B without padding, 5 x 5
        1 x 1 convolution to B
        1 x 1 convolution to 10
        fully connected to the 10 logits, in place of an average over positions

    All convolutions have batch normalisation and ReLU; there is no dropout.

    Args:
        data_shape: (H, W), of an image, both 9 or more.
        channels: A and B.

    Raises:
        ValueError: an image is too small, or a number of channels is not above 0.
    """
    height, width = data_shape
    if min(height, width) < 9:
        raise ValueError(f"data_shape: got {height} x {width}, Model C needs 9 x 9 at least")
    _check_positive("channels", channels)
    lower, upper = channels
    positions = prod(-(-size // 4) - 2 for size in data_shape)  # two pools of stride 2, then a border lost
    return nn.Sequential(
        nn.Unflatten(1, (1, height)),
        *_convolution(1, lower, 3, padding=1),
        *_convolution(lower, lower, 3, padding=1),
        nn.MaxPool2d(3, stride=2, padding=1),
        *_convolution(lower, upper, 3, padding=1),
        *_convolution(upper, upper, 3, padding=1),
        nn.MaxPool2d(3, stride=2, padding=1),
        *_convolution(upper, upper, 3),
        *_convolution(upper, upper, 1),
        *_convolution(upper, CLASSES, 1),
        nn.Flatten(),
        nn.Linear(CLASSES * positions, CLASSES),
    )


def all_convolutional(data_shape: Sequence[int], channels: Sequence[int] = (96, 192)) -> nn.Sequential:
    """ConvNet: All-CNN-C, which is Model C of Springenberg et al. with convolutions of stride 2 in place of its pools.

    Recurrent Ladder Networks names it "model C" (appendix D.3), and does not say which of its variants that was. Of
    images of 96 x 96, with channels A = 96 and B = 192:

        3 x 3 convolution to A, 96 x 96; twice
        3 x 3 convolution to A of stride 2, 48 x 48
        3 x 3 convolution to B, 48 x 48; twice
        3 x 3 convolution to B of stride 2, 24 x 24
        3 x 3 convolution to B, 24 x 24
        1 x 1 convolution to B
        1 x 1 convolution to 10
        the average over all positions, which are the logits

    All convolutions but the last have batch normalisation and ReLU; there is no dropout.

    Args:
        data_shape: (H, W), of an image.
        channels: A and B.

    Raises:
        ValueError: a number of channels is not above 0.
    """
    _check_positive("channels", channels)
    lower, upper = channels
    return nn.Sequential(
        nn.Unflatten(1, (1, data_shape[0])),
        *_convolution(1, lower, 3, padding=1),
        *_convolution(lower, lower, 3, padding=1),
        *_convolution(lower, lower, 3, padding=1, stride=2),
        *_convolution(lower, upper, 3, padding=1),
        *_convolution(upper, upper, 3, padding=1),
        *_convolution(upper, upper, 3, padding=1, stride=2),
        *_convolution(upper, upper, 3, padding=1),
        *_convolution(upper, upper, 1),
        nn.Conv2d(upper, CLASSES, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def _convolution(below: int, channels: int, size: int, padding: int = 0, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(below, channels, size, stride=stride, padding=padding, bias=False)
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU()]


def _check_positive(name: str, sizes: Sequence[int]) -> None:
    if not sizes or min(sizes) < 1:
        raise ValueError(f"{name}: got {list(sizes)}, needs numbers above 0")
