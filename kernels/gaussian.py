"""Gaussians merged, drawn from and compared, elementwise; `fastladder.reference.gaussian` has the equations.

Where terms are added up, samples are rows of elements (see `rows`); all else goes over the elements alike.
"""

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from fastladder.kernels.rows import launch_rows, load, rows_of_program, store
from fastladder.kernels.tiles import VECTOR_BYTES, WARPS, launch
from fastladder.ops.registration import empty_like_layout, in_layout_of, statistics_dtype


@triton.jit
def merge(mean_a, var_a, mean_b, var_b):
    gain = var_a / (var_a + var_b)
    return mean_a + gain * (mean_b - mean_a), var_b * gain


@triton.jit
def merge_backward(mean_a, var_a, mean_b, var_b, grad_mean, grad_var):
    """Gradients of mean_a, var_a, mean_b and var_b."""
    inverse = 1.0 / (var_a + var_b)
    share_a, share_b = var_a * inverse, var_b * inverse
    by_gain = grad_mean * (mean_b - mean_a) * inverse
    return (
        share_b * grad_mean,
        share_b * (share_b * grad_var + by_gain),
        share_a * grad_mean,
        share_a * (share_a * grad_var - by_gain),
    )


@triton.jit
def divergence(mean_q, var_q, mean_p, var_p):
    difference = mean_q - mean_p
    return 0.5 * (tl.log(var_p / var_q) + ((var_q + difference * difference) / var_p - 1.0))


@triton.jit
def divergence_backward(mean_q, var_q, mean_p, var_p, grad_kl):
    """Gradients of mean_q, var_q, mean_p and var_p."""
    inverse = 1.0 / var_p
    slope = (mean_q - mean_p) * inverse
    return (
        grad_kl * slope,
        0.5 * grad_kl * (inverse - 1.0 / var_q),
        -grad_kl * slope,
        0.5 * grad_kl * (inverse * (1.0 - var_q * inverse) - slope * slope),
    )


@triton.jit
def elements_of_program(block: tl.constexpr):
    """(block), int64; the last ones may be beyond the end."""
    return tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)


@triton.jit
def load_elements(tensor, at, there):
    """In float32; 0 where there is no tensor."""
    numbers = tl.zeros_like(at).to(tl.float32)
    if tensor is not None:
        numbers = tl.load(tensor + at, there, 0.0).to(tl.float32)
    return numbers


@triton.jit
def store_elements(tensor, numbers, at, there):
    tl.store(tensor + at, numbers.to(tensor.dtype.element_ty), there)


@triton.jit
def gaussian_merge_kernel(
    mean_a,  # (N, C, *S)
    var_a,  # (N, C, *S)
    mean_b,  # (N, C, *S)
    var_b,  # (N, C, *S)
    out_mean,  # (N, C, *S)
    out_var,  # (N, C, *S)
    elements,  # of each; where 16 divides it, the masks below let whole vectors through
    block: tl.constexpr,
):
    at = elements_of_program(block)
    there = at < elements
    mean, var = merge(
        load_elements(mean_a, at, there),
        load_elements(var_a, at, there),
        load_elements(mean_b, at, there),
        load_elements(var_b, at, there),
    )
    store_elements(out_mean, mean, at, there)
    store_elements(out_var, var, at, there)


@triton.jit
def gaussian_merge_backward_kernel(
    grad_mean,  # (N, C, *S), or None
    grad_var,  # (N, C, *S), or None
    mean_a,  # (N, C, *S)
    var_a,  # (N, C, *S)
    mean_b,  # (N, C, *S)
    var_b,  # (N, C, *S)
    of_mean_a,  # (N, C, *S), the gradient of mean_a, and so on
    of_var_a,  # (N, C, *S)
    of_mean_b,  # (N, C, *S)
    of_var_b,  # (N, C, *S)
    elements,  # of each
    block: tl.constexpr,
):
    at = elements_of_program(block)
    there = at < elements
    d_mean_a, d_var_a, d_mean_b, d_var_b = merge_backward(
        load_elements(mean_a, at, there),
        load_elements(var_a, at, there),
        load_elements(mean_b, at, there),
        load_elements(var_b, at, there),
        load_elements(grad_mean, at, there),
        load_elements(grad_var, at, there),
    )
    store_elements(of_mean_a, d_mean_a, at, there)
    store_elements(of_var_a, d_var_a, at, there)
    store_elements(of_mean_b, d_mean_b, at, there)
    store_elements(of_var_b, d_var_b, at, there)


@triton.jit(do_not_specialize=["rows"])
def gaussian_kl_kernel(
    mean_q,  # (N, size)
    var_q,  # (N, size)
    mean_p,  # (N, size)
    var_p,  # (N, size)
    kl,  # (N)
    rows,  # N
    size,  # elements of a sample
    block_rows: tl.constexpr,
    block_features: tl.constexpr,
):
    row = rows_of_program(block_rows)
    sums = tl.zeros((block_rows, block_features), tl.float32)
    for first in range(0, size, block_features):
        feature = first + tl.arange(0, block_features)
        terms = divergence(
            load(mean_q, row, rows, feature, size),
            load(var_q, row, rows, feature, size),
            load(mean_p, row, rows, feature, size),
            load(var_p, row, rows, feature, size),
        )
        sums += tl.where((feature < size)[None, :], terms, 0.0)
    tl.store(kl + row, tl.sum(sums, 1), mask=row < rows)


