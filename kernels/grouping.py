"""Tagger's evidence terms and mixture likelihood; see `fastladder.ops.grouping` for the equations.

A program handles a tile of `grouping_tiles`. Derivatives are computed from the inputs anew, as that moves fewer bytes
than keeping anything.
"""

import math
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastladder.kernels.grouping_tiles import (
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
from fastladder.kernels.tiles import WARPS, launch
from fastladder.reference.grouping import LARGEST_EXPONENT

THREAD_ELEMENTS = 8  # of a tile: 16 bytes in the narrow dtypes; with twice as many a thread needs up to 189 registers
FEATURES = 4  # mean, mask, delta, likelihood

LARGEST = tl.constexpr(LARGEST_EXPONENT)
TAU = tl.constexpr(2 * math.pi)  # on the right of a product, as the interpreter needs it


@triton.jit
def exponents(x, z, s, tile):
    """e with a_k ~ exp(e_k), -inf for what is no group."""
    d = x - z
    return tl.where(tile.mask, -d * d / (2.0 * s), float("-inf"))


@triton.jit
def weighted_by(m, e):
    """q and r = m q with q_k = a_k / sum_h m_h a_h, relative to the largest a_h with a mask above 0."""
    largest = tl.max(tl.where(m > 0.0, e, float("-inf")), axis=0, keep_dims=True)
    a = tl.exp(tl.minimum(e - largest, LARGEST, propagate_nan=tl.PropagateNan.ALL))
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
    flip_probability,
    mean_copy,  # (N, K, features, P) or None, as all below
    mask_copy,
    delta,
    likelihood,
    pixels,
    kind: tl.constexpr,  # of delta
    features: tl.constexpr,
    groups: tl.constexpr,
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
    shown = total(g_delta * m) * inverse  # times the slope of a, by which delta is m / sum_h m_h a_h
    slope = contrast * (2.0 * x - 1.0)
    d_m = slope * inverse * (g_delta - shown * a)
    d_a = (g_likelihood - total(g_likelihood * a) / sum_a) / sum_a - slope * inverse * shown * m
    d_x = 2.0 * contrast * shown + total(tl.where(tile.mask, d_a * (2.0 * xi - 1.0), 0.0))
    return d_x, d_a * slope, d_m


@triton.jit
def evidence_backward_kernel(
    grad_mean,  # of the copy, (N, K, features, P) or None, as the next three
    grad_mask,  # of the copy
    grad_delta,
    grad_likelihood,
    noisy,  # (N, P)
    mean,  # (N, K, P)
    mask,  # (N, K, P)
    variance,  # 0-dim, None for binary data
    flip_probability,
    noisy_gradient,  # (N, P)
    mean_gradient,  # (N, K, P)
    mask_gradient,  # (N, K, P)
    variance_partials,  # (programs); None for binary data
    pixels,
    kind: tl.constexpr,  # of delta
    features: tl.constexpr,
    groups: tl.constexpr,
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


@triton.jit
def log_likelihood(x, z, variance, tile):
    """log a_k, -inf for what is no group; with a variance without the constant that all groups share."""
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
    pixels,
    groups: tl.constexpr,
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
    pixels,
    groups: tl.constexpr,
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


class Blocks(NamedTuple):
    """The blocks that activations (N, K, *D) are cut into."""

    samples: int
    groups: int
    pixels: int
    block_groups: int
    block_pixels: int

    @classmethod
    def of(cls, leader: Tensor) -> "Blocks":
        samples, groups, *data = leader.shape
        pixels, block_groups = math.prod(data), triton.next_power_of_2(groups)
        widest = WARPS * 32 * THREAD_ELEMENTS // block_groups
        return cls(samples, groups, pixels, block_groups, min(triton.next_power_of_2(max(pixels, 1)), widest))

    @property
    def per_sample(self) -> int:
        return triton.cdiv(self.pixels, self.block_pixels)

    def launch(self, kernel: Any, leader: Tensor, *arguments: Any, **options: Any) -> None:
        """Runs `kernel`, one program a block, on the device of `leader`; its last argument is how many pixels are."""
        launch(
            kernel,
            leader,
            self.samples * self.per_sample,
            *arguments,
            self.pixels,
            groups=self.groups,
            block_groups=self.block_groups,
            block_pixels=self.block_pixels,
            num_warps=WARPS,
            **options,
        )

    def partials(self, leader: Tensor) -> Tensor:
        """Room for one number of every program."""
        return leader.new_empty(self.samples, self.per_sample, dtype=torch.float32)


def contiguous(*tensors: Tensor | None) -> list[Any]:
    return [None if tensor is None else tensor.contiguous() for tensor in tensors]


def features_of(features: Tensor | None) -> list[Any]:
    """Where each of the features of (N, K, 4, *D) stands."""
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
    """(N, K, 4, *D)."""
    features = mean.new_empty(*mean.shape[:2], FEATURES, *mean.shape[2:])
    arguments = (*contiguous(noisy, mean, mask), variance, flip_probability, *features_of(features))
    Blocks.of(mean).launch(evidence_kernel, mean, *arguments, kind=kind, features=FEATURES)
    return features


def run_evidence_backward(
    gradients: list[Any],  # of mean, mask, delta, likelihood
    noisy: Tensor,
    mean: Tensor,
    mask: Tensor,
    variance: Tensor | None,
    flip_probability: float,
    kind: str,
    features: int = 1,
) -> Any:
    """Gradients of noisy, mean, mask and, where there is one, variance."""
    blocks = Blocks.of(mean)
    answers = tuple(x.new_empty(x.shape) for x in (noisy, mean, mask))
    partials = None if variance is None else blocks.partials(mean)
    arguments = (*gradients, *contiguous(noisy, mean, mask), variance, flip_probability, *answers, partials)
    blocks.launch(evidence_backward_kernel, mean, *arguments, kind=kind, features=features)
    return answers if partials is None else (*answers, partials.sum())


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
    """Gradients of target, mean, mask_logits and, where there is one, variance."""
    blocks = Blocks.of(mean)
    answers = tuple(x.new_empty(x.shape) for x in (target, mean, mask_logits))
    partials = None if variance is None else blocks.partials(mean)
    arguments = (*contiguous(grad_nll, grad_mask, target, mean, mask_logits), variance, *answers, partials)
    blocks.launch(mixture_backward_kernel, mean, *arguments)
    return answers if partials is None else (*answers, partials.sum())


def group_evidence(noisy: Tensor, mean: Tensor, mask: Tensor, variance: Tensor, delta: str) -> tuple[Tensor, Tensor]:
    """delta and likelihood, (N, K, *D)."""
    return run_evidence(noisy, mean, mask, variance, 0.0, delta)


def group_evidence_backward(
    grad_delta: Tensor | None,
    grad_likelihood: Tensor | None,
    noisy: Tensor,
    mean: Tensor,
    mask: Tensor,
    variance: Tensor,
    delta: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of noisy, mean, mask and variance."""
    gradients = [None, None, *contiguous(grad_delta, grad_likelihood)]
    return run_evidence_backward(gradients, noisy, mean, mask, variance, 0.0, delta)


def group_evidence_bernoulli(
    noisy: Tensor, probability: Tensor, mask: Tensor, flip_probability: float
) -> tuple[Tensor, Tensor]:
    """delta and likelihood, (N, K, *D)."""
    return run_evidence(noisy, probability, mask, None, flip_probability, "gradient")


def group_evidence_bernoulli_backward(
    grad_delta: Tensor | None,
    grad_likelihood: Tensor | None,
    noisy: Tensor,
    probability: Tensor,
    mask: Tensor,
    flip_probability: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of noisy, probability and mask."""
    gradients = [None, None, *contiguous(grad_delta, grad_likelihood)]
    return run_evidence_backward(gradients, noisy, probability, mask, None, flip_probability, "gradient")


def group_features(noisy: Tensor, mean: Tensor, mask: Tensor, variance: Tensor, delta: str) -> Tensor:
    """(N, K, 4, *D)."""
    return run_features(noisy, mean, mask, variance, 0.0, delta)


def group_features_backward(
    grad_features: Tensor | None, noisy: Tensor, mean: Tensor, mask: Tensor, variance: Tensor, delta: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of noisy, mean, mask and variance."""
    gradients = features_of(grad_features)
    return run_evidence_backward(gradients, noisy, mean, mask, variance, 0.0, delta, FEATURES)


def group_features_bernoulli(noisy: Tensor, probability: Tensor, mask: Tensor, flip_probability: float) -> Tensor:
    """(N, K, 4, *D)."""
    return run_features(noisy, probability, mask, None, flip_probability, "gradient")


def group_features_bernoulli_backward(
    grad_features: Tensor | None, noisy: Tensor, probability: Tensor, mask: Tensor, flip_probability: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of noisy, probability and mask."""
    gradients = features_of(grad_features)
    return run_evidence_backward(gradients, noisy, probability, mask, None, flip_probability, "gradient", FEATURES)


def group_mixture_nll(target: Tensor, mean: Tensor, mask_logits: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """nll (N,) and mask (N, K, *D)."""
    return run_mixture(target, mean, mask_logits, variance)


def group_mixture_nll_backward(
    grad_nll: Tensor | None,
    grad_mask: Tensor | None,
    target: Tensor,
    mean: Tensor,
    mask_logits: Tensor,
    variance: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of target, mean, mask_logits and variance."""
    return run_mixture_backward(grad_nll, grad_mask, target, mean, mask_logits, variance)


def group_mixture_nll_bernoulli(target: Tensor, logits: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
    """nll (N,) and mask (N, K, *D)."""
    return run_mixture(target, logits, mask_logits, None)


def group_mixture_nll_bernoulli_backward(
    grad_nll: Tensor | None, grad_mask: Tensor | None, target: Tensor, logits: Tensor, mask_logits: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of target, logits and mask_logits."""
    return run_mixture_backward(grad_nll, grad_mask, target, logits, mask_logits, None)
