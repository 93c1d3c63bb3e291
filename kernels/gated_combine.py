"""The decoder cells G1 and G2 as kernels; `fastladder.reference.gated_combine` has the equations.

G3, which has no f(u, w), is in `gated_combine_g3`.
"""

import triton
import triton.language as tl
from torch import Tensor

from fastladder.kernels.preactivation import (
    Normalization,
    backpropagate,
    preactivation,
    run_backward,
    store_channel_sum,
)
from fastladder.kernels.statistics import statistics
from fastladder.kernels.tiles import Layout, append, load_channel, load_part, locate, store_part
from fastladder.ops.registration import empty_like_layout, in_layout_of


@triton.jit
def activation(u, weights, tile, first: tl.constexpr, channels_last: tl.constexpr):
    """f(u, w) = w0 sigmoid(w1 u + w2) + w3 u + w4 with w in rows first, first + 1, ... of weights (_, C)."""
    w0 = load_channel(weights, tile, first, channels_last)
    w1 = load_channel(weights, tile, first + 1, channels_last)
    w2 = load_channel(weights, tile, first + 2, channels_last)
    w3 = load_channel(weights, tile, first + 3, channels_last)
    w4 = load_channel(weights, tile, first + 4, channels_last)
    return w0 * tl.sigmoid(w1 * u + w2) + w3 * u + w4


@triton.jit
def activation_backward(
    d_f,  # dloss/df
    u,
    weights,  # (_, C)
    weight_partials,  # (P, count, C): takes the gradients of w0 to w4 in rows place, place + 1, ...; or None
    tile,
    first: tl.constexpr,
    place: tl.constexpr,
    count: tl.constexpr,
    channels_last: tl.constexpr,
):
    """dloss/du of f(u, w)."""
    w0 = load_channel(weights, tile, first, channels_last)
    w1 = load_channel(weights, tile, first + 1, channels_last)
    w2 = load_channel(weights, tile, first + 2, channels_last)
    w3 = load_channel(weights, tile, first + 3, channels_last)
    sigmoid = tl.sigmoid(w1 * u + w2)
    inside = d_f * w0 * sigmoid * (1.0 - sigmoid)
    if weight_partials is not None:
        store_channel_sum(weight_partials, d_f * sigmoid, tile, place, count, channels_last)
        store_channel_sum(weight_partials, inside * u, tile, place + 1, count, channels_last)
        store_channel_sum(weight_partials, inside, tile, place + 2, count, channels_last)
        store_channel_sum(weight_partials, d_f * u, tile, place + 3, count, channels_last)
        store_channel_sum(weight_partials, d_f, tile, place + 4, count, channels_last)
    return inside * w1 + d_f * w3


@triton.jit(do_not_specialize=["rows", "rows_per_sample"])
def combine_g1_kernel(
    projection,  # (N, C, *S)
    lateral,  # (N, C, *S)
    gate,  # (5, C)
    content,  # (5, C)
    normalization,  # see Normalization
    y,  # (N, C, *S)
    rows,  # of the layout, see Layout
    columns,  # of a row
    rows_per_sample,  # positions in channels_last, else channels
    norm: tl.constexpr,
    squash_gate: tl.constexpr,
    channels_last: tl.constexpr,
    block_rows: tl.constexpr,
    block_columns: tl.constexpr,
):
    tile = locate(rows, columns, rows_per_sample, channels_last, True, block_rows, block_columns)
    u, _ = preactivation((projection,), normalization, tile, 0, 1, norm, channels_last)
    s = activation(u, gate, tile, 0, channels_last)
    if squash_gate:
        s = tl.sigmoid(s)
    store_part(
        y, s * load_part(lateral, tile, 0, 1) + (1.0 - s) * activation(u, content, tile, 0, channels_last), tile, 0, 1
    )


