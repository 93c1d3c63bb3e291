"""The combinator of the Ladder network; see `fastladder.ops.ladder_combine` for the equations.

It is the decoder cell G1 without a norm, whose content is mu and whose gate is v: the derivatives are the same.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastladder.kernels.gated_combine import activation, combine_g1_backward
from fastladder.kernels.tiles import Layout, in_layout_of, load_part, locate, store_part
from fastladder.ops.registration import empty_like_layout


@triton.jit(do_not_specialize=["rows", "rows_per_sample"])
def ladder_combine_kernel(
    lateral,  # (N, C, *S)
    top,  # (N, C, *S)
    weights,  # (10, C)
    z,  # (N, C, *S)
    rows,
    columns,
    rows_per_sample,
    squash_gate: tl.constexpr,
    channels_last: tl.constexpr,
    block_rows: tl.constexpr,
    block_columns: tl.constexpr,
):
    tile = locate(rows, columns, rows_per_sample, channels_last, False, block_rows, block_columns)
    u = load_part(top, tile, 0, 1)
    mu = activation(u, weights, tile, 0, channels_last)
    v = activation(u, weights, tile, 5, channels_last)
    if squash_gate:
        v = tl.sigmoid(v)
    store_part(z, (load_part(lateral, tile, 0, 1) - mu) * v + mu, tile, 0, 1)


def ladder_combine(lateral: Tensor, top: Tensor, weights: Tensor, squash_gate: bool) -> Tensor:
    """z (N, C, *S)."""
    layout = Layout.of(lateral, parts=1)
    z = empty_like_layout(lateral, lateral.shape[1])
    lateral, top = in_layout_of(lateral, lateral, top)
    layout.launch(ladder_combine_kernel, z, lateral, top, weights.contiguous(), z, squash_gate=squash_gate)
    return z


def ladder_combine_backward(
    grad_z: Tensor | None, lateral: Tensor, top: Tensor, weights: Tensor, squash_gate: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of lateral, top and weights."""
    (top,) = in_layout_of(lateral, top)
    content, gate = weights.split(5)
    none = weights.new_empty(0)
    grad_top, grad_lateral, grad_gate, grad_content, _, _ = combine_g1_backward(
        grad_z, top, lateral, gate, content, None, None, "none", squash_gate, 0.0, none, none
    )
    return grad_lateral, grad_top, torch.cat([grad_content, grad_gate])
