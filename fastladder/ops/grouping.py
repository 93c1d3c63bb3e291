"""Tagger's evidence terms and mixture likelihood, with checks and fused kernels: how well groups explain an input.

There are N samples, K groups (1 to 32) and any number of data dimensions *D. The equations, with their errata, are
those of `fastladder.reference`. Values are not checked here, which would cost a pass over memory: `fastladder.nn.Tag`
checks that masks sum to one and that binary data is binary.
"""

from typing import Any

import torch
from torch import Tensor

from fastladder import reference
from fastladder.backends import select_backend
from fastladder.ops import checks
from fastladder.ops.registration import fused, operator, statistics_dtype

FAMILY = "grouping"
DELTAS = ("residual", "weighted", "gradient")
MOST_GROUPS = 32


def group_evidence(
    noisy: Tensor,
    mean: Tensor,
    mask: Tensor,
    variance: Tensor | float,
    noise_variance: Tensor | float,
    *,
    delta: str = "residual",
) -> tuple[Tensor, Tensor]:
    """The evidence in a noisy input about the mean and mask of every group (Tagger, Greff et al., 2016, Eq. 4 and 5).

    The modelling error delta and the likelihood L of :func:`fastladder.reference.group_evidence`.

    Args:
        noisy: the corrupted input, (N, *D).
        mean: z, (N, K, *D).
        mask: m, (N, K, *D), which sums to 1 over K.
        variance: v, of the reconstruction; a number or a 0-dim tensor.
        noise_variance: sigma^2, of the corruption; a number or a 0-dim tensor.
        delta: "residual" (Eq. 4), "weighted" (Eq. 29) or "gradient" (Eq. 28).

    Returns:
        delta and the likelihood L, both (N, K, *D), in the dtype of `mean`.

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype, device, option or range; the message names it.
    """
    noisy, mean, mask, total = _check_gaussian(noisy, mean, mask, variance, noise_variance, delta)
    backend = select_backend(FAMILY, mean.device, mean.dtype)
    if backend == "reference":
        return reference.group_evidence(noisy, mean, mask, total, 0.0, delta=delta)
    return fused(backend).group_evidence(noisy, mean, mask, total, delta)


@operator(outputs=2, activations=3, keeps_layout=False, noise_variance=0.0)
def _group_evidence(noisy: Tensor, mean: Tensor, mask: Tensor, variance: Tensor, delta: str) -> tuple[Tensor, Tensor]:
    return mean.new_empty(mean.shape), mean.new_empty(mean.shape)


def group_evidence_bernoulli(
    noisy: Tensor, probability: Tensor, mask: Tensor, flip_probability: float
) -> tuple[Tensor, Tensor]:
    """The evidence in a noisy binary input about every group (Tagger, Greff et al., 2016, appendix A.5, corrected).

    The modelling error delta and the likelihood L of :func:`fastladder.reference.group_evidence_bernoulli`.

    Args:
        noisy: the corrupted input, (N, *D), 0 or 1.
        probability: z, (N, K, *D), 0 to 1.
        mask: m, (N, K, *D), which sums to 1 over K.
        flip_probability: beta, with which an element was flipped; from 0 to below 1/2.

    Returns:
        delta and the likelihood L, both (N, K, *D), in the dtype of `probability`.

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype, device or range; the message names it.
    """
    noisy, probability, mask = _check_bernoulli(noisy, probability, mask, flip_probability)
    backend = select_backend(FAMILY, probability.device, probability.dtype)
    if backend == "reference":
        return reference.group_evidence_bernoulli(noisy, probability, mask, flip_probability)
    return fused(backend).group_evidence_bernoulli(noisy, probability, mask, flip_probability)


@operator(outputs=2, activations=3, keeps_layout=False)
def _group_evidence_bernoulli(
    noisy: Tensor, probability: Tensor, mask: Tensor, flip_probability: float
) -> tuple[Tensor, Tensor]:
    return probability.new_empty(probability.shape), probability.new_empty(probability.shape)