@triton.jit(do_not_specialize=["rows", "rows_per_sample"])
def combine_g1_backward_kernel(
    grad_y,  # (N, C, *S)
    projection,  # (N, C, *S)
    lateral,  # (N, C, *S)
    gate,  # (5, C)
    content,  # (5, C)
    normalization,  # see Normalization
    projection_gradients,  # once (N, C, *S), or None where this pass only sums
    lateral_gradient,  # (N, C, *S), written along with these
    sums,  # see Sums
    partials,  # see Partials; weights are those of the gate, then those of the content
    inverse_count,  # 1 / the elements of a norm group
    rows,  # of the layout, see Layout
    columns,  # of a row
    rows_per_sample,  # positions in channels_last, else channels
    norm: tl.constexpr,
    squash_gate: tl.constexpr,
    channels_last: tl.constexpr,
    block_rows: tl.constexpr,
    block_columns: tl.constexpr,
):
    writes: tl.constexpr = projection_gradients is not None
    tile = locate(rows, columns, rows_per_sample, channels_last, writes, block_rows, block_columns)
    u, xhat = preactivation((projection,), normalization, tile, 0, 1, norm, channels_last)
    s = activation(u, gate, tile, 0, channels_last)
    if squash_gate:
        s = tl.sigmoid(s)
    d_y = load_part(grad_y, tile, 0, 1)
    d_gate = d_y * (load_part(lateral, tile, 0, 1) - activation(u, content, tile, 0, channels_last))
    if squash_gate:
        d_gate *= s * (1.0 - s)
    d_content = d_y * (1.0 - s)
    d_u = activation_backward(d_gate, u, gate, partials.weights, tile, 0, 0, 10, channels_last)
    d_u += activation_backward(d_content, u, content, partials.weights, tile, 0, 5, 10, channels_last)
    if writes:
        store_part(lateral_gradient, d_y * s, tile, 0, 1)
    backpropagate(
        (d_u,), (xhat,), projection_gradients, normalization, sums, partials, inverse_count, tile, norm, channels_last
    )


