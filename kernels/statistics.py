"""Means and reciprocal deviations of projections over norm groups, the elements that are normalised together.

Norm "layer" has one or a few norm groups in every sample, norm "batch" one for every channel.
"""

import triton
import triton.language as tl
from torch import Tensor

from fastladder.kernels.tiles import Layout, launch
from fastladder.ops.registration import empty_statistics

MOMENTS_ELEMENTS = 4096  # of a block: 8 warps with 16 float32 a thread


@triton.jit(do_not_specialize=["norm_groups", "rows"])
def moments_kernel(
    projections,  # J times (N, K, *S)
    partials,  # (3, J, norm_groups, chunks): count, mean and sum of squared differences; None where there is one chunk
    mean,  # (J, norm_groups), written where there is one chunk
    rstd,  # (J, norm_groups), likewise
    eps,  # added to the variance
    norm_groups,  # of one projection
    rows,  # of a norm group
    columns,  # of a norm group, contiguous; per_column: of all norm groups, each of which is one
    row_stride,  # from a row of a norm group to the next, in elements
    outer_stride,  # norm group g starts at g // per_outer * outer_stride + g % per_outer * inner_stride
    inner_stride,
    per_outer: tl.constexpr,
    per_column: tl.constexpr,  # whether every column is a norm group of its own
    block_rows: tl.constexpr,
    block_columns: tl.constexpr,
):
    """Mean and deviation of one chunk of a norm group, or of block_columns norm groups.

    In two passes over a block in registers.
    """
    column_blocks = tl.cdiv(columns, block_columns)
    row_blocks = tl.cdiv(rows, block_rows)
    block = tl.program_id(0)
    column_block = block % column_blocks
    row_block = block // column_blocks % row_blocks
    norm_group = block // (column_blocks * row_blocks)
    row = row_block * block_rows + tl.arange(0, block_rows)[:, None]
    column = column_block * block_columns + tl.arange(0, block_columns)[None, :]
    mask = (row < rows) & (column < columns)
    start = (norm_group // per_outer).to(tl.int64) * outer_stride + (norm_group % per_outer).to(tl.int64) * inner_stride
    offset = start + row.to(tl.int64) * row_stride + column
    count = tl.minimum(rows - row_block * block_rows, block_rows).to(tl.float32)
    if per_column:
        chunks = row_blocks
        chunk = row_block
        result = column
        result_mask = column < columns
    else:
        count *= tl.minimum(columns - column_block * block_columns, block_columns).to(tl.float32)
        chunks = row_blocks * column_blocks
        chunk = row_block * column_blocks + column_block
        result = norm_group + tl.zeros((1, 1), tl.int32)
        result_mask = result < norm_groups
    for j in tl.static_range(len(projections)):
        x = tl.load(projections[j] + offset, mask=mask, other=0.0).to(tl.float32)
        block_mean = block_sum(x, per_column) / count
        difference = tl.where(mask, x - block_mean, 0.0)
        squares = block_sum(difference * difference, per_column)
        if partials is None:
            tl.store(mean + j * norm_groups + result, block_mean, mask=result_mask)
            tl.store(rstd + j * norm_groups + result, tl.rsqrt(squares / count + eps), mask=result_mask)
        else:
            plane = len(projections) * norm_groups.to(tl.int64) * chunks
            place = partials + (j * norm_groups.to(tl.int64) + result) * chunks + chunk
            tl.store(place, tl.zeros_like(block_mean) + count, mask=result_mask)
            tl.store(place + plane, block_mean, mask=result_mask)
            tl.store(place + 2 * plane, squares, mask=result_mask)


@triton.jit
def block_sum(x, per_column: tl.constexpr):
    """Sum of a block: (1, 1), or per_column (1, B)."""
    x = tl.sum(x, axis=0, keep_dims=True)
    return x if per_column else tl.sum(x, axis=1, keep_dims=True)


@triton.jit(do_not_specialize=["norm_groups", "chunks"])
def merge_moments_kernel(
    partials,  # (3, norm_groups, chunks): count, mean and sum of squared differences
    mean,  # (norm_groups)
    rstd,  # (norm_groups)
    eps,  # added to the variance
    norm_groups,
    chunks,  # of a norm group
    block_norm_groups: tl.constexpr,
    block_chunks: tl.constexpr,
):
    """The moments of block_norm_groups norm groups from those of their chunks (Chan, Golub and LeVeque 1983)."""
    norm_group = tl.program_id(0).to(tl.int64) * block_norm_groups + tl.arange(0, block_norm_groups)[:, None]
    plane = norm_groups.to(tl.int64) * chunks
    total = tl.zeros((block_norm_groups, block_chunks), tl.float32)
    weighted = tl.zeros((block_norm_groups, block_chunks), tl.float32)
    for first in range(0, chunks, block_chunks):
        chunk = first + tl.arange(0, block_chunks)[None, :]
        place = partials + norm_group * chunks + chunk
        mask = (norm_group < norm_groups) & (chunk < chunks)
        count = tl.load(place, mask=mask, other=0.0)
        total += count
        weighted += count * tl.load(place + plane, mask=mask, other=0.0)
    total_count = tl.sum(total, axis=1, keep_dims=True)
    total_mean = tl.sum(weighted, axis=1, keep_dims=True) / total_count
    squares = tl.zeros((block_norm_groups, block_chunks), tl.float32)
    for first in range(0, chunks, block_chunks):
        chunk = first + tl.arange(0, block_chunks)[None, :]
        place = partials + norm_group * chunks + chunk
        mask = (norm_group < norm_groups) & (chunk < chunks)
        count = tl.load(place, mask=mask, other=0.0)
        difference = tl.load(place + plane, mask=mask, other=0.0) - total_mean
        squares += tl.load(place + 2 * plane, mask=mask, other=0.0) + count * difference * difference
    variance = tl.sum(squares, axis=1, keep_dims=True) / total_count
    tl.store(mean + norm_group, total_mean, mask=norm_group < norm_groups)
    tl.store(rstd + norm_group, tl.rsqrt(variance + eps), mask=norm_group < norm_groups)


def statistics(
    projections: list[Tensor], layout: Layout, norm: str, eps: float, *, norm_groups: int = 1
) -> tuple[Tensor, Tensor]:
    """Mean and reciprocal deviation of each projection, shaped as `empty_statistics` says."""
    leader = projections[0]
    mean, rstd = empty_statistics(leader, len(projections), norm, norm_groups)
    if leader.numel() == 0:
        return mean.zero_(), rstd.zero_()
    if norm == "none":
        return mean, rstd
    channels, positions = layout.parts * layout.channels, layout.positions
    count, per_outer = mean[0].numel(), 1
    per_column = norm == "batch" and layout.channels_last
    if per_column:
        rows, columns, row_stride, outer_stride = layout.rows, channels, channels, 0
    elif norm == "batch":
        rows, columns, row_stride, outer_stride = layout.samples, positions, channels * positions, positions
    elif layout.channels_last and norm_groups > 1:
        rows, columns, row_stride, outer_stride = positions, channels // norm_groups, channels, channels * positions
        per_outer = norm_groups
    else:
        rows, columns, row_stride = 1, channels // norm_groups * positions, 0
        outer_stride = columns
    widest = min(MOMENTS_ELEMENTS, 128 // leader.element_size()) if per_column else MOMENTS_ELEMENTS
    block_columns = min(triton.next_power_of_2(columns), widest)
    block_rows = 1 if rows == 1 and not per_column else MOMENTS_ELEMENTS // block_columns
    row_blocks, column_blocks = triton.cdiv(rows, block_rows), triton.cdiv(columns, block_columns)
    chunks = row_blocks if per_column else row_blocks * column_blocks
    partials = mean.new_empty(3, len(projections), count, chunks) if chunks > 1 else None
    launch(
        moments_kernel,
        leader,
        row_blocks * column_blocks * (1 if per_column else count),
        tuple(projections),
        partials,
        mean,
        rstd,
        eps,
        count,
        rows,
        columns,
        row_stride,
        outer_stride,
        columns,
        per_outer=per_outer,
        per_column=per_column,
        block_rows=block_rows,
        block_columns=block_columns,
        num_warps=min(max(block_rows * block_columns // 512, 1), 8),
    )
    if partials is not None:
        blocks = dict(block_norm_groups=16, block_chunks=64)
        programs = triton.cdiv(mean.numel(), 16)
        launch(merge_moments_kernel, leader, programs, partials, mean, rstd, eps, mean.numel(), chunks, **blocks)
    return mean, rstd