def group_features(
    noisy: Tensor,
    mean: Tensor,
    mask: Tensor,
    variance: Tensor | float,
    noise_variance: Tensor | float,
    *,
    delta: str = "residual",
) -> Tensor:
    """The input of Tagger's parametric mapping in one buffer: mean, mask, and the results of :func:`group_evidence`.

    Args:
        noisy, mean, mask, variance, noise_variance, delta: as for :func:`group_evidence`.

    Returns:
        (N, K, 4, *D): z, m, delta, L; flatten(0, 1) makes it (N * K, 4, *D) without a copy.

    Raises:
        ValueError, TypeError: as :func:`group_evidence`.
    """
    noisy, mean, mask, total = _check_gaussian(noisy, mean, mask, variance, noise_variance, delta)
    backend = select_backend(FAMILY, mean.device, mean.dtype)
    if backend == "reference":
        return reference.group_features(noisy, mean, mask, total, 0.0, delta=delta)
    return fused(backend).group_features(noisy, mean, mask, total, delta)


@operator(outputs=1, activations=3, keeps_layout=False, noise_variance=0.0)
def _group_features(noisy: Tensor, mean: Tensor, mask: Tensor, variance: Tensor, delta: str) -> Tensor:
    return _empty_features(mean)


def group_features_bernoulli(noisy: Tensor, probability: Tensor, mask: Tensor, flip_probability: float) -> Tensor:
    """As :func:`group_features`, with the results of :func:`group_evidence_bernoulli`.

    Args:
        noisy, probability, mask, flip_probability: as for :func:`group_evidence_bernoulli`.

    Returns:
        (N, K, 4, *D): z, m, delta, L.

    Raises:
        ValueError, TypeError: as :func:`group_evidence_bernoulli`.
    """
    noisy, probability, mask = _check_bernoulli(noisy, probability, mask, flip_probability)
    backend = select_backend(FAMILY, probability.device, probability.dtype)
    if backend == "reference":
        return reference.group_features_bernoulli(noisy, probability, mask, flip_probability)
    return fused(backend).group_features_bernoulli(noisy, probability, mask, flip_probability)


@operator(outputs=1, activations=3, keeps_layout=False)
def _group_features_bernoulli(noisy: Tensor, probability: Tensor, mask: Tensor, flip_probability: float) -> Tensor:
    return _empty_features(probability)


def group_mixture_nll(
    target: Tensor, mean: Tensor, mask_logits: Tensor, variance: Tensor | float
) -> tuple[Tensor, Tensor]:
    """How badly all groups together explain the input (Tagger, Greff et al., 2016, Eq. 1 and 6).

    The negative log likelihood and the mask of :func:`fastladder.reference.group_mixture_nll`.

    Args:
        target: x, (N, *D).
        mean: z, (N, K, *D).
        mask_logits: (N, K, *D).
        variance: v; a number or a 0-dim tensor.

    Returns:
        nll, (N,), in nats, float32 (float64 for float64), and the mask m, (N, K, *D), in the dtype of `mask_logits`.

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype, device or range; the message names it.
    """
    target, mean, mask_logits = _check_groups("target", target, "mean", mean, "mask_logits", mask_logits)
    variance = _check_variance("variance", variance, mean)
    backend = select_backend(FAMILY, mean.device, mean.dtype)
    if backend == "reference":
        return reference.group_mixture_nll(target, mean, mask_logits, variance)
    return fused(backend).group_mixture_nll(target, mean, mask_logits, variance)


