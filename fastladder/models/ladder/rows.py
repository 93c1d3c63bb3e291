"""What a `LadderNetwork` is declared in: the rows of its encoder, each with its inverse for the decoder.

Declarations hold no weights: they build modules for the shape (C, *S) of what lies below them.
"""

from dataclasses import dataclass
from math import prod, sqrt
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from fastladder.models.levels import Shape, spatial_dims
from fastladder.models.rows import AVERAGE_POOLS, MAX_POOLS
from fastladder.nn.checks import check_size
from fastladder.nn.convolution import CONVOLUTIONS, TRANSPOSED
from fastladder.ops.checks import check_option

PADDINGS = ("valid", "full")


class LadderRow:
    """A row of the encoder. Both of its modules are linear or a pool; normalisation and activation come after them."""

    activates = True  # whether a bias and an activation follow the normalisation

    def output_shape(self, shape: Shape) -> Shape:
        """What comes out where `shape` goes in."""
        raise NotImplementedError

    def build(self, shape: Shape, **factory: Any) -> nn.Module:
        """The encoder's module, from (N, *shape) to (N, *output_shape)."""
        raise NotImplementedError

    def build_inverse(self, shape: Shape, **factory: Any) -> nn.Module:
        """The decoder's module, from (N, *output_shape) back to (N, *shape)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Dense(LadderRow):
    """A dense row over all that lies below. Weights N(0, 1 / fan-in)."""

    units: int

    def __post_init__(self) -> None:
        check_size("units", self.units)

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def build(self, shape: Shape, **factory: Any) -> nn.Module:
        return ShapedLinear(shape, (self.units,), **factory)

    def build_inverse(self, shape: Shape, **factory: Any) -> nn.Module:
        return ShapedLinear((self.units,), shape, **factory)


@dataclass(frozen=True)
class Conv(LadderRow):
    """A convolution, whose inverse is a transposed one. Weights uniform within sqrt(3 / fan-in).

    Padding "valid" is none: the map shrinks, and grows again in the decoder. "full" is the other way round.
    """

    channels: int
    kernel_size: int
    padding: str = "valid"
    stride: int = 1

    def __post_init__(self) -> None:
        check_size("channels", self.channels)
        check_size("kernel_size", self.kernel_size)
        check_option("padding", self.padding, PADDINGS)
        check_size("stride", self.stride)

    @property
    def _options(self) -> dict[str, Any]:
        return {
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "padding": self.kernel_size - 1 if self.padding == "full" else 0,
            "bias": False,
        }

    def output_shape(self, shape: Shape) -> Shape:
        spatial_dims(shape)
        reach = 2 * self._options["padding"] - self.kernel_size
        return (self.channels, *((n + reach) // self.stride + 1 for n in shape[1:]))

    def build(self, shape: Shape, **factory: Any) -> nn.Module:
        return UniformConvolution(
            CONVOLUTIONS[spatial_dims(shape)](shape[0], self.channels, **self._options, **factory), self.channels
        )

    def build_inverse(self, shape: Shape, **factory: Any) -> nn.Module:
        return UniformConvolution(
            TRANSPOSED[spatial_dims(shape)](self.channels, shape[0], **self._options, **factory),
            shape[0],
            output_size=shape[1:],
        )


@dataclass(frozen=True)
class Pool(LadderRow):
    """A pool over windows that do not overlap; the last may be cut off. The inverse copies to the whole window."""

    stride: int
    pools: ClassVar[dict[int, type[nn.Module]]]
    activates = False

    def __post_init__(self) -> None:
        check_size("stride", self.stride)

    def output_shape(self, shape: Shape) -> Shape:
        spatial_dims(shape)
        return (shape[0], *(-(-n // self.stride) for n in shape[1:]))

    def build(self, shape: Shape, **factory: Any) -> nn.Module:
        return self.pools[spatial_dims(shape)](self.stride, ceil_mode=True)

    def build_inverse(self, shape: Shape, **factory: Any) -> nn.Module:
        return Unpool(self.stride, shape[1:])


class MaxPool(Pool):
    """The maximum of each window."""

    pools = MAX_POOLS


class AvgPool(Pool):
    """The average of each window."""

    pools = AVERAGE_POOLS


class ShapedLinear(nn.Linear):
    """A linear layer without a bias between shapes: (N, *input_shape) to (N, *output_shape)."""

    def __init__(self, input_shape: Shape, output_shape: Shape, **factory: Any) -> None:
        super().__init__(prod(input_shape), prod(output_shape), bias=False, **factory)
        self.output_shape = output_shape

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=1 / sqrt(self.in_features))

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(1)).unflatten(1, self.output_shape)


class UniformConvolution(nn.Module):
    """A convolution, or a transposed one to `output_size`, with the initial weights of the Ladder network."""

    def __init__(self, convolution: Any, channels: int, output_size: Shape | None = None) -> None:
        super().__init__()
        self.convolution, self.channels, self.output_size = convolution, channels, output_size
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = sqrt(3 * self.channels / self.convolution.weight.numel())
        nn.init.uniform_(self.convolution.weight, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return self.convolution(input, *([] if self.output_size is None else [self.output_size]))


class Unpool(nn.Module):
    """The inverse of a pool: every position of a window gets what the window has."""

    def __init__(self, stride: int, output_size: Shape) -> None:
        super().__init__()
        self.stride, self.output_size = stride, output_size

    def forward(self, input: Tensor) -> Tensor:
        output = functional.interpolate(input, scale_factor=self.stride)
        for dim, size in enumerate(self.output_size, start=2):
            output = output.narrow(dim, 0, size)
        return output

    def extra_repr(self) -> str:
        return f"{self.stride}, output_size={self.output_size}"
