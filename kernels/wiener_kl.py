"""The divergence of a sequence from a Wiener process; `fastladder.reference.gaussian` has the equation.

A sequence (T, N, D) is T * N rows of D features, and the row of the time step before is N rows further up.
"""

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from fastladder.kernels.rows import launch_rows, load, rows_of_program, store
from fastladder.ops.registration import statistics_dtype


@triton.jit(do_not_specialize=["rows", "batch"])
def wiener_kl_kernel(
    mean,  # (T, N, D)
    var,  # (T, N, D)
    kl,  # (T, N)
    rows,  # T * N
    batch,  # N
    features,  # D
    exact: tl.constexpr,
    block_rows: tl.constexpr,
    block_features: tl.constexpr,
):
    row = rows_of_program(block_rows)
    sums = tl.zeros((block_rows, block_features), tl.float32)
    for first in range(0, features, block_features):
        feature = first + tl.arange(0, block_features)
        increment = load(mean, row, rows, feature, features) - load(mean, row - batch, rows, feature, features)
        here = load(var, row, rows, feature, features)
        both = here + load(var, row - batch, rows, feature, features)
        terms = increment * increment + both - 1.0 - tl.log(here if exact else both)
        sums += tl.where((feature < features)[None, :], terms, 0.0)
    tl.store(kl + row, 0.5 * tl.sum(sums, 1), mask=row < rows)


@triton.jit(do_not_specialize=["rows", "batch"])
def wiener_kl_backward_kernel(
    grad_kl,  # (T, N) or None
    mean,  # (T, N, D)
    var,  # (T, N, D)
    mean_gradient,  # (T, N, D)
    var_gradient,  # (T, N, D)
    rows,  # T * N
    batch,  # N
    features,  # D
    exact: tl.constexpr,
    block_rows: tl.constexpr,
    block_features: tl.constexpr,
):
    row = rows_of_program(block_rows)
    has_next = row + batch < rows
    g = tl.zeros((block_rows,), tl.float32)
    g_next = tl.zeros((block_rows,), tl.float32)
    if grad_kl is not None:
        g = tl.load(grad_kl + row, mask=row < rows, other=0.0)
        g_next = tl.load(grad_kl + row + batch, mask=has_next, other=0.0)
    g, g_next, has_next = g[:, None], g_next[:, None], has_next[:, None]
    for first in range(0, features, block_features):
        feature = first + tl.arange(0, block_features)
        m = load(mean, row, rows, feature, features)
        of_next = g_next * (load(mean, row + batch, rows, feature, features) - m)
        of_mean = g * (m - load(mean, row - batch, rows, feature, features)) - tl.where(has_next, of_next, 0.0)
        v = load(var, row, rows, feature, features)
        if exact:
            of_var = g * (1.0 - 1.0 / v) + g_next
        else:
            of_next = g_next * (1.0 - 1.0 / (v + load(var, row + batch, rows, feature, features)))
            of_var = g * (1.0 - 1.0 / (v + load(var, row - batch, rows, feature, features)))
            of_var += tl.where(has_next, of_next, 0.0)
        store(mean_gradient, of_mean, row, rows, feature, features)
        store(var_gradient, 0.5 * of_var, row, rows, feature, features)


def run(kernel: Any, leader: Tensor, *tensors: Tensor | None, exact: bool) -> None:
    """Launches a kernel over all rows of sequences like `leader`, (T, N, D)."""
    steps, batch, features = leader.shape
    launch_rows(kernel, leader, steps * batch, features, *tensors, steps * batch, batch, features, exact=exact)


def wiener_kl(mean: Tensor, var: Tensor, exact: bool) -> Tensor:
    """What every step adds to the divergence, (T, N)."""
    kl = mean.new_empty(mean.shape[:2], dtype=statistics_dtype(mean))
    run(wiener_kl_kernel, mean, mean.contiguous(), var.contiguous(), kl, exact=exact)
    return kl


def wiener_kl_backward(grad_kl: Tensor | None, mean: Tensor, var: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
    """Gradients of mean and var, each (T, N, D)."""
    gradients = mean.new_empty(mean.shape), mean.new_empty(mean.shape)
    grad_kl = None if grad_kl is None else grad_kl.contiguous()
    run(wiener_kl_backward_kernel, mean, grad_kl, mean.contiguous(), var.contiguous(), *gradients, exact=exact)
    return gradients
