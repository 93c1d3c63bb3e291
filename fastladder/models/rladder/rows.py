"""What the tables of Recurrent Ladder Networks (appendix D) are written in: encoder rows and decoder cells, declared.

A `Level` pairs an encoder row with the decoder cell that stands beside it. Declarations hold no weights: encoder rows
build their module for the shape (C, *S) of what lies below them, decoder cells for the shapes of top and lateral.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import nn

from fastladder import nn as cells
from fastladder.models import rows
from fastladder.nn.convolution import check_top, padding_of

Shape = tuple[int, ...]  # (C, *S), without the batch


class EncoderRow:
    """An encoder row: how it divides the spatial size, and whether it has a state."""

    stride = 1
    recurrent = False

    def output_shape(self, shape: Shape) -> Shape:
        """What comes out where `shape` goes in."""
        raise NotImplementedError

    def build(self, shape: Shape, **options: Any) -> nn.Module:
        """The module for an input of this shape. Options: steps, device, dtype; for a recurrent row feedback_size."""
        raise NotImplementedError


class DecoderCell:
    """A decoder cell, from a top and a lateral to an output shaped like the lateral."""

    def build(self, top: Shape, lateral: Shape, *, stride: int, init: str, **options: Any) -> nn.Module:
        """The module for these shapes. Options: steps, device, dtype."""
        raise NotImplementedError


@dataclass(frozen=True)
class Level:
    """One row of a table. A decoder cell that is missing hands on what the encoder has there."""

    encoder: EncoderRow
    decoder: DecoderCell | None = None


@dataclass(frozen=True)
class ConvLSTM(EncoderRow):
    """A convolutional LSTM, the decoder's feedback its third input; norm "layer" (RLadder) or "batch" (RTagger)."""

    channels: int
    kernel_size: int
    stride: int = 1
    norm: str = "layer"
    recurrent = True

    def output_shape(self, shape: Shape) -> Shape:
        return (self.channels, *convolved(shape, self.kernel_size, self.stride))

    def build(self, shape: Shape, **options: Any) -> nn.Module:
        return cells.ConvLSTMCell(
            shape[0],
            self.channels,
            self.kernel_size,
            stride=self.stride,
            norm=self.norm,
            dims=spatial_dims(shape),
            **options,
        )


@dataclass(frozen=True)
class LSTM(EncoderRow):
    """A dense LSTM over all that lies below, with the decoder's feedback as its third input."""

    units: int
    norm: str = "none"
    recurrent = True

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def build(self, shape: Shape, **options: Any) -> nn.Module:
        return rows.FlatLSTMCell(prod(shape), self.units, norm=self.norm, **options)


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
        return rows.NormalizedConv(shape[0], self.channels, self.kernel_size, stride=self.stride, dims=dims, **options)


@dataclass(frozen=True)
class MaxPool(EncoderRow):
    """The maximum of windows that do not overlap."""

    stride: int

    def output_shape(self, shape: Shape) -> Shape:
        return (shape[0], *(n // self.stride for n in shape[1:]))

    def build(self, shape: Shape, **options: Any) -> nn.Module:
        return rows.Pool(rows.MAX_POOLS[spatial_dims(shape)](self.stride))


@dataclass(frozen=True)
class AvgPool(EncoderRow):
    """The average of windows that do not overlap."""

    stride: int

    def output_shape(self, shape: Shape) -> Shape:
        return (shape[0], *(n // self.stride for n in shape[1:]))

    def build(self, shape: Shape, **options: Any) -> nn.Module:
        return rows.Pool(rows.AVERAGE_POOLS[spatial_dims(shape)](self.stride))


@dataclass(frozen=True)
class Dense(EncoderRow):
    """A linear layer over all that lies below. As the last row it makes the logits of the classes."""

    units: int

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def build(self, shape: Shape, **options: Any) -> nn.Module:
        return rows.FlatLinear(prod(shape), self.units, device=options["device"], dtype=options["dtype"])


@dataclass(frozen=True)
class G1(DecoderCell):
    """The dense cell G1, over all channels and positions of its top and its lateral."""

    norm: str = "batch"
    squash_gate: bool = False

    def build(self, top: Shape, lateral: Shape, *, stride: int, init: str, **options: Any) -> nn.Module:
        return rows.FlatG1(prod(top), prod(lateral), norm=self.norm, squash_gate=self.squash_gate, init=init, **options)


@dataclass(frozen=True)
class ConvG1(DecoderCell):
    """The convolutional cell G1."""

    kernel_size: int
    norm: str = "batch"
    squash_gate: bool = False

    def build(self, top: Shape, lateral: Shape, *, stride: int, init: str, **options: Any) -> nn.Module:
        cell = cells.ConvG1(
            top[0],
            lateral[0],
            self.kernel_size,
            stride=stride,
            norm=self.norm,
            squash_gate=self.squash_gate,
            init=init,
            dims=spatial_dims(top, lateral),
            **options,
        )
        check_top(cell.projection, top[1:], lateral[1:])
        return cell


@dataclass(frozen=True)
class ConvG2(DecoderCell):
    """The convolutional cell G2."""

    kernel_size: int
    norm: str = "layer"

    def build(self, top: Shape, lateral: Shape, *, stride: int, init: str, **options: Any) -> nn.Module:
        cell = cells.ConvG2(
            top[0],
            lateral[0],
            self.kernel_size,
            stride=stride,
            norm=self.norm,
            init=init,
            dims=spatial_dims(top, lateral),
            **options,
        )
        check_top(cell.top_projection, top[1:], lateral[1:])
        return cell


@dataclass(frozen=True)
class ConvG3(DecoderCell):
    """The convolutional cell G3, its hidden layer as wide as its top."""

    kernel_size: int
    norm: str = "layer"

    def build(self, top: Shape, lateral: Shape, *, stride: int, init: str, **options: Any) -> nn.Module:
        cell = cells.ConvG3(
            top[0],
            lateral[0],
            top[0],
            self.kernel_size,
            stride=stride,
            norm=self.norm,
            dims=spatial_dims(top, lateral),
            **options,
        )
        check_top(cell.top_projection, top[1:], lateral[1:])
        return cell


@dataclass(frozen=True)
class Broadcast(DecoderCell):
    """The inverse of an average over all positions."""

    def build(self, top: Shape, lateral: Shape, *, stride: int, init: str, **options: Any) -> nn.Module:
        if top != (lateral[0], *[1] * spatial_dims(top, lateral)):
            raise ValueError(f"Broadcast: got a top of shape {top}, needs one position and {lateral[0]} channels")
        return rows.Broadcast()


def convolved(shape: Shape, kernel_size: int, stride: int) -> Sequence[int]:
    """The spatial size of (C, *S) after a convolution of `fastladder.nn`."""
    if stride == 1:
        return shape[1:]
    (padding,) = padding_of([kernel_size])
    return [(n + 2 * padding - kernel_size) // stride + 1 for n in shape[1:]]


def spatial_dims(*shapes: Shape) -> int:
    """The number of spatial dimensions of maps (C, *S), which must be the same for all of them."""
    dims = {len(shape) - 1 for shape in shapes}
    if len(dims) > 1 or dims == {0}:
        raise ValueError(f"got {' and '.join(map(str, shapes))}, needs maps (C, *S) with the same number of dimensions")
    return dims.pop()
