"""Normalised projections, forward and backward, shared by the gates and the decoder cells.

    a = sum_j gain_j * xhat_j + bias,    xhat_j = (p_j - mean_j) * rstd_j

for J projections (N, parts * C, *S); a family adds what is done with a. What is normalised together, and so shares a
mean, is a norm group: statistics are (J, N, norm_groups) for norm "layer", whose samples have so many of them, and
(J, parts * C) for "batch".

With d = dloss/da, the gradients are (Ioffe and Szegedy 2015; Ba, Kiros and Hinton 2016)

    dbias = sum d,    dgain_j = sum d * xhat_j,    e_j = gain_j * d,
    dp_j = rstd_j * (e_j - mean_grad_j - xhat_j * mean_grad_xhat_j)

where mean_grad_j and mean_grad_xhat_j are the means of e_j and of e_j * xhat_j over the norm group. They are needed
before the first dp_j, so that with a norm there are two passes over the activations, and both compute d anew: that
moves fewer bytes than keeping it in float32. Every sum is made of partial sums, one a program, in a fixed order:
results are the same from run to run.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastladder.kernels.tiles import Layout, append, launch, load_channel, load_part, store_part
from fastladder.ops.registration import empty_like_layout, empty_statistics

MOMENTS_ELEMENTS = 4096  # of a block: 8 warps with 16 float32 a thread


class Normalization(NamedTuple):
    """What turns projections into a."""

    gain: Tensor | None  # (J, parts * C)
    bias: Tensor | None  # (parts * C)
    mean: Tensor | None  # (J, N, norm_groups), (J, parts * C), or None for norm "none"
    rstd: Tensor | None  # likewise

    @classmethod
    def of(cls, gain: Tensor | None, bias: Tensor | None, norm: str, mean: Tensor, rstd: Tensor) -> "Normalization":
        gain, bias = (None if p is None else p.contiguous() for p in (gain, bias))
        return cls(gain, bias, None, None) if norm == "none" else cls(gain, bias, mean, rstd)


class Sums(NamedTuple):
    """The sums over each norm group, for the pass that computes dp."""

    sample: Tensor | None = None  # (2, J, N, norm_groups), norm "layer": of e_j and of e_j * xhat_j
    bias: Tensor | None = None  # (parts * C), norm "batch": of d
    gain: Tensor | None = None  # (J * parts * C), norm "batch": of d * xhat_j


class Partials(NamedTuple):
    """The partial sums that a pass writes, P for each channel; None where they are not needed."""

    sample: Tensor | None = None  # (2, J, rows, norm_groups, column blocks): of e_j and of e_j * xhat_j
    bias: Tensor | None = None  # (P, parts, C): of d
    gain: Tensor | None = None  # (P, J * parts, C): of d * xhat_j
    weights: Tensor | None = None  # (P, W, C): gradients of the W parameters a channel that the family has


@triton.jit(do_not_specialize=["norm_groups", "rows"])
def moments_kernel(
    projections,  # J times (N, K, *S)
    partials,  # (3, J, norm_groups, chunks): count, mean and sum of squared differences; None where there is one chunk
    mean,  # (J, norm_groups), written where there is one chunk
    rstd,  # likewise
    eps,
    norm_groups,  # of one projection
    rows,  # of a norm group
    columns,  # of a norm group, contiguous; per_column: of all norm groups, each of which is one
    row_stride,
    outer_stride,
    inner_stride,
    per_outer: tl.constexpr,  # norm group g starts at g // per_outer * outer_stride + g % per_outer * inner_stride
    per_column: tl.constexpr,
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
    eps,
    norm_groups,
    chunks,
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


@triton.jit
def load_statistic(
    values,
    tile,
    j: tl.constexpr,
    part: tl.constexpr,
    parts: tl.constexpr,
    norm: tl.constexpr,
    channels_last: tl.constexpr,
    norm_groups: tl.constexpr,
):
    """Mean or reciprocal deviation of a part of projection j, to broadcast over the tile."""
    if norm == "layer":
        place = (j * tile.samples + tile.sample) * norm_groups + part % norm_groups
        return tl.load(values + place, mask=tile.row_mask, other=0.0)[:, None]
    else:
        return load_channel(values, tile, j * parts + part, channels_last)


@triton.jit
def preactivation(
    projections,  # J times (N, parts * C, *S)
    normalization,
    tile,
    part: tl.constexpr,
    parts: tl.constexpr,
    norm: tl.constexpr,
    channels_last: tl.constexpr,
    norm_groups: tl.constexpr = 1,
):
    """One part of a, and of each xhat_j."""
    a = tl.zeros_like(tile.mask.to(tl.float32))
    normalized = ()
    for j in tl.static_range(len(projections)):
        x = load_part(projections[j], tile, part, parts)
        if norm != "none":
            mean = load_statistic(normalization.mean, tile, j, part, parts, norm, channels_last, norm_groups)
            rstd = load_statistic(normalization.rstd, tile, j, part, parts, norm, channels_last, norm_groups)
            x = (x - mean) * rstd
        normalized = append(normalized, x)
        a += scaled(x, normalization.gain, tile, j * parts + part, channels_last)
    if normalization.bias is not None:
        a += load_channel(normalization.bias, tile, part, channels_last)
    return a, normalized


@triton.jit
def scaled(x, gain, tile, index: tl.constexpr, channels_last: tl.constexpr):
    """x times row `index` of gain (_, C), where there is one."""
    if gain is None:
        return x
    else:
        return x * load_channel(gain, tile, index, channels_last)


@triton.jit
def store_channel_sum(partials, value, tile, index: tl.constexpr, count: tl.constexpr, channels_last: tl.constexpr):
    """The partial sum of `value` for each channel, as row `index` of partials (P, count, C)."""
    total = tl.sum(value, axis=0 if channels_last else 1)
    place = (tile.channel_partial * count + index) * tile.channels + tile.channel
    tl.store(partials + place, total, mask=tile.channel_mask)


@triton.jit
def store_sample_sum(partials, value, tile, index, norm_groups: tl.constexpr, norm_group: tl.constexpr):
    """The sum of each row of `value`, at [index, row, norm group, column block] of partials."""
    place = ((index * tile.rows + tile.row) * norm_groups + norm_group) * tile.column_blocks + tile.column_block
    tl.store(partials + place, tl.sum(value, axis=1), mask=tile.row_mask)


@triton.jit
def backpropagate(
    d,  # a tuple: the parts of dloss/da
    normalized,  # a tuple: for each part, a tuple of the J xhat_j
    projection_gradients,  # J times (N, parts * C, *S), or None where this pass does not write them
    normalization,
    sums,
    partials,
    inverse_count,  # 1 / the elements of a norm group
    tile,
    norm: tl.constexpr,
    channels_last: tl.constexpr,
    norm_groups: tl.constexpr = 1,
):
    """What a pass of the backward direction does with dloss/da: partial sums, gradients of the projections, or both."""
    parts: tl.constexpr = len(d)
    count: tl.constexpr = len(normalized[0])
    gain = normalization.gain
    for part in tl.static_range(parts):
        if partials.bias is not None:
            store_channel_sum(partials.bias, d[part], tile, part, parts, channels_last)
        if partials.gain is not None:
            for j in tl.static_range(count):
                value = d[part] * normalized[part][j]
                store_channel_sum(partials.gain, value, tile, j * parts + part, count * parts, channels_last)
    if partials.sample is not None:
        for j in tl.static_range(count):
            for norm_group in tl.static_range(norm_groups):
                first = tl.zeros_like(d[0])
                second = tl.zeros_like(d[0])
                for part in tl.static_range(norm_group, parts, norm_groups):
                    e = scaled(d[part], gain, tile, j * parts + part, channels_last)
                    first += e
                    second += e * normalized[part][j]
                store_sample_sum(partials.sample, first, tile, j, norm_groups, norm_group)
                store_sample_sum(partials.sample, second, tile, count + j, norm_groups, norm_group)
    if projection_gradients is not None:
        for part in tl.static_range(parts):
            for j in tl.static_range(count):
                x = normalized[part][j]
                gradient = scaled(d[part], gain, tile, j * parts + part, channels_last)
                if norm == "layer":
                    mean_grad = load_statistic(sums.sample, tile, j, part, parts, norm, channels_last, norm_groups)
                    mean_grad_xhat = load_statistic(
                        sums.sample, tile, count + j, part, parts, norm, channels_last, norm_groups
                    )
                elif norm == "batch":
                    mean_grad = load_channel(sums.bias, tile, part, channels_last)
                    mean_grad = scaled(mean_grad, gain, tile, j * parts + part, channels_last)
                    mean_grad_xhat = load_channel(sums.gain, tile, j * parts + part, channels_last)
                    mean_grad_xhat = scaled(mean_grad_xhat, gain, tile, j * parts + part, channels_last)
                if norm != "none":
                    gradient -= mean_grad * inverse_count + x * (mean_grad_xhat * inverse_count)
                    gradient *= load_statistic(
                        normalization.rstd, tile, j, part, parts, norm, channels_last, norm_groups
                    )
                store_part(projection_gradients[j], gradient, tile, part, parts)


def run_backward(
    kernel: Any,
    layout: Layout,
    projections: list[Tensor],
    arguments: Sequence[Any],
    normalization: Normalization,
    norm: str,
    *,
    norm_groups: int = 1,
    weights: int = 0,
    outputs: Sequence[Tensor] = (),
    **options: Any,
) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
    """Runs a backward kernel in the one or two passes that `norm` needs.

    The kernel takes `arguments`, the normalization, the gradients of the projections (None in a pass that only sums),
    `outputs`, which it writes along with these, the sums, the partial sums, and 1 / the elements of a norm group.

    Returns the gradients of the projections, of gain and bias (empty where there is none) and of the `weights`
    parameters a channel, (weights, C).
    """
    leader, count, parts = projections[0], len(projections), layout.parts
    gain, bias = normalization.gain, normalization.bias
    new_empty = lambda *shape: leader.new_empty(shape, dtype=torch.float32)  # noqa: E731
    gradients = tuple(empty_like_layout(leader, p.shape[1]) for p in projections)
    inverse_count = layout.inverse_count(norm, norm_groups)
    chunks, channels = layout.channel_partials, layout.channels
    channel_partials = Partials(
        bias=new_empty(chunks, parts, channels) if bias is not None or norm == "batch" else None,
        gain=new_empty(chunks, count * parts, channels) if gain is not None or norm == "batch" else None,
        weights=new_empty(chunks, weights, channels) if weights else None,
    )

    def run_pass(written: tuple[Tensor, ...] | None, sums: Sums, partials: Partials) -> None:
        results = (written, *outputs, sums, partials)
        layout.launch(kernel, leader, *arguments, normalization, *results, inverse_count, norm=norm, **options)

    if norm == "layer":
        per_row = new_empty(2, count, layout.samples, layout.rows_per_sample, norm_groups, layout.column_blocks)
        run_pass(None, Sums(), Partials(sample=per_row))
        run_pass(gradients, Sums(sample=per_row.sum((3, 5))), channel_partials)
    elif norm == "none":
        run_pass(gradients, Sums(), channel_partials)
    else:
        run_pass(None, Sums(), channel_partials)
    bias_sum, gain_sum, weight_sum = (
        new_empty(0) if partial is None else partial.sum(0) for partial in channel_partials[1:]
    )
    if norm == "batch":
        run_pass(gradients, Sums(bias=bias_sum, gain=gain_sum), Partials())
    grad_gain = new_empty(0) if gain is None else gain_sum.view(gain.shape)
    grad_bias = new_empty(0) if bias is None else bias_sum.view(bias.shape)
    return list(gradients), grad_gain, grad_bias, weight_sum