@operator(outputs=2, activations=3, keeps_layout=False)
def _group_mixture_nll(target: Tensor, mean: Tensor, mask_logits: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    return _empty_nll(mean), mean.new_empty(mean.shape)


def group_mixture_nll_bernoulli(target: Tensor, logits: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
    """How badly all groups together explain a binary input (Tagger, Greff et al., 2016, Eq. 1 and 2).

    The negative log likelihood and the mask of :func:`fastladder.reference.group_mixture_nll_bernoulli`.

    Args:
        target: x, (N, *D), 0 or 1.
        logits: z, (N, K, *D), of the probability that x is 1.
        mask_logits: (N, K, *D).

    Returns:
        nll, (N,), in nats, float32 (float64 for float64), and the mask m, (N, K, *D), in the dtype of `mask_logits`.

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
    """
    target, logits, mask_logits = _check_groups("target", target, "logits", logits, "mask_logits", mask_logits)
    backend = select_backend(FAMILY, logits.device, logits.dtype)
    if backend == "reference":
        return reference.group_mixture_nll_bernoulli(target, logits, mask_logits)
    return fused(backend).group_mixture_nll_bernoulli(target, logits, mask_logits)


@operator(outputs=2, activations=3, keeps_layout=False)
def _group_mixture_nll_bernoulli(target: Tensor, logits: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
    return _empty_nll(logits), logits.new_empty(logits.shape)


def _empty_features(mean: Tensor) -> Tensor:
    batch, groups, *data = mean.shape
    return mean.new_empty(batch, groups, 4, *data)


def _empty_nll(mean: Tensor) -> Tensor:
    return mean.new_empty(mean.shape[0], dtype=statistics_dtype(mean))


def _check_gaussian(
    noisy: Tensor, mean: Tensor, mask: Tensor, variance: Tensor | float, noise_variance: Tensor | float, delta: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The checked activations, and the sum v + sigma^2: only the sum matters."""
    noisy, mean, mask = _check_groups("noisy", noisy, "mean", mean, "mask", mask)
    variance = _check_variance("variance", variance, mean)
    if isinstance(noise_variance, Tensor):
        noise_variance = _check_variance("noise_variance", noise_variance, mean)
    elif not 0 <= _number("noise_variance", noise_variance) < float("inf"):
        raise ValueError(f"noise_variance: got {noise_variance}, needs 0 or more")
    checks.check_option("delta", delta, DELTAS)
    return noisy, mean, mask, variance + noise_variance


def _check_bernoulli(
    noisy: Tensor, probability: Tensor, mask: Tensor, flip_probability: float
) -> tuple[Tensor, Tensor, Tensor]:
    noisy, probability, mask = _check_groups("noisy", noisy, "probability", probability, "mask", mask)
    if not 0 <= _number("flip_probability", flip_probability) < 0.5:
        raise ValueError(f"flip_probability: got {flip_probability}, needs a number from 0 to below 0.5")
    return noisy, probability, mask


def _check_groups(
    data_name: str, data: Tensor, leader_name: str, leader: Tensor, other_name: str, other: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Checks the data (N, *D) and two activations (N, K, *D), and returns them in the dtype of autocast."""
    leader, data, other = checks.autocast(leader, data, other)
    groups = checks.check_leader(leader_name, leader, parts=1)
    if not 1 <= groups <= MOST_GROUPS:
        shape = tuple(leader.shape)
        raise ValueError(f"{leader_name}: got shape {shape}, needs (N, K, *D) with 1 to {MOST_GROUPS} groups K")
    checks.check_activation(data_name, data, (leader.shape[0], *leader.shape[2:]), leader, leader_name)
    checks.check_activation(other_name, other, leader.shape, leader, leader_name)
    return data, leader, other


def _check_variance(name: str, variance: Any, leader: Tensor) -> Tensor:
    """A variance as a 0-dim tensor in the dtype of arithmetic."""
    if isinstance(variance, Tensor):
        return checks.check_parameter(name, variance, (), leader, "the activations")
    if not 0 < _number(name, variance) < float("inf"):
        raise ValueError(f"{name}: got {variance}, needs a number above 0")
    return torch.full((), variance, dtype=statistics_dtype(leader), device=leader.device)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: got {type(value).__name__}, needs a number")
    return value
