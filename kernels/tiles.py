"""How activations lie in memory, and the blocks that the kernels cut them into.

In either layout the elements of one part of the channels, (N, C, *S), are rows of contiguous columns, sample by sample:

    contiguous      a row is a sample and a channel, a column a position in S
    channels_last   a row is a sample and a position in S, a column a channel

A program handles one block of rows and columns, in each of the parts that its activations have.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastladder.ops.registration import is_channels_last

WARPS = 4
VECTOR_BYTES = 16  # what a thread loads at once
LINE_BYTES = 128  # channels_last: columns of a block; as few as fill a cache line, as more rows make fewer partial sums


@dataclass(frozen=True)
class Layout:
    """The rows and columns of activations (N, parts * C, *S), and the blocks for a kernel that reads them."""

    samples: int
    parts: int
    channels: int  # of one part
    positions: int  # the number of elements of S
    channels_last: bool  # also where there is one position
    block_rows: int
    block_columns: int

    @classmethod
    def of(cls, leader: Tensor, parts: int, thread_elements: int = 8) -> "Layout":
        """The layout of (N, parts * C, *S), for a kernel whose threads have registers for so many elements each."""
        samples, channels, *spatial = leader.shape
        channels, positions = channels // parts, math.prod(spatial)
        last = positions == 1 or is_channels_last(leader)
        elements = WARPS * 32 * min(thread_elements, VECTOR_BYTES // leader.element_size())
        widest = LINE_BYTES // leader.element_size() if last else elements
        block_columns = min(triton.next_power_of_2(max(channels if last else positions, 1)), widest)
        return cls(samples, parts, channels, positions, last, elements // block_columns, block_columns)

    @property
    def rows_per_sample(self) -> int:
        return self.positions if self.channels_last else self.channels

    @property
    def rows(self) -> int:
        return self.samples * self.rows_per_sample

    @property
    def columns(self) -> int:
        return self.channels if self.channels_last else self.positions

    @property
    def row_blocks(self) -> int:
        return triton.cdiv(self.rows, self.block_rows)

    @property
    def column_blocks(self) -> int:
        return triton.cdiv(self.columns, self.block_columns)

    @property
    def channel_partials(self) -> int:
        """How many partial sums there are of each channel."""
        return self.row_blocks if self.channels_last else self.column_blocks * self.samples

    def inverse_count(self, norm: str, norm_groups: int = 1) -> float:
        """1 / the elements of a norm group."""
        if norm == "none":
            return 1.0
        count = self.samples if norm == "batch" else self.parts * self.channels // norm_groups
        return 1.0 / max(count * self.positions, 1)

    def launch(self, kernel: Any, leader: Tensor, *arguments: Any, **options: Any) -> None:
        """Runs `kernel`, one program a block, on the device of `leader`; its last arguments are the extents."""
        launch(
            kernel,
            leader,
            self.row_blocks * self.column_blocks,
            *arguments,
            self.rows,
            self.columns,
            self.rows_per_sample,
            channels_last=self.channels_last,
            block_rows=self.block_rows,
            block_columns=self.block_columns,
            num_warps=WARPS,
            **options,
        )


def launch(kernel: Any, leader: Tensor, programs: int, *arguments: Any, **options: Any) -> None:
    """Runs `kernel` on the device of `leader`; without programs (empty tensors) there is nothing to run."""
    if programs > 0:
        with torch.cuda.device_of(leader):
            kernel[(programs,)](*arguments, **options)


class Tile(NamedTuple):
    """Where the block of one program lies: R rows and B columns."""

    mask: tl.tensor  # (R, B): inside the activations
    row: tl.tensor  # (R)
    row_mask: tl.tensor  # (R)
    rows: tl.tensor
    sample: tl.tensor  # (R)
    samples: tl.tensor
    channel: tl.tensor  # (R), or channels_last (B)
    channel_mask: tl.tensor  # likewise
    channels: tl.tensor
    column_block: tl.tensor
    column_blocks: tl.tensor
    channel_partial: tl.tensor  # (R), or channels_last a scalar: which partial sum of its channels this block gives
    outer: tl.tensor  # (R, 1): activations with P parts are [outer, P, inner] in memory
    inner: tl.tensor  # (R, B)
    inner_size: tl.tensor


@triton.jit
def locate(
    rows,  # of the layout, see Layout
    columns,  # of a row
    rows_per_sample,  # positions in channels_last, else channels
    channels_last: tl.constexpr,
    descending: tl.constexpr,  # whether the last block runs first, which an earlier pass has left in the cache
    block_rows: tl.constexpr,
    block_columns: tl.constexpr,
):
    """The tile of this program. Row offsets are int64."""
    block = tl.program_id(0)
    if descending:
        block = tl.num_programs(0) - 1 - block
    column_blocks = tl.cdiv(columns, block_columns)
    row_block = block // column_blocks
    column_block = block % column_blocks
    row = row_block.to(tl.int64) * block_rows + tl.arange(0, block_rows)
    column = column_block * block_columns + tl.arange(0, block_columns)
    row_mask = row < rows
    mask = row_mask[:, None] & (column < columns)[None, :]
    sample = row // rows_per_sample
    samples = rows // rows_per_sample
    if channels_last:
        channel = column
        channel_mask = column < columns
        channels = columns
        channel_partial = row_block.to(tl.int64)
        outer = row[:, None]
        inner = column[None, :]
        inner_size = columns
    else:
        channel = row - sample * rows_per_sample
        channel_mask = row_mask
        channels = rows_per_sample
        channel_partial = column_block.to(tl.int64) * samples + sample
        outer = sample[:, None]
        inner = (channel * columns)[:, None] + column[None, :]
        inner_size = rows_per_sample.to(tl.int64) * columns
    return Tile(
        mask=mask,
        row=row,
        row_mask=row_mask,
        rows=rows,
        sample=sample,
        samples=samples,
        channel=channel,
        channel_mask=channel_mask,
        channels=channels,
        column_block=column_block,
        column_blocks=column_blocks,
        channel_partial=channel_partial,
        outer=outer,
        inner=inner,
        inner_size=inner_size,
    )


@triton.jit
def load_part(activations, tile, part: tl.constexpr, parts: tl.constexpr):
    """One of the parts of activations (N, parts * C, *S), in float32."""
    offset = (tile.outer * parts + part) * tile.inner_size + tile.inner
    return tl.load(activations + offset, mask=tile.mask, other=0.0).to(tl.float32)


@triton.jit
def store_part(activations, value, tile, part: tl.constexpr, parts: tl.constexpr):
    """Writes one of the parts of activations (N, parts * C, *S)."""
    offset = (tile.outer * parts + part) * tile.inner_size + tile.inner
    tl.store(activations + offset, value, mask=tile.mask)


@triton.jit
def load_channel(parameters, tile, index: tl.constexpr, channels_last: tl.constexpr):
    """Row `index` of parameters (_, C), to broadcast over the tile.

    It is loaded as a vector: a load of (R, 1) would be repeated for every column that a thread has.
    """
    values = tl.load(parameters + index * tile.channels + tile.channel, mask=tile.channel_mask, other=0.0)
    return values[None, :] if channels_last else values[:, None]


@triton.jit
def append(items, item):
    """A tuple with one more item."""
    return items + (item,)  # noqa: RUF005 - Triton does not unpack in a tuple
