"""The rows that a `LadderNetwork` is declared in: rows of its encoder, each with its inverse for the decoder.

Declarations hold no weights: they build modules for the shape (C, *S) of the row's input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod, sqrt
from numbers import Integral
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from fastladder.models.spatial import AVERAGE_POOLS, MAX_POOLS, Shape, spatial_dims
from fastladder.nn.checks import check_shape, check_size
from fastladder.nn.convolution import CONVOLUTIONS, TRANSPOSED
from fastladder.ops.checks import check_option

PADDINGS = ("valid", "full")


class LadderRow:
    """A row of the encoder. Both of its modules are linear or a pool; normalisation and activation come after them."""

    activates = True  # whether a bias and an activation follow the normalisation

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of its output for an input of this shape, both (C, *S)."""
        raise NotImplementedError

    def build(self, shape: Shape, **factory: Any) -> nn.Module:
        """The encoder's module, from (N, *shape) to (N, *output_shape)."""
        raise NotImplementedError

    def build_inverse(self, shape: Shape, **factory: Any) -> nn.Module:
        """The decoder's module, from (N, *output_shape) back to (N, *shape)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Dense(LadderRow):
    """A dense row over all channels and positions. Weights N(0, 1 / fan-in)."""

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

    With padding "valid", which is none, a map shrinks by kernel_size - 1 in the encoder and grows in the decoder; with
    "full" it grows in the encoder and shrinks in the decoder.
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
    """A pool over windows that do not overlap. The last window may be smaller.

    The inverse copies the value of a window to all of its positions.
    """

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
    """The inverse of a pool: copies the value of a window to all of its positions."""

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


def declared_rows(levels: Any) -> list[LadderRow]:
    """Checks the levels of a network, rows or the units of dense ones, and returns them as rows."""
    rows = levels if isinstance(levels, Sequence) and not isinstance(levels, str) else []
    rows = [Dense(int(row)) if isinstance(row, Integral) and not isinstance(row, bool) else row for row in rows]
    if not rows or not all(isinstance(row, LadderRow) for row in rows):
        raise TypeError(f"levels: got {levels!r}, needs a sequence of units or rows of fastladder.models.ladder")
    return rows


def level_shapes(input_shape: int | Sequence[int], rows: list[LadderRow]) -> list[Shape]:
    """Checks that every row fits on the one below it, and returns the shapes (C, *S) of the levels 0 to L."""
    sizes = check_shape("input_shape", input_shape)
    if not 1 <= len(sizes) <= 4:
        raise ValueError(f"input_shape: got {sizes}, needs features or (C, *S) with one to three spatial sizes")
    shapes: list[Shape] = [sizes]
    for number, row in enumerate(rows):
        try:
            shapes.append(row.output_shape(shapes[-1]))
            if min(shapes[-1]) < 1:
                raise ValueError(f"{row} leaves nothing of an input of shape {shapes[-2]}")
        except ValueError as error:
            raise ValueError(f"levels[{number}]: {error}") from error
    return shapes
