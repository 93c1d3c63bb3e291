"""Moments under a Gaussian input, elementwise; `fastladder.reference.moments` has the equations."""

from collections.abc import Callable
from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from fastladder.kernels.tiles import launch
from fastladder.ops.registration import empty_like_layout, in_layout_of

BLOCK = 1024  # elements of a program

# tanh(x) is the sum over i of weight_i erf(scale_i x), nearly.
WEIGHT_0, WEIGHT_1, WEIGHT_2 = tl.constexpr(0.20753), tl.constexpr(0.20625), tl.constexpr(0.58622)
SCALE_0, SCALE_1, SCALE_2 = tl.constexpr(1.32564), tl.constexpr(0.53658), tl.constexpr(0.85322)
TWO_BY_ROOT_PI = tl.constexpr(1.1283791670955126)
ROOT_HALF = tl.constexpr(0.7071067811865476)
BY_ROOT_TWO_PI = tl.constexpr(0.3989422804014327)
SMALLEST = tl.constexpr(1e-30)  # variance for which a standard deviation is computed
FARTHEST = tl.constexpr(1e4)  # standard deviations from zero, beyond which a tail has no number to stand for it
TANH, SIGMOID, RELU, UNCHANGED = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2), tl.constexpr(3)


@triton.jit
def at_least(x, least):
    """The larger number; a NaN stays."""
    return tl.where(x < least, least, x)


@triton.jit
def tanh_term(mean, var, weight: tl.constexpr, scale: tl.constexpr):
    """Of one erf: its part of the mean, and of the first three derivatives of the mean by the input's mean."""
    by_mean = 1.0 / tl.sqrt(1.0 + at_least(var, 0.0) * (2.0 * scale * scale)) * scale
    u = by_mean * mean
    slope = by_mean * tl.exp(-u * u) * (weight * TWO_BY_ROOT_PI)
    curvature = -2.0 * by_mean * (u * slope)
    bend = 2.0 * by_mean * by_mean * ((2.0 * u * u - 1.0) * slope)
    return tl.erf(u) * weight, slope, curvature, bend


@triton.jit
def tanh_sums(mean, var):
    e0, s0, c0, b0 = tanh_term(mean, var, WEIGHT_0, SCALE_0)
    e1, s1, c1, b1 = tanh_term(mean, var, WEIGHT_1, SCALE_1)
    e2, s2, c2, b2 = tanh_term(mean, var, WEIGHT_2, SCALE_2)
    return e0 + e1 + e2, s0 + s1 + s2, c0 + c1 + c2, b0 + b1 + b2


@triton.jit
def tanh_forward(mean, var):
    expected, slope, _, _ = tanh_sums(mean, var)
    return expected, at_least(1.0 - slope - expected * expected, 0.0)


@triton.jit
def tanh_backward(mean, var, grad_mean, grad_var):
    # A Gaussian spreads as heat does: the derivative by the variance is half the second one by the mean.
    expected, slope, curvature, bend = tanh_sums(mean, var)
    of_variance = tl.where(1.0 - slope - expected * expected > 0.0, grad_var, 0.0)
    of_expected = grad_mean - 2.0 * of_variance * expected
    return of_expected * slope - of_variance * curvature, 0.5 * (of_expected * curvature - of_variance * bend)


@triton.jit
def normal(mean, var):
    """Of r = mean / deviation: 1 / deviation, deviation, r, Phi(r), 1 - Phi(r) and the density phi(r)."""
    bounded = at_least(var, SMALLEST)
    inverse = 1.0 / tl.sqrt(bounded)
    r = mean * inverse
    r = tl.where(r > FARTHEST, FARTHEST, tl.where(r < -FARTHEST, -FARTHEST, r))
    density = tl.exp(-0.5 * r * r) * BY_ROOT_TWO_PI
    tail = upper_tail(tl.abs(r))
    return (
        inverse,
        bounded * inverse,
        r,
        tl.where(r > 0.0, 1.0 - tail, tail),
        tl.where(r > 0.0, tail, 1.0 - tail),
        density,
    )


@triton.jit
def upper_tail(h):
    """1 - Phi(h) for h >= 0, within 2e-7 of it, by a fit in t = 1 / (1 + x / 2) (Press et al., Numerical Recipes)."""
    x = h * ROOT_HALF
    t = 1.0 / (1.0 + 0.5 * x)
    p = 0.17087277 * t - 0.82215223
    p = p * t + 1.48851587
    p = p * t - 1.13520398
    p = p * t + 0.27886807
    p = p * t - 0.18628806
    p = p * t + 0.09678418
    p = p * t + 0.37409196
    p = p * t + 1.00002368
    p = p * t - 1.26551223
    return 0.5 * t * tl.exp(p - x * x)


@triton.jit
def relu_forward(mean, var):
    _, deviation, r, below, above, density = normal(mean, var)
    share = below + r * r * below * above + r * density * (above - below) - density * density
    return mean * below + deviation * density, at_least(var, 0.0) * at_least(share, 0.0)


@triton.jit
def relu_backward(mean, var, grad_mean, grad_var):
    inverse, deviation, _, below, above, density = normal(mean, var)
    expected, by_deviation = mean * below + deviation * density, density * inverse
    of_mean = tl.where(var > 0.0, 0.5 * by_deviation, 0.0)
    return (
        grad_mean * below + grad_var * (2.0 * expected * above),
        grad_mean * of_mean + grad_var * (below - expected * by_deviation),
    )