def combine_g1(
    projection: Tensor,
    lateral: Tensor,
    gate: Tensor,
    content: Tensor,
    gain: Tensor | None,
    bias: Tensor | None,
    norm: str,
    squash_gate: bool,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """y (N, C, *S), mean and reciprocal deviation."""
    layout = Layout.of(projection, parts=1)
    y = empty_like_layout(projection, projection.shape[1])
    projection, lateral = in_layout_of(projection, projection, lateral)
    mean, rstd = statistics([projection], layout, norm, eps)
    arguments = (lateral, gate.contiguous(), content.contiguous(), Normalization.of(gain, bias, norm, mean, rstd), y)
    layout.launch(combine_g1_kernel, y, projection, *arguments, norm=norm, squash_gate=squash_gate)
    return y, mean, rstd


def combine_g1_backward(
    grad_y: Tensor | None,
    projection: Tensor,
    lateral: Tensor,
    gate: Tensor,
    content: Tensor,
    gain: Tensor | None,
    bias: Tensor | None,
    norm: str,
    squash_gate: bool,
    eps: float,
    mean: Tensor,
    rstd: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of projection, lateral, gate, content, gain and bias."""
    layout = Layout.of(projection, parts=1, thread_elements=4)
    lateral_gradient = empty_like_layout(projection, projection.shape[1])
    grad_y = projection.new_zeros(projection.shape) if grad_y is None else grad_y
    projection, lateral, grad_y = in_layout_of(projection, projection, lateral, grad_y)
    (gradient,), grad_gain, grad_bias, grad_weights = run_backward(
        combine_g1_backward_kernel,
        layout,
        [projection],
        (grad_y, projection, lateral, gate.contiguous(), content.contiguous()),
        Normalization.of(gain, bias, norm, mean, rstd),
        norm,
        weights=10,
        outputs=[lateral_gradient],
        squash_gate=squash_gate,
    )
    grad_gate, grad_content = (half.clone() for half in grad_weights.split(5))
    return gradient, lateral_gradient, grad_gate, grad_content, grad_gain, grad_bias


@triton.jit(do_not_specialize=["rows", "rows_per_sample"])
def combine_g2_kernel(
    top,  # (N, 3C, *S), parts mu1, mu2, s
    lateral,  # (N, 3C, *S)
    weights,  # (3, 5, C)
    normalization,  # see Normalization; three norm groups
    y,  # (N, C, *S)
    rows,  # of the layout, see Layout
    columns,  # of a row
    rows_per_sample,  # positions in channels_last, else channels
    norm: tl.constexpr,
    channels_last: tl.constexpr,
    block_rows: tl.constexpr,
    block_columns: tl.constexpr,
):
    tile = locate(rows, columns, rows_per_sample, channels_last, True, block_rows, block_columns)
    f: tl.tuple = ()
    for part in tl.static_range(3):
        a, _ = preactivation((top, lateral), normalization, tile, part, 3, norm, channels_last, 3)
        f = append(f, activation(a, weights, tile, 5 * part, channels_last))
    store_part(y, f[2] * f[0] + (1.0 - f[2]) * f[1], tile, 0, 1)


@triton.jit(do_not_specialize=["rows", "rows_per_sample"])
def combine_g2_backward_kernel(
    grad_y,  # (N, C, *S)
    top,  # (N, 3C, *S), parts mu1, mu2, s
    lateral,  # (N, 3C, *S)
    weights,  # (3, 5, C)
    normalization,  # see Normalization; three norm groups
    projection_gradients,  # twice (N, 3C, *S), of top and lateral, or None where this pass only sums
    sums,  # see Sums
    partials,  # see Partials; weights as above
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
    a: tl.tuple = ()
    f: tl.tuple = ()
    xhat: tl.tuple = ()
    for part in tl.static_range(3):
        u, own_xhat = preactivation((top, lateral), normalization, tile, part, 3, norm, channels_last, 3)
        a = append(a, u)
        f = append(f, activation(u, weights, tile, 5 * part, channels_last))
        xhat = append(xhat, own_xhat)
    d_y = load_part(grad_y, tile, 0, 1)
    d_f = (d_y * f[2], d_y * (1.0 - f[2]), d_y * (f[0] - f[1]))
    grad_a: tl.tuple = ()
    for part in tl.static_range(3):
        d_u = activation_backward(
            d_f[part], a[part], weights, partials.weights, tile, 5 * part, 5 * part, 15, channels_last
        )
        grad_a = append(grad_a, d_u)
    backpropagate(
        grad_a, xhat, projection_gradients, normalization, sums, partials, inverse_count, tile, norm, channels_last, 3
    )


def combine_g2(
    top: Tensor, lateral: Tensor, weights: Tensor, gain: Tensor | None, bias: Tensor | None, norm: str, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """y (N, C, *S), mean and reciprocal deviation."""
    layout = Layout.of(top, parts=3, thread_elements=4)
    y = empty_like_layout(top, layout.channels)
    top, lateral = in_layout_of(top, top, lateral)
    mean, rstd = statistics([top, lateral], layout, norm, eps, norm_groups=3)
    normalization = Normalization.of(gain, bias, norm, mean, rstd)
    layout.launch(combine_g2_kernel, y, top, lateral, weights.contiguous(), normalization, y, norm=norm)
    return y, mean, rstd


def combine_g2_backward(
    grad_y: Tensor | None,
    top: Tensor,
    lateral: Tensor,
    weights: Tensor,
    gain: Tensor | None,
    bias: Tensor | None,
    norm: str,
    eps: float,
    mean: Tensor,
    rstd: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of top, lateral, weights, gain and bias."""
    layout = Layout.of(top, parts=3, thread_elements=4)
    grad_y = top.new_zeros(top.shape[0], layout.channels, *top.shape[2:]) if grad_y is None else grad_y
    top, lateral, grad_y = in_layout_of(top, top, lateral, grad_y)
    gradients, grad_gain, grad_bias, grad_weights = run_backward(
        combine_g2_backward_kernel,
        layout,
        [top, lateral],
        (grad_y, top, lateral, weights.contiguous()),
        Normalization.of(gain, bias, norm, mean, rstd),
        norm,
        norm_groups=3,
        weights=15,
    )
    return *gradients, grad_weights.view(weights.shape), grad_gain, grad_bias
