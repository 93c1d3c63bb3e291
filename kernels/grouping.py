"""The operators of Tagger; each calls a kernel of `grouping_evidence` or `grouping_mixture`.

`fastladder.reference.grouping` has the equations.
"""

from torch import Tensor

from fastladder.kernels.grouping_evidence import (
    FEATURES,
    features_of,
    run_evidence,
    run_evidence_backward,
    run_features,
)
from fastladder.kernels.grouping_mixture import run_mixture, run_mixture_backward
from fastladder.kernels.grouping_tiles import contiguous


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
    """mean, mask, delta and likelihood, (N, K, 4, *D)."""
    return run_features(noisy, mean, mask, variance, 0.0, delta)


def group_features_backward(
    grad_features: Tensor | None, noisy: Tensor, mean: Tensor, mask: Tensor, variance: Tensor, delta: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of noisy, mean, mask and variance."""
    gradients = features_of(grad_features)
    return run_evidence_backward(gradients, noisy, mean, mask, variance, 0.0, delta, FEATURES)


def group_features_bernoulli(noisy: Tensor, probability: Tensor, mask: Tensor, flip_probability: float) -> Tensor:
    """probability, mask, delta and likelihood, (N, K, 4, *D)."""
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
