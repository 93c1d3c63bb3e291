"""Tagger's evidence terms and mixture likelihood (Tagger, Greff et al., 2016, section 2.1 and appendix A.4 to A.7).

N samples, K groups, *D data dimensions; `mean`, `mask` and their like are (N, K, *D), the data (N, *D).
"""

import math

import torch
from torch import Tensor

from fastladder.tensors import compute_dtype_of

# e^80 is finite in float32: what a group of mask 0 explains better than the others does not become infinite.
LARGEST_EXPONENT = 80.0


def group_evidence(
    noisy: Tensor,
    mean: Tensor,
    mask: Tensor,
    variance: Tensor | float,
    noise_variance: Tensor | float,
    *,
    delta: str = "residual",
) -> tuple[Tensor, Tensor]:
    """The specification of `fastladder.ops.group_evidence`."""
    x, z, m = (compute_dtype_of(tensor) for tensor in (noisy[:, None], mean, mask))
    v = variance + noise_variance
    d = x - z
    log_a = -d.square() / (2 * v)  # without the constant, which all groups share
    likelihood = log_a.softmax(1)
    if delta == "residual":
        answer = m * d
    elif delta == "weighted":
        a = log_a.exp() / (2 * math.pi * v) ** 0.5
        answer = m * a * d
    else:
        largest = log_a.where(m > 0, -torch.inf).amax(1, keepdim=True).detach()
        a = (log_a - largest).clamp(max=LARGEST_EXPONENT).exp()
        answer = m * a / (m * a).sum(1, keepdim=True) * d / v
    return answer.to(mean.dtype), likelihood.to(mean.dtype)


def group_evidence_bernoulli(
    noisy: Tensor, probability: Tensor, mask: Tensor, flip_probability: float
) -> tuple[Tensor, Tensor]:
    """The specification of `fastladder.ops.group_evidence_bernoulli`."""
    x, z, m = (compute_dtype_of(tensor) for tensor in (noisy[:, None], probability, mask))
    contrast = 1 - 2 * flip_probability
    xi = contrast * z + flip_probability
    a = x * xi + (1 - x) * (1 - xi)
    delta = contrast * (2 * x - 1) * m / (m * a).sum(1, keepdim=True)
    return delta.to(probability.dtype), (a / a.sum(1, keepdim=True)).to(probability.dtype)


def group_features(
    noisy: Tensor,
    mean: Tensor,
    mask: Tensor,
    variance: Tensor | float,
    noise_variance: Tensor | float,
    *,
    delta: str = "residual",
) -> Tensor:
    """The specification of `fastladder.ops.group_features`."""
    return torch.stack([mean, mask, *group_evidence(noisy, mean, mask, variance, noise_variance, delta=delta)], 2)


def group_features_bernoulli(noisy: Tensor, probability: Tensor, mask: Tensor, flip_probability: float) -> Tensor:
    """The specification of `fastladder.ops.group_features_bernoulli`."""
    return torch.stack([probability, mask, *group_evidence_bernoulli(noisy, probability, mask, flip_probability)], 2)


def group_mixture_nll(
    target: Tensor, mean: Tensor, mask_logits: Tensor, variance: Tensor | float
) -> tuple[Tensor, Tensor]:
    """The specification of `fastladder.ops.group_mixture_nll`."""
    x, z, logits = (compute_dtype_of(tensor) for tensor in (target[:, None], mean, mask_logits))
    log_a = -(x - z).square() / (2 * variance)
    pixels = logits.logsumexp(1) - (logits + log_a).logsumexp(1)
    constant = 0.5 * torch.as_tensor(2 * math.pi * variance, dtype=x.dtype, device=x.device).log()
    return over_elements(pixels + constant), logits.softmax(1).to(mask_logits.dtype)


def group_mixture_nll_bernoulli(target: Tensor, logits: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
    """The specification of `fastladder.ops.group_mixture_nll_bernoulli`."""
    x, z, m = (compute_dtype_of(tensor) for tensor in (target[:, None], logits, mask_logits))
    log_a = x * z - torch.nn.functional.softplus(z)
    pixels = m.logsumexp(1) - (m + log_a).logsumexp(1)
    return over_elements(pixels), m.softmax(1).to(mask_logits.dtype)


def over_elements(x: Tensor) -> Tensor:
    """The sum over all of *D, also where there is none: (N, *D) -> (N,)."""
    return x.unsqueeze(1).flatten(1).sum(1)
