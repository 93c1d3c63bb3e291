"""The evidence terms of Tagger for real and for binary data, as kernels.

The backward pass computes them again from the inputs, which moves fewer bytes than keeping intermediate results.
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
    softmax,
    softmax_backward,
    store_data,
    store_groups,
    total,
)

FEATURES = 4  # mean, mask, delta, likelihood
# e^80 is finite in float32, so that the likelihood of a group with mask 0 does not overflow.
LARGEST_EXPONENT = tl.constexpr(80.0)


@triton.jit
def weighted_by(m, e):
    """q and r = m q with q_k = a_k / sum_h m_h a_h, relative to the largest a_h with a mask above 0."""
    largest = tl.max(tl.where(m > 0.0, e, float("-inf")), axis=0, keep_dims=True)
    a = tl.exp(tl.minimum(e - largest, LARGEST_EXPONENT, propagate_nan=tl.PropagateNan.ALL))
    mixed = total(m * a)
    return a / mixed, m * a / mixed


@triton.jit
def flip_likelihood(x, z, flip_probability, tile):
    """a_k = P(x | z_k), and the probability xi_k of a one."""
    xi = (1.0 - 2.0 * flip_probability) * z + flip_probability
    return tl.where(tile.mask, x * xi + (1.0 - x) * (1.0 - xi), 0.0), xi


@triton.jit
def evidence_kernel(
    noisy,  # (N, P)
    mean,  # (N, K, P)
    mask,  # (N, K, P)
    variance,  # 0-dim, of corruption and reconstruction together; None for binary data
    flip_probability,  # a number; not used for real data
    mean_copy,  # (N, K, features, P), or None where no copy is needed
    mask_copy,  # likewise
    delta,  # (N, K, features, P)
    likelihood,  # (N, K, features, P)
    pixels,  # P
    kind: tl.constexpr,  # of delta: "residual", "weighted" or "gradient"
    features: tl.constexpr,  # how many stand side by side: 1 or FEATURES
    groups: tl.constexpr,  # K
    block_groups: tl.constexpr,
    block_pixels: tl.constexpr,
):
    tile = locate(pixels, groups, block_groups, block_pixels)
    x = load_data(noisy, tile)
    z = load_groups(mean, tile)
    m = load_groups(mask, tile)
    if variance is None:
        a, _ = flip_likelihood(x, z, flip_probability, tile)
        shown = (1.0 - 2.0 * flip_probability) * (2.0 * x - 1.0) * m / total(m * a)
        explained = a / total(a)
    else:
        s = tl.load(variance)
        e = exponents(x, z, s, tile)
        explained = softmax(e)
        if kind == "residual":
            shown = m * (x - z)
        elif kind == "weighted":
            shown = m * tl.exp(e) * (x - z) * tl.rsqrt(s * TAU)
        else:
            _, r = weighted_by(m, e)
            shown = r * (x - z) / s
    if mean_copy is not None:
        store_groups(mean_copy, z, tile, features)
        store_groups(mask_copy, m, tile, features)
    store_groups(delta, shown, tile, features)
    store_groups(likelihood, explained, tile, features)


@triton.jit
def gaussian_evidence_backward(g_delta, g_likelihood, x, z, m, s, tile, kind: tl.constexpr):
    """dloss/dz, dloss/dm and dloss/ds, per element."""
    d = x - z
    e = exponents(x, z, s, tile)
    half = d * d / (2.0 * s)
    d_e = softmax_backward(g_likelihood, softmax(e))
    d_z = d_e * d / s
    d_s = d_e * half / s
    if kind == "residual":
        d_z -= m * g_delta
        d_m = d * g_delta
    elif kind == "weighted":
        g = g_delta * tl.exp(e) * tl.rsqrt(s * TAU)
        d_z += g * m * (2.0 * half - 1.0)
        d_m = g * d
        d_s += g * m * d * (half - 0.5) / s
    else:
        q, r = weighted_by(m, e)
        d_r = g_delta * d / s
        d_r -= total(r * d_r)
        d_m = q * d_r
        d_z += (r * d_r * d - g_delta * r) / s
        d_s += (r * d_r * half - g_delta * r * d / s) / s
    return d_z, d_m, d_s


@triton.jit
def flip_evidence_backward(g_delta, g_likelihood, x, z, m, flip_probability, tile):
    """dloss/dx, (1, B), and dloss/dz and dloss/dm."""
    contrast = 1.0 - 2.0 * flip_probability
    a, xi = flip_likelihood(x, z, flip_probability, tile)
    sum_a = total(a)
    inverse = 1.0 / total(m * a)
    shown = total(g_delta * m) * inverse  # delta is m / sum_h m_h a_h times the slope of a
    slope = contrast * (2.0 * x - 1.0)
    d_m = slope * inverse * (g_delta - shown * a)
    d_a = (g_likelihood - total(g_likelihood * a) / sum_a) / sum_a - slope * inverse * shown * m
    d_x = 2.0 * contrast * shown + total(tl.where(tile.mask, d_a * (2.0 * xi - 1.0), 0.0))
    return d_x, d_a * slope, d_m


@triton.jit
def evidence_backward_kernel(
    grad_mean,  # (N, K, features, P), of the copy of mean, or None
    grad_mask,  # (N, K, features, P), of the copy of mask, or None
    grad_delta,  # (N, K, features, P) or None
    grad_likelihood,  # (N, K, features, P) or None
    noisy,  # (N, P)
    mean,  # (N, K, P)
    mask,  # (N, K, P)
    variance,  # 0-dim, None for binary data
    flip_probability,  # a number; not used for real data
    noisy_gradient,  # (N, P)
    mean_gradient,  # (N, K, P)
    mask_gradient,  # (N, K, P)
    variance_partials,  # (programs); None for binary data
    pixels,  # P
    kind: tl.constexpr,  # of delta: "residual", "weighted" or "gradient"
    features: tl.constexpr,  # how many stand side by side: 1 or FEATURES
    groups: tl.constexpr,  # K
    block_groups: tl.constexpr,
    block_pixels: tl.constexpr,
):
    tile = locate(pixels, groups, block_groups, block_pixels)
    x = load_data(noisy, tile)
    z = load_groups(mean, tile)
    m = load_groups(mask, tile)
    g_delta = load_gradient(grad_delta, tile, features)
    g_likelihood = load_gradient(grad_likelihood, tile, features)
    if variance is None:
        d_x, d_z, d_m = flip_evidence_backward(g_delta, g_likelihood, x, z, m, flip_probability, tile)
    else:
        d_z, d_m, d_s = gaussian_evidence_backward(g_delta, g_likelihood, x, z, m, tl.load(variance), tile, kind)
        d_x = -total(d_z)
        tl.store(variance_partials + tl.program_id(0), tl.sum(tl.where(tile.mask, d_s, 0.0)))
    store_data(noisy_gradient, d_x, tile)
    store_groups(mean_gradient, d_z + load_gradient(grad_mean, tile, features), tile)
    store_groups(mask_gradient, d_m + load_gradient(grad_mask, tile, features), tile)


def features_of(features: Tensor | None) -> list[Any]:
    """The four features of (N, K, 4, *D), as views (N, K, *D); None four times for None."""
    return [None] * FEATURES if features is None else list(features.contiguous().unbind(2))


def run_evidence(
    noisy: Tensor, mean: Tensor, mask: Tensor, variance: Tensor | None, flip_probability: float, kind: str
) -> tuple[Tensor, Tensor]:
    """delta and likelihood, (N, K, *D)."""
    delta, likelihood = (mean.new_empty(mean.shape) for _ in range(2))
    arguments = (*contiguous(noisy, mean, mask), variance, flip_probability, None, None, delta, likelihood)
    Blocks.of(mean).launch(evidence_kernel, mean, *arguments, kind=kind, features=1)
    return delta, likelihood


def run_features(
    noisy: Tensor, mean: Tensor, mask: Tensor, variance: Tensor | None, flip_probability: float, kind: str
) -> Tensor:
    """mean, mask, delta and likelihood, (N, K, 4, *D)."""
    features = mean.new_empty(*mean.shape[:2], FEATURES, *mean.shape[2:])
    arguments = (*contiguous(noisy, mean, mask), variance, flip_probability, *features_of(features))
    Blocks.of(mean).launch(evidence_kernel, mean, *arguments, kind=kind, features=FEATURES)
    return features


def run_evidence_backward(
    gradients: list[Any],  # of mean, mask, delta and likelihood, (N, K, *D) each or None
    noisy: Tensor,
    mean: Tensor,
    mask: Tensor,
    variance: Tensor | None,
    flip_probability: float,
    kind: str,
    features: int = 1,
) -> Any:
    """Gradients of noisy, mean, mask and, unless it is None, variance."""
    blocks = Blocks.of(mean)
    results = tuple(x.new_empty(x.shape) for x in (noisy, mean, mask))
    partials = None if variance is None else blocks.partials(mean)
    arguments = (*gradients, *contiguous(noisy, mean, mask), variance, flip_probability, *results, partials)
    blocks.launch(evidence_backward_kernel, mean, *arguments, kind=kind, features=features)
    return results if partials is None else (*results, partials.sum())
