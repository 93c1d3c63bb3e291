"""The gates of an LSTM over normalised projections; `fastladder.reference.lstm_gates` has the equations.

The cell is a recurrent state, in the dtype of the projections or in float32. Kernels load either; they compute in
float32.
"""

import triton
import triton.language as tl
from torch import Tensor

from fastladder.kernels.preactivation import (
    Normalization,
    backpropagate,
    preactivation,
    run_backward,
)
from fastladder.kernels.statistics import statistics
from fastladder.kernels.tiles import Layout, append, load_part, locate, store_part
from fastladder.ops.registration import empty_like_layout, in_layout_of


@triton.jit
def tanh(x):
    """A polynomial near zero (Cephes) and 1 - 2 sigmoid(-2 |x|) beyond, each exact to the last digits of float32."""
    square = x * x
    series = ((-5.70498872745e-3 * square + 2.06390887954e-2) * square - 5.37397155531e-2) * square
    near = ((series + 1.33314422036e-1) * square - 3.33332819422e-1) * square * x + x
    magnitude = tl.abs(x)
    far = 1.0 - 2.0 * tl.sigmoid(-2.0 * magnitude)
    return tl.where(magnitude < 0.625, near, tl.where(x < 0.0, -far, far))


@triton.jit
def cell_step(projections, cell, normalization, tile, norm: tl.constexpr, channels_last: tl.constexpr):
    """The gates i, f, g, o, the cell before and after the step, and the four parts of xhat."""
    gates: tl.tuple = ()
    xhat: tl.tuple = ()
    for part in tl.static_range(4):
        a, own_xhat = preactivation(projections, normalization, tile, part, 4, norm, channels_last)
        gates = append(gates, tanh(a) if part == 2 else tl.sigmoid(a))
        xhat = append(xhat, own_xhat)
    old_cell = load_part(cell, tile, 0, 1)
    return gates, old_cell, gates[1] * old_cell + gates[0] * gates[2], xhat


@triton.jit(do_not_specialize=["rows", "rows_per_sample"])
def lstm_gates_kernel(
    projections,  # J times (N, 4C, *S)
    cell,  # (N, C, *S)
    normalization,  # see Normalization
    hidden,  # (N, C, *S)
    new_cell,  # (N, C, *S)
    rows,  # of the layout, see Layout
    columns,  # of a row
    rows_per_sample,  # positions in channels_last, else channels
    norm: tl.constexpr,
    channels_last: tl.constexpr,
    block_rows: tl.constexpr,
    block_columns: tl.constexpr,
):
    tile = locate(rows, columns, rows_per_sample, channels_last, True, block_rows, block_columns)
    gates, _, updated, _ = cell_step(projections, cell, normalization, tile, norm, channels_last)
    store_part(new_cell, updated, tile, 0, 1)
    store_part(hidden, gates[3] * tanh(updated), tile, 0, 1)


@triton.jit(do_not_specialize=["rows", "rows_per_sample"])
def lstm_gates_backward_kernel(
    grad_hidden,  # (N, C, *S) or None
    grad_cell,  # (N, C, *S) or None
    projections,  # J times (N, 4C, *S)
    cell,  # (N, C, *S)
    normalization,  # see Normalization
    projection_gradients,  # J times (N, 4C, *S), or None where this pass only sums
    cell_gradient,  # (N, C, *S), written along with these
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
    gates, old_cell, updated, xhat = cell_step(projections, cell, normalization, tile, norm, channels_last)
    i, f, g, o = gates
    d_cell = tl.zeros_like(updated)
    d_output = tl.zeros_like(updated)
    if grad_cell is not None:
        d_cell += load_part(grad_cell, tile, 0, 1)
    if grad_hidden is not None:
        d_hidden = load_part(grad_hidden, tile, 0, 1)
        squashed = tanh(updated)
        d_cell += d_hidden * o * (1.0 - squashed * squashed)
        d_output = d_hidden * squashed * o * (1.0 - o)
    d_input = d_cell * g * i * (1.0 - i)
    d_forget = d_cell * old_cell * f * (1.0 - f)
    d_candidate = d_cell * i * (1.0 - g * g)
    grad_a = (d_input, d_forget, d_candidate, d_output)
    if writes:
        store_part(cell_gradient, d_cell * f, tile, 0, 1)
    backpropagate(
        grad_a, xhat, projection_gradients, normalization, sums, partials, inverse_count, tile, norm, channels_last
    )


def lstm_gates(
    projections: list[Tensor], cell: Tensor, gain: Tensor | None, bias: Tensor | None, norm: str, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden and cell, (N, C, *S), mean and reciprocal deviation."""
    leader = projections[0]
    layout = Layout.of(leader, parts=4)
    *projections, cell = in_layout_of(leader, *projections, cell)
    mean, rstd = statistics(projections, layout, norm, eps)
    hidden = empty_like_layout(leader, cell.shape[1])
    new_cell = empty_like_layout(leader, cell.shape[1], cell.dtype)
    normalization = Normalization.of(gain, bias, norm, mean, rstd)
    layout.launch(lstm_gates_kernel, leader, tuple(projections), cell, normalization, hidden, new_cell, norm=norm)
    return hidden, new_cell, mean, rstd


def lstm_gates_backward(
    grad_hidden: Tensor | None,
    grad_cell: Tensor | None,
    projections: list[Tensor],
    cell: Tensor,
    gain: Tensor | None,
    bias: Tensor | None,
    norm: str,
    eps: float,
    mean: Tensor,
    rstd: Tensor,
) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
    """Gradients of projections, cell, gain and bias."""
    leader = projections[0]
    layout = Layout.of(leader, parts=4, thread_elements=4)
    *projections, cell, grad_hidden, grad_cell = in_layout_of(leader, *projections, cell, grad_hidden, grad_cell)
    cell_gradient = empty_like_layout(leader, cell.shape[1], cell.dtype)
    gradients, grad_gain, grad_bias, _ = run_backward(
        lstm_gates_backward_kernel,
        layout,
        projections,
        (grad_hidden, grad_cell, tuple(projections), cell),
        Normalization.of(gain, bias, norm, mean, rstd),
        norm,
        outputs=[cell_gradient],
    )
    return gradients, cell_gradient, grad_gain, grad_bias