@triton.jit
def gaussian_moments_kernel(
    mean,  # (N, C, *S)
    var,  # (N, C, *S)
    out_mean,  # (N, C, *S)
    out_var,  # (N, C, *S)
    rate,  # (N, C), for a step of moments_sequence, else None
    spread,  # (N, C), out_var + rate * out_mean^2, or None
    elements,  # of each; where 16 divides it, the masks below let whole vectors through
    function: tl.constexpr,
    block: tl.constexpr,
):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    there = at < elements
    m, v = tl.load(mean + at, there, 0.0).to(tl.float32), tl.load(var + at, there, 0.0).to(tl.float32)
    if function == TANH:
        e, s = tanh_forward(m, v)
    elif function == SIGMOID:
        e, s = tanh_forward(0.5 * m, 0.25 * v)
        e, s = 0.5 + 0.5 * e, 0.25 * s
    elif function == RELU:
        e, s = relu_forward(m, v)
    else:
        e, s = m, v
    tl.store(out_mean + at, e.to(out_mean.dtype.element_ty), there)
    tl.store(out_var + at, s.to(out_var.dtype.element_ty), there)
    if spread is not None:
        s += tl.load(rate + at, there, 0.0) * e * e
        tl.store(spread + at, s.to(spread.dtype.element_ty), there)


@triton.jit
def gaussian_moments_backward_kernel(
    grad_mean,  # (N, C, *S), or None
    grad_var,  # (N, C, *S), or None
    mean,  # (N, C, *S)
    var,  # (N, C, *S)
    out_mean,  # (N, C, *S), the gradient of mean
    out_var,  # (N, C, *S), the gradient of var
    rate,  # (N, C), for a step of moments_sequence, else None, as are all that follow
    output_mean,  # (N, C), of which a spread was computed
    grad_spread,  # (N, C)
    grad_rate,  # (N, C), to which that of each element is added
    elements,  # of each; where 16 divides it, the masks below let whole vectors through
    function: tl.constexpr,
    block: tl.constexpr,
):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    there = at < elements
    m, v = tl.load(mean + at, there, 0.0).to(tl.float32), tl.load(var + at, there, 0.0).to(tl.float32)
    d_e = tl.zeros_like(m)
    d_s = tl.zeros_like(m)
    if grad_mean is not None:
        d_e = tl.load(grad_mean + at, there, 0.0).to(tl.float32)
    if grad_var is not None:
        d_s = tl.load(grad_var + at, there, 0.0).to(tl.float32)
    if grad_spread is not None:
        e = tl.load(output_mean + at, there, 0.0).to(tl.float32)
        d_spread = tl.load(grad_spread + at, there, 0.0).to(tl.float32)
        d_e += 2.0 * tl.load(rate + at, there, 0.0) * e * d_spread
        d_s += d_spread
        tl.store(grad_rate + at, tl.load(grad_rate + at, there, 0.0) + d_spread * e * e, there)
    if function == TANH:
        d_m, d_v = tanh_backward(m, v, d_e, d_s)
    elif function == SIGMOID:
        d_m, d_v = tanh_backward(0.5 * m, 0.25 * v, 0.5 * d_e, 0.25 * d_s)
        d_m, d_v = 0.5 * d_m, 0.25 * d_v
    elif function == RELU:
        d_m, d_v = relu_backward(m, v, d_e, d_s)
    else:
        d_m, d_v = d_e, d_s
    tl.store(out_mean + at, d_m.to(out_mean.dtype.element_ty), there)
    tl.store(out_var + at, d_v.to(out_var.dtype.element_ty), there)


def forward_of(function: tl.constexpr) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    def moments(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance, each (N, C, *S)."""
        outputs = [empty_like_layout(mean, mean.shape[1]) for _ in range(2)]
        run_forward(function, *in_layout_of(mean, mean, var), *outputs)
        return outputs[0], outputs[1]

    return moments


def backward_of(function: tl.constexpr) -> Callable[..., tuple[Tensor, Tensor]]:
    def moments_backward(
        grad_mean: Tensor | None, grad_var: Tensor | None, mean: Tensor, var: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Gradients of mean and var, each (N, C, *S)."""
        outputs = [empty_like_layout(mean, mean.shape[1]) for _ in range(2)]
        run_backward(function, *in_layout_of(mean, grad_mean, grad_var, mean, var), *outputs)
        return outputs[0], outputs[1]

    return moments_backward


def run_forward(
    function: tl.constexpr,
    mean: Tensor,
    var: Tensor,
    out_mean: Tensor,
    out_var: Tensor,
    rate: Tensor | None = None,
    spread: Tensor | None = None,
) -> None:
    """Launches the kernel of a forward pass over all elements, which lie alike in all tensors."""
    run(gaussian_moments_kernel, function, mean, mean, var, out_mean, out_var, rate, spread)


def run_backward(
    function: tl.constexpr,
    grad_mean: Tensor | None,
    grad_var: Tensor | None,
    mean: Tensor,
    var: Tensor,
    out_mean: Tensor,
    out_var: Tensor,
    rate: Tensor | None = None,
    output_mean: Tensor | None = None,
    grad_spread: Tensor | None = None,
    grad_rate: Tensor | None = None,
) -> None:
    """Launches the kernel of a backward pass over all elements, which lie alike in all tensors."""
    of_step = (rate, output_mean, grad_spread, grad_rate)
    run(gaussian_moments_backward_kernel, function, mean, grad_mean, grad_var, mean, var, out_mean, out_var, *of_step)


def run(kernel: Any, function: tl.constexpr, leader: Tensor, *tensors: Tensor | None) -> None:
    programs = triton.cdiv(leader.numel(), BLOCK)
    launch(kernel, leader, programs, *tensors, leader.numel(), function=function, block=BLOCK)


tanh_moments, tanh_moments_backward = forward_of(TANH), backward_of(TANH)
sigmoid_moments, sigmoid_moments_backward = forward_of(SIGMOID), backward_of(SIGMOID)
relu_moments, relu_moments_backward = forward_of(RELU), backward_of(RELU)
