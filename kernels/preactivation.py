"""Normalised projections, forward and backward, shared by the gates and the decoder cells.

    a = sum_j gain_j * xhat_j + bias,    xhat_j = (p_j - mean_j) * rstd_j

for J projections (N, parts * C, *S); every family computes its outputs from a. The elements that are normalised
together, and so share a mean, are a norm group. Statistics are (J, N, norm_groups) for norm "layer", whose samples have
that many norm groups, and (J, parts * C) for "batch".

With grad_a = dloss/da and grad_j = gain_j * grad_a, the gradients are (Ioffe and Szegedy 2015; Ba, Kiros and Hinton
2016)

    grad_bias = sum grad_a,    grad_gain_j = sum grad_a * xhat_j,
    grad_p_j = rstd_j * (grad_j - mean_grad_j - xhat_j * mean_grad_xhat_j)

where mean_grad_j and mean_grad_xhat_j are the means of grad_j and of grad_j * xhat_j over the norm group. They are
needed before the first grad_p_j. So with a norm there are two passes over the activations, and both compute grad_a:
that moves fewer bytes than keeping it in float32. Every sum adds up the partial sums of the programs in a fixed order,
so that results are the same in every run.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastladder.kernels.tiles import Layout, append, load_channel, load_part, store_part
from fastladder.ops.registration import empty_like_layout


class Normalization(NamedTuple):
    """The parameters and statistics that turn projections into a."""

    gain: Tensor | None  # (J, parts * C)
    bias: Tensor | None  # (parts * C)
    mean: Tensor | None  # (J, N, norm_groups), (J, parts * C), or None for norm "none"
    rstd: Tensor | None  # likewise

    @classmethod
    def of(cls, gain: Tensor | None, bias: Tensor | None, norm: str, mean: Tensor, rstd: Tensor) -> "Normalization":
        gain, bias = (None if p is None else p.contiguous() for p in (gain, bias))
        return cls(gain, bias, None, None) if norm == "none" else cls(gain, bias, mean, rstd)


class Sums(NamedTuple):
    """The sums over each norm group, for the pass that computes grad_p."""

    sample: Tensor | None = None  # (2, J, N, norm_groups), norm "layer": of grad_j and of grad_j * xhat_j
    bias: Tensor | None = None  # (parts * C), norm "batch": of grad_a
    gain: Tensor | None = None  # (J * parts * C), norm "batch": of grad_a * xhat_j


class Partials(NamedTuple):
    """The partial sums that a pass writes, P of them for each channel; None where they are not needed."""

    sample: Tensor | None = None  # (2, J, rows, norm_groups, column blocks): of grad_j and of grad_j * xhat_j
    bias: Tensor | None = None  # (P, parts, C): of grad_a
    gain: Tensor | None = None  # (P, J * parts, C): of grad_a * xhat_j
    weights: Tensor | None = None  # (P, W, C): gradients of the W further parameters of a channel


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
    xhat: tl.tuple = ()
    for j in tl.static_range(len(projections)):
        x = load_part(projections[j], tile, part, parts)
        if norm != "none":
            mean = load_statistic(normalization.mean, tile, j, part, parts, norm, channels_last, norm_groups)
            rstd = load_statistic(normalization.rstd, tile, j, part, parts, norm, channels_last, norm_groups)
            x = (x - mean) * rstd
        xhat = append(xhat, x)
        a += scaled(x, normalization.gain, tile, j * parts + part, channels_last)
    if normalization.bias is not None:
        a += load_channel(normalization.bias, tile, part, channels_last)
    return a, xhat


@triton.jit
def scaled(x, gain, tile, index: tl.constexpr, channels_last: tl.constexpr):
    """x times row `index` of gain (_, C); x where the gain is None."""
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
    grad_a,  # a tuple: its parts
    xhat,  # a tuple: for each part, a tuple of the J xhat_j
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
    """From grad_a the partial sums, the gradients of the projections, or both: whichever are not None."""
    parts: tl.constexpr = len(grad_a)
    count: tl.constexpr = len(xhat[0])
    gain = normalization.gain
    for part in tl.static_range(parts):
        if partials.bias is not None:
            store_channel_sum(partials.bias, grad_a[part], tile, part, parts, channels_last)
        if partials.gain is not None:
            for j in tl.static_range(count):
                value = grad_a[part] * xhat[part][j]
                store_channel_sum(partials.gain, value, tile, j * parts + part, count * parts, channels_last)
    if partials.sample is not None:
        for j in tl.static_range(count):
            for norm_group in tl.static_range(norm_groups):
                sum_grad = tl.zeros_like(grad_a[0])
                sum_grad_xhat = tl.zeros_like(grad_a[0])
                for part in tl.static_range(norm_group, parts, norm_groups):
                    grad = scaled(grad_a[part], gain, tile, j * parts + part, channels_last)
                    sum_grad += grad
                    sum_grad_xhat += grad * xhat[part][j]
                store_sample_sum(partials.sample, sum_grad, tile, j, norm_groups, norm_group)
                store_sample_sum(partials.sample, sum_grad_xhat, tile, count + j, norm_groups, norm_group)
    if projection_gradients is not None:
        for part in tl.static_range(parts):
            for j in tl.static_range(count):
                gradient = scaled(grad_a[part], gain, tile, j * parts + part, channels_last)
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
                    gradient -= mean_grad * inverse_count + xhat[part][j] * (mean_grad_xhat * inverse_count)
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

    Returns the gradients of the projections, of gain and bias (empty where the argument is None) and of the
    `weights` parameters of a channel, (weights, C).
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