@triton.jit
def gaussian_kl_backward_kernel(
    grad_kl,  # (N), or None
    mean_q,  # (N, size)
    var_q,  # (N, size)
    mean_p,  # (N, size)
    var_p,  # (N, size)
    of_mean_q,  # (N, size), the gradient of mean_q, and so on
    of_var_q,  # (N, size)
    of_mean_p,  # (N, size)
    of_var_p,  # (N, size)
    size,  # elements of a sample
    elements,  # of all samples
    block: tl.constexpr,
):
    at = elements_of_program(block)
    there = at < elements
    d_mean_q, d_var_q, d_mean_p, d_var_p = divergence_backward(
        load_elements(mean_q, at, there),
        load_elements(var_q, at, there),
        load_elements(mean_p, at, there),
        load_elements(var_p, at, there),
        load_elements(grad_kl, at // size, there),
    )
    store_elements(of_mean_q, d_mean_q, at, there)
    store_elements(of_var_q, d_var_q, at, there)
    store_elements(of_mean_p, d_mean_p, at, there)
    store_elements(of_var_p, d_var_p, at, there)


@triton.jit(do_not_specialize=["rows"])
def merge_sample_kl_kernel(
    mean_d,  # (N, size)
    var_d,  # (N, size)
    mean_t,  # (N, size)
    var_t,  # (N, size)
    mean_p,  # (N, size)
    var_p,  # (N, size)
    noise,  # (N, size)
    z,  # (N, size)
    out_mean,  # (N, size)
    out_var,  # (N, size)
    kl,  # (N)
    rows,  # N
    size,  # elements of a sample
    block_rows: tl.constexpr,
    block_features: tl.constexpr,
):
    row = rows_of_program(block_rows)
    sums = tl.zeros((block_rows, block_features), tl.float32)
    for first in range(0, size, block_features):
        feature = first + tl.arange(0, block_features)
        mean, var = merge(
            load(mean_d, row, rows, feature, size),
            load(var_d, row, rows, feature, size),
            load(mean_t, row, rows, feature, size),
            load(var_t, row, rows, feature, size),
        )
        terms = divergence(mean, var, load(mean_p, row, rows, feature, size), load(var_p, row, rows, feature, size))
        sums += tl.where((feature < size)[None, :], terms, 0.0)
        store(z, mean + tl.sqrt(var) * load(noise, row, rows, feature, size), row, rows, feature, size)
        store(out_mean, mean, row, rows, feature, size)
        store(out_var, var, row, rows, feature, size)
    tl.store(kl + row, tl.sum(sums, 1), mask=row < rows)


@triton.jit
def merge_sample_kl_backward_kernel(
    grad_z,  # (N, size), or None
    grad_mean,  # (N, size), or None
    grad_var,  # (N, size), or None
    grad_kl,  # (N), or None
    mean_d,  # (N, size)
    var_d,  # (N, size)
    mean_t,  # (N, size)
    var_t,  # (N, size)
    mean_p,  # (N, size)
    var_p,  # (N, size)
    noise,  # (N, size)
    of_mean_d,  # (N, size), the gradient of mean_d, and so on
    of_var_d,  # (N, size)
    of_mean_t,  # (N, size)
    of_var_t,  # (N, size)
    of_mean_p,  # (N, size)
    of_var_p,  # (N, size)
    of_noise,  # (N, size)
    size,  # elements of a sample
    elements,  # of all samples
    block: tl.constexpr,
):
    at = elements_of_program(block)
    there = at < elements
    mean_0, var_0 = load_elements(mean_d, at, there), load_elements(var_d, at, there)
    mean_1, var_1 = load_elements(mean_t, at, there), load_elements(var_t, at, there)
    mean, var = merge(mean_0, var_0, mean_1, var_1)
    d_mean, d_var, d_mean_p, d_var_p = divergence_backward(
        mean,
        var,
        load_elements(mean_p, at, there),
        load_elements(var_p, at, there),
        load_elements(grad_kl, at // size, there),
    )
    store_elements(of_mean_p, d_mean_p, at, there)
    store_elements(of_var_p, d_var_p, at, there)
    d_z, deviation = load_elements(grad_z, at, there), tl.sqrt(var)
    store_elements(of_noise, d_z * deviation, at, there)
    d_mean += d_z + load_elements(grad_mean, at, there)
    d_var += 0.5 * d_z * load_elements(noise, at, there) / deviation + load_elements(grad_var, at, there)
    d_mean_0, d_var_0, d_mean_1, d_var_1 = merge_backward(mean_0, var_0, mean_1, var_1, d_mean, d_var)
    store_elements(of_mean_d, d_mean_0, at, there)
    store_elements(of_var_d, d_var_0, at, there)
    store_elements(of_mean_t, d_mean_1, at, there)
    store_elements(of_var_t, d_var_1, at, there)


def run_rows(kernel: Any, inputs: list[Tensor], outputs: list[Tensor], kl: Tensor) -> None:
    """Launches a kernel over all samples, (N, C, *S)."""
    leader, rows, size = inputs[0], len(inputs[0]), size_of_sample(inputs[0])
    launch_rows(kernel, leader, rows, size, *in_layout_of(leader, *inputs), *outputs, kl, rows, size)


def run_elements(kernel: Any, tensors: list[Tensor | None], outputs: list[Tensor], *extents: int) -> None:
    """Launches a kernel over all elements, which lie alike in all tensors."""
    leader = outputs[0]
    block = WARPS * 32 * VECTOR_BYTES // leader.element_size()
    launch(
        kernel,
        leader,
        triton.cdiv(leader.numel(), block),
        *tensors,
        *outputs,
        *extents,
        leader.numel(),
        block=block,
        num_warps=WARPS,
    )


def empty_results(leader: Tensor, count: int) -> list[Tensor]:
    return [empty_like_layout(leader, leader.shape[1]) for _ in range(count)]


def contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def size_of_sample(leader: Tensor) -> int:
    return leader.numel() // max(len(leader), 1)


def gaussian_merge(mean_a: Tensor, var_a: Tensor, mean_b: Tensor, var_b: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance, each (N, C, *S)."""
    outputs = empty_results(mean_a, 2)
    run_elements(gaussian_merge_kernel, [*in_layout_of(mean_a, mean_a, var_a, mean_b, var_b)], outputs)
    return outputs[0], outputs[1]


def gaussian_merge_backward(
    grad_mean: Tensor | None, grad_var: Tensor | None, mean_a: Tensor, var_a: Tensor, mean_b: Tensor, var_b: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of all four arguments, each (N, C, *S)."""
    gradients = empty_results(mean_a, 4)
    tensors = [*in_layout_of(mean_a, grad_mean, grad_var, mean_a, var_a, mean_b, var_b)]
    run_elements(gaussian_merge_backward_kernel, tensors, gradients)
    return gradients[0], gradients[1], gradients[2], gradients[3]


def gaussian_kl(mean_q: Tensor, var_q: Tensor, mean_p: Tensor, var_p: Tensor) -> Tensor:
    """The divergence of every sample, (N,)."""
    kl = mean_q.new_empty(mean_q.shape[:1], dtype=statistics_dtype(mean_q))
    run_rows(gaussian_kl_kernel, [mean_q, var_q, mean_p, var_p], [], kl)
    return kl


def gaussian_kl_backward(
    grad_kl: Tensor | None, mean_q: Tensor, var_q: Tensor, mean_p: Tensor, var_p: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of all four arguments, each (N, C, *S)."""
    gradients = empty_results(mean_q, 4)
    tensors = [contiguous(grad_kl), *in_layout_of(mean_q, mean_q, var_q, mean_p, var_p)]
    run_elements(gaussian_kl_backward_kernel, tensors, gradients, size_of_sample(mean_q))
    return gradients[0], gradients[1], gradients[2], gradients[3]


def merge_sample_kl(
    mean_d: Tensor, var_d: Tensor, mean_t: Tensor, var_t: Tensor, mean_p: Tensor, var_p: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z, mean and variance, each (N, C, *S); and the divergence of every sample, (N,)."""
    outputs = empty_results(mean_d, 3)
    kl = mean_d.new_empty(mean_d.shape[:1], dtype=statistics_dtype(mean_d))
    run_rows(merge_sample_kl_kernel, [mean_d, var_d, mean_t, var_t, mean_p, var_p, noise], outputs, kl)
    return outputs[0], outputs[1], outputs[2], kl


def merge_sample_kl_backward(
    grad_z: Tensor | None,
    grad_mean: Tensor | None,
    grad_var: Tensor | None,
    grad_kl: Tensor | None,
    mean_d: Tensor,
    var_d: Tensor,
    mean_t: Tensor,
    var_t: Tensor,
    mean_p: Tensor,
    var_p: Tensor,
    noise: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of all seven arguments, each (N, C, *S)."""
    gradients = empty_results(mean_d, 7)
    tensors = [*in_layout_of(mean_d, grad_z, grad_mean, grad_var), contiguous(grad_kl)]
    tensors += in_layout_of(mean_d, mean_d, var_d, mean_t, var_t, mean_p, var_p, noise)
    run_elements(merge_sample_kl_backward_kernel, tensors, gradients, size_of_sample(mean_d))
    of_mean_d, of_var_d, of_mean_t, of_var_t, of_mean_p, of_var_p, of_noise = gradients
    return of_mean_d, of_var_d, of_mean_t, of_var_t, of_mean_p, of_var_p, of_noise
