"""The rows that an `RLadder` is declared in, as in the tables of Recurrent Ladder Networks (appendix D).

A `Level` pairs an encoder row with the decoder cell that stands beside it. Declarations hold no weights: an encoder row
builds its module for the shape (C, *S) of its input, a decoder cell for the shapes of top and lateral.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from torch import nn

from fastladder import nn as cells
from fastladder.models.rladder import modules
from fastladder.models.spatial import AVERAGE_POOLS, MAX_POOLS, Shape, spatial_dims
from fastladder.nn.convolution import check_top, padding_of


class EncoderRow:
    """A row of the encoder."""

    stride = 1  # by which it divides the spatial size
    recurrent = False  # whether it has a state and takes the decoder's feedback

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of its output for an input of this shape, both (C, *S)."""
        raise NotImplementedError

    def build(self, shape: Shape, **options: Any) -> nn.Module:
        """The module for an input of this shape.

        Args:
            shape: (C, *S).
            options: steps, device and dtype; for a recurrent row feedback_size too.
        """
        raise NotImplementedError


class DecoderCell:
    """A decoder cell, from a top and a lateral to an output shaped like the lateral."""

    def build(self, top: Shape, lateral: Shape, *, stride: int, init: str, **options: Any) -> nn.Module:
        """The module for these shapes.

        Args:
            top: (C, *S) of what comes from the level above.
            lateral: (C, *S) of what comes from the encoder.
            stride: how much larger the lateral is than the top.
            init: of the activations of G1 and G2, "default" or "ladder".
            options: steps, device and dtype.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Level:
    """One row of a table. Without a decoder cell the decoder hands on the output of the encoder at that level."""

    encoder: EncoderRow
    decoder: DecoderCell | None = None


@dataclass(frozen=True)
class ConvLSTM(EncoderRow):
    """A convolutional LSTM with the decoder's feedback as its third input.

    Its norm is "layer" in an RLadder, "batch" in an RTagger. The gains of its hidden state and of the feedback start
    small: with 1, two of three terms would be noise at first, in every frame.
    """

    channels: int
    kernel_size: int
    stride: int = 1
    norm: str = "layer"
    hidden_gain: float = 0.1
    feedback_gain: float = 0.1
    recurrent = True

    def output_shape(self, shape: Shape) -> Shape:
        return (self.channels, *convolved(shape, self.kernel_size, self.stride))

    def build(self, shape: Shape, **options: Any) -> nn.Module:
        options |= {"norm": self.norm, **initial_gains(self, options["feedback_size"])}
        dims = spatial_dims(shape)
        return cells.ConvLSTMCell(shape[0], self.channels, self.kernel_size, stride=self.stride, dims=dims, **options)


@dataclass(frozen=True)
class LSTM(EncoderRow):
    """A dense LSTM over all channels and positions, with the decoder's feedback as its third input.

    With a norm its gains start like those of a `ConvLSTM`.
    """

    units: int
    norm: str = "none"
    hidden_gain: float = 0.1
    feedback_gain: float = 0.1
    recurrent = True

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def build(self, shape: Shape, **options: Any) -> nn.Module:
        options |= {"norm": self.norm, **initial_gains(self, options["feedback_size"])}
        return modules.FlatLSTMCell(prod(shape), self.units, **options)


def initial_gains(row: ConvLSTM | LSTM, feedback_size: int) -> dict[str, float]:
    """The arguments of a cell for the gains that it has."""
    gains = {"hidden_gain": row.hidden_gain} if row.norm != "none" else {}
    return gains | {"feedback_gain": row.feedback_gain} if gains and feedback_size else gains


@dataclass(frozen=True)
class Conv(EncoderRow):
    """Convolution, batch normalisation and ReLU."""

    channels: int
    kernel_size: int
    stride: int = 1

    def output_shape(self, shape: Shape) -> Shape:
        return (self.channels, *convolved(shape, self.kernel_size, self.stride))

    def build(self, shape: Shape, **options: Any) -> nn.Module:
        dims = spatial_dims(shape)
        return modules.NormalizedConv(
            shape[0], self.channels, self.kernel_size, stride=self.stride, dims=dims, **options
        )


@dataclass(frozen=True)
class Pool(EncoderRow):
    """A pool over windows that do not overlap, and batch normalisation.

    Positions that do not fill a window are left out.
    """

    stride: int
    pools: ClassVar[dict[int, type[nn.Module]]]

    def output_shape(self, shape: Shape) -> Shape:
        return (shape[0], *(n // self.stride for n in shape[1:]))

    def build(self, shape: Shape, **options: Any) -> nn.Module:
        return modules.NormalizedPool(self.pools[spatial_dims(shape)](self.stride), shape[0], **options)


class MaxPool(Pool):
    """The maximum of each window."""

    pools = MAX_POOLS


class AvgPool(Pool):
    """The average of each window."""

    pools = AVERAGE_POOLS


@dataclass(frozen=True)
class Dense(EncoderRow):
    """A linear map of all channels and positions, and batch normalisation.

    As the last row it makes the logits of the classes.
    """

    units: int

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def build(self, shape: Shape, **options: Any) -> nn.Module:
        return modules.NormalizedLinear(prod(shape), self.units, **options)


@dataclass(frozen=True)
class G1(DecoderCell):
    """The dense cell G1, over all channels and positions of its top and its lateral."""

    norm: str = "batch"
    squash_gate: bool = False

    def build(self, top: Shape, lateral: Shape, *, stride: int, init: str, **options: Any) -> nn.Module:
        return modules.FlatG1(
            prod(top), prod(lateral), norm=self.norm, squash_gate=self.squash_gate, init=init, **options
        )


@dataclass(frozen=True)
class ConvolutionalCell(DecoderCell):
    """A decoder cell that convolves its top, transposed for a stride above 1."""

    kernel_size: int

    def build(self, top: Shape, lateral: Shape, *, stride: int, init: str, **options: Any) -> nn.Module:
        options |= {"kernel_size": self.kernel_size, "stride": stride, "dims": spatial_dims(top, lateral)}
        cell, projection = self.build_cell(top[0], lateral[0], init=init, **options)
        check_top(projection, top[1:], lateral[1:])
        return cell

    def build_cell(self, top: int, lateral: int, *, init: str, **options: Any) -> tuple[nn.Module, nn.Module]:
        """The module for these channels, and its projection of the top."""
        raise NotImplementedError


@dataclass(frozen=True)
class ConvG1(ConvolutionalCell):
    """The convolutional cell G1."""

    norm: str = "batch"
    squash_gate: bool = False

    def build_cell(self, top: int, lateral: int, *, init: str, **options: Any) -> tuple[nn.Module, nn.Module]:
        cell = cells.ConvG1(top, lateral, norm=self.norm, squash_gate=self.squash_gate, init=init, **options)
        return cell, cell.projection


@dataclass(frozen=True)
class ConvG2(ConvolutionalCell):
    """The convolutional cell G2."""

    norm: str = "layer"

    def build_cell(self, top: int, lateral: int, *, init: str, **options: Any) -> tuple[nn.Module, nn.Module]:
        cell = cells.ConvG2(top, lateral, norm=self.norm, init=init, **options)
        return cell, cell.top_projection


@dataclass(frozen=True)
class ConvG3(ConvolutionalCell):
    """The convolutional cell G3, its hidden layer as wide as its top."""

    norm: str = "layer"
    output_scale: float = 1.0

    def build_cell(self, top: int, lateral: int, *, init: str, **options: Any) -> tuple[nn.Module, nn.Module]:
        options |= {"norm": self.norm, "output_scale": self.output_scale}
        cell = cells.ConvG3(top, lateral, hidden_size=top, **options)
        return cell, cell.top_projection


@dataclass(frozen=True)
class Broadcast(DecoderCell):
    """The inverse of an average over all positions: each position gets the top."""

    def build(self, top: Shape, lateral: Shape, *, stride: int, init: str, **options: Any) -> nn.Module:
        if top != (lateral[0], *[1] * spatial_dims(top, lateral)):
            raise ValueError(f"Broadcast: got a top of shape {top}, needs one position and {lateral[0]} channels")
        return modules.Broadcast()


def convolved(shape: Shape, kernel_size: int, stride: int) -> Sequence[int]:
    """The spatial size of (C, *S) after a convolution of `fastladder.nn`."""
    if stride == 1:
        return shape[1:]
    (padding,) = padding_of([kernel_size])
    return [(n + 2 * padding - kernel_size) // stride + 1 for n in shape[1:]]
