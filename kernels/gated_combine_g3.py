"""The decoder cell G3: its hidden layer and its output; `fastladder.reference.gated_combine` has the equations."""

import triton
import triton.language as tl
from torch import Tensor

from fastladder.kernels.preactivation import Normalization, backpropagate, preactivation, run_backward
from fastladder.kernels.statistics import statistics
from fastladder.kernels.tiles import Layout, load_part, locate, store_part
from fastladder.ops.registration import empty_like_layout, in_layout_of


@triton.jit(do_not_specialize=["rows", "rows_per_sample"])
def combine_g3_hidden_kernel(
    top,  # (N, C, *S)
    lateral,  # (N, C, *S)
    normalization,  # see Normalization
    u,  # (N, C, *S)
    rows,  # of the layout, see Layout
    columns,  # of a row
    rows_per_sample,  # positions in channels_last, else channels
    norm: tl.constexpr,
    channels_last: tl.constexpr,
    block_rows: tl.constexpr,
    block_columns: tl.constexpr,
):
    tile = locate(rows, columns, rows_per_sample, channels_last, True, block_rows, block_columns)
    a, _ = preactivation((top, lateral), normalization, tile, 0, 1, norm, channels_last)
    store_part(u, tl.where(a < 0.0, 0.0, a), tile, 0, 1)  # a NaN stays


@triton.jit(do_not_specialize=["rows", "rows_per_sample"])
def combine_g3_hidden_backward_kernel(
    grad_u,  # (N, C, *S)
    top,  # (N, C, *S)
    lateral,  # (N, C, *S)
    normalization,  # see Normalization
    projection_gradients,  # twice (N, C, *S), of top and lateral, or None where this pass only sums
    sums,  # see Sums
    partials,  # see Partials
    inverse_count,  # 1 / the elements of a norm group
    rows,  # of the layout, see Layout
    columns,  # of a row
    rows_per_sample,  # positions in channels_last, else channels
    norm: tl.constexpr,
    channels_last: tl.constexpr,
    block_rows: tl.constexpr,
    block_columns: tl.constexpr,
):
    writes: tl.constexpr = projection_gradients is not None
    tile = locate(rows, columns, rows_per_sample, channels_last, writes, block_rows, block_columns)
    a, xhat = preactivation((top, lateral), normalization, tile, 0, 1, norm, channels_last)
    d_a = tl.where(a <= 0.0, 0.0, load_part(grad_u, tile, 0, 1))
    backpropagate(
        (d_a,), (xhat,), projection_gradients, normalization, sums, partials, inverse_count, tile, norm, channels_last
    )


def combine_g3_hidden(
    top: Tensor, lateral: Tensor, gain: Tensor | None, bias: Tensor | None, norm: str, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """u (N, C, *S), mean and reciprocal deviation."""
    layout = Layout.of(top, parts=1)
    u = empty_like_layout(top, top.shape[1])
    top, lateral = in_layout_of(top, top, lateral)
    mean, rstd = statistics([top, lateral], layout, norm, eps)
    normalization = Normalization.of(gain, bias, norm, mean, rstd)
    layout.launch(combine_g3_hidden_kernel, u, top, lateral, normalization, u, norm=norm)
    return u, mean, rstd


def combine_g3_hidden_backward(
    grad_u: Tensor | None,
    top: Tensor,
    lateral: Tensor,
    gain: Tensor | None,
    bias: Tensor | None,
    norm: str,
    eps: float,
    mean: Tensor,
    rstd: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of top, lateral, gain and bias."""
    layout = Layout.of(top, parts=1)
    grad_u = top.new_zeros(top.shape) if grad_u is None else grad_u
    top, lateral, grad_u = in_layout_of(top, top, lateral, grad_u)
    gradients, grad_gain, grad_bias, _ = run_backward(
        combine_g3_hidden_backward_kernel,
        layout,
        [top, lateral],
        (grad_u, top, lateral),
        Normalization.of(gain, bias, norm, mean, rstd),
        norm,
    )
    return *gradients, grad_gain, grad_bias


@triton.jit(do_not_specialize=["rows", "rows_per_sample"])
def combine_g3_kernel(
    projections,  # (N, 3C, *S), parts s, d, e
    y,  # (N, C, *S)
    rows,  # of the layout, see Layout
    columns,  # of a row
    rows_per_sample,  # positions in channels_last, else channels
    channels_last: tl.constexpr,
    block_rows: tl.constexpr,
    block_columns: tl.constexpr,
):
    tile = locate(rows, columns, rows_per_sample, channels_last, False, block_rows, block_columns)
    s = tl.sigmoid(load_part(projections, tile, 0, 3))
    store_part(y, s * load_part(projections, tile, 1, 3) + (1.0 - s) * load_part(projections, tile, 2, 3), tile, 0, 1)


@triton.jit(do_not_specialize=["rows", "rows_per_sample"])
def combine_g3_backward_kernel(
    grad_y,  # (N, C, *S)
    projections,  # (N, 3C, *S), parts s, d, e
    gradient,  # (N, 3C, *S)
    rows,  # of the layout, see Layout
    columns,  # of a row
    rows_per_sample,  # positions in channels_last, else channels
    channels_last: tl.constexpr,
    block_rows: tl.constexpr,
    block_columns: tl.constexpr,
):
    tile = locate(rows, columns, rows_per_sample, channels_last, False, block_rows, block_columns)
    s = tl.sigmoid(load_part(projections, tile, 0, 3))
    difference = load_part(projections, tile, 1, 3) - load_part(projections, tile, 2, 3)
    d_y = load_part(grad_y, tile, 0, 1)
    store_part(gradient, d_y * difference * s * (1.0 - s), tile, 0, 3)
    store_part(gradient, d_y * s, tile, 1, 3)
    store_part(gradient, d_y * (1.0 - s), tile, 2, 3)


def combine_g3(projections: Tensor) -> Tensor:
    """y (N, C, *S)."""
    layout = Layout.of(projections, parts=3)
    y = empty_like_layout(projections, layout.channels)
    layout.launch(combine_g3_kernel, y, *in_layout_of(projections, projections), y)
    return y


def combine_g3_backward(grad_y: Tensor | None, projections: Tensor) -> Tensor:
    """The gradient of projections."""
    layout = Layout.of(projections, parts=3)
    gradient = empty_like_layout(projections, projections.shape[1])
    if grad_y is None:
        return gradient.zero_()
    grad_y, projections = in_layout_of(projections, grad_y, projections)
    layout.launch(combine_g3_backward_kernel, gradient, grad_y, projections, gradient)
    return gradient
