"""The mixture likelihood of Tagger for real and for binary data, as kernels.

The backward pass computes it again from the inputs, which moves fewer bytes than keeping intermediate results.
"""

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from fastladder.kernels.grouping_tiles import (
    TAU,
    Blocks,
    contiguous,
    exponents,
    load_data,
    load_gradient,
    load_groups,
    locate,
    logsumexp,
    softmax,
    softmax_backward,
    store_data,
    store_groups,
    total,
)


@triton.jit
def log_likelihood(x, z, variance, tile):
    """log a_k, or -inf in rows beyond the last group; for real data without the constant that all groups share."""
    if variance is None:
        softplus = tl.maximum(z, 0.0) + tl.log(1.0 + tl.exp(-tl.abs(z)))
        return tl.where(tile.mask, x * z - softplus, float("-inf"))
    else:
        return exponents(x, z, tl.load(variance), tile)


@triton.jit
def mixture_kernel(
    target,  # (N, P)
    mean,  # (N, K, P); for binary data logits
    mask_logits,  # (N, K, P)
    variance,  # 0-dim, None for binary data
    partials,  # (N, blocks): of the negative log-likelihood
    mask,  # (N, K, P)
    pixels,  # P
    groups: tl.constexpr,  # K
    block_groups: tl.constexpr,
    block_pixels: tl.constexpr,
):
    tile = locate(pixels, groups, block_groups, block_pixels)
    logits = tl.where(tile.mask, load_groups(mask_logits, tile), float("-inf"))
    log_a = log_likelihood(load_data(target, tile), load_groups(mean, tile), variance, tile)
    nll = logsumexp(logits) - logsumexp(logits + log_a)
    if variance is not None:
        nll += 0.5 * tl.log(tl.load(variance) * TAU)
    store_groups(mask, softmax(logits), tile)
    tl.store(partials + tl.program_id(0), tl.sum(tl.where(tile.pixel_mask, nll, 0.0)))


@triton.jit
def mixture_backward_kernel(
    grad_nll,  # (N) or None
    grad_mask,  # (N, K, P) or None
    target,  # (N, P)
    mean,  # (N, K, P); for binary data logits
    mask_logits,  # (N, K, P)
    variance,  # 0-dim, None for binary data
    target_gradient,  # (N, P)
    mean_gradient,  # (N, K, P)
    mask_logits_gradient,  # (N, K, P)
    variance_partials,  # (programs); None for binary data
    pixels,  # P
    groups: tl.constexpr,  # K
    block_groups: tl.constexpr,
    block_pixels: tl.constexpr,
):
    tile = locate(pixels, groups, block_groups, block_pixels)
    x = load_data(target, tile)
    z = load_groups(mean, tile)
    logits = tl.where(tile.mask, load_groups(mask_logits, tile), float("-inf"))
    m = softmax(logits)
    r = softmax(logits + log_likelihood(x, z, variance, tile))
    g = 0.0
    if grad_nll is not None:
        g = tl.load(grad_nll + tile.sample)
    store_groups(mask_logits_gradient, g * (m - r) + softmax_backward(load_gradient(grad_mask, tile), m), tile)
    if variance is None:
        store_groups(mean_gradient, g * r * (tl.sigmoid(z) - x), tile)
        store_data(target_gradient, -g * total(r * z), tile)
    else:
        v = tl.load(variance)
        d = x - z
        d_z = -g * r * d / v
        d_v = g * (1.0 - total(r * d * d / v)) / (2.0 * v)
        store_groups(mean_gradient, d_z, tile)
        store_data(target_gradient, -total(d_z), tile)
        tl.store(variance_partials + tl.program_id(0), tl.sum(tl.where(tile.pixel_mask, d_v, 0.0)))


def run_mixture(target: Tensor, mean: Tensor, mask_logits: Tensor, variance: Tensor | None) -> tuple[Tensor, Tensor]:
    """nll (N,) and mask (N, K, *D)."""
    blocks = Blocks.of(mean)
    mask, partials = mean.new_empty(mean.shape), blocks.partials(mean)
    blocks.launch(mixture_kernel, mean, *contiguous(target, mean, mask_logits), variance, partials, mask)
    return partials.sum(1), mask


def run_mixture_backward(
    grad_nll: Tensor | None,
    grad_mask: Tensor | None,
    target: Tensor,
    mean: Tensor,
    mask_logits: Tensor,
    variance: Tensor | None,
) -> Any:
    """Gradients of target, mean, mask_logits and, unless it is None, variance."""
    blocks = Blocks.of(mean)
    results = tuple(x.new_empty(x.shape) for x in (target, mean, mask_logits))
    partials = None if variance is None else blocks.partials(mean)
    arguments = (*contiguous(grad_nll, grad_mask, target, mean, mask_logits), variance, *results, partials)
    blocks.launch(mixture_backward_kernel, mean, *arguments)
    return results if partials is None else (*results, partials.sum())
