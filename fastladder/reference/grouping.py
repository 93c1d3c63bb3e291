r"""Tagger's evidence terms and mixture likelihood (Tagger, Greff et al., 2016, section 2.1 and appendix A.4 to A.7).

N samples, K groups, *D data dimensions. The noisy input and the target x are (N, *D); z (a mean, a probability or its
logit), the mask m and what is computed for every group are (N, K, *D). All equations hold for every element.
"""

import math

import torch
from torch import Tensor

from fastladder.tensors import compute_dtype_of

# e^80 is finite in float32, so that the likelihood of a group with mask 0 does not overflow.
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
    r"""The modelling error delta and the likelihood L of every group, (N, K, *D) each, for real data.

    .. math::
        a_k = \mathcal{N}(\tilde x; z_k, v + \sigma^2) \quad \text{(Eq. 20)}, \qquad
        L_k = \frac{a_k}{\sum_h a_h} \quad \text{(Eq. 5)} \\
        \delta_k = \begin{cases}
        m_k (\tilde x - z_k) & \text{residual (Eq. 4)} \\
        m_k a_k (\tilde x - z_k) & \text{weighted (Eq. 29, Algorithms 1 and 2)} \\
        \frac{\partial}{\partial z_k} \log \sum_h m_h a_h
        = \frac{m_k a_k}{\sum_h m_h a_h} \, \frac{\tilde x - z_k}{v + \sigma^2} & \text{gradient (Eq. 28)}
        \end{cases}

    Eq. 4 calls the residual proportional to a gradient of the negative log likelihood: its sign is the other one, its
    sum lacks m_h, and it is proportional only where all a_k are equal. Eq. 29 drops a factor that is not constant. The
    exponent of Eq. 19 lacks its minus, and L in Algorithm 1 the sum over h, which Algorithm 2 has.
    """
    x, z, m = (compute_dtype_of(tensor) for tensor in (noisy[:, None], mean, mask))
    v = variance + noise_variance
    d = x - z
    log_a = -d.square() / (2 * v)  # without the constant, which all groups share
    likelihood = log_a.softmax(1)
    if delta == "residual":
        error = m * d
    elif delta == "weighted":
        a = log_a.exp() / (2 * math.pi * v) ** 0.5
        error = m * a * d
    else:
        largest = log_a.where(m > 0, -torch.inf).amax(1, keepdim=True).detach()
        a = (log_a - largest).clamp(max=LARGEST_EXPONENT).exp()
        error = m * a / (m * a).sum(1, keepdim=True) * d / v
    return error.to(mean.dtype), likelihood.to(mean.dtype)


def group_evidence_bernoulli(
    noisy: Tensor, probability: Tensor, mask: Tensor, flip_probability: float
) -> tuple[Tensor, Tensor]:
    r"""The modelling error delta and the likelihood L of every group, (N, K, *D) each, for binary data.

    .. math::
        \xi_k = (1 - 2 \beta) z_k + \beta \quad \text{(Eq. 17)}, \qquad
        a_k = \tilde x \xi_k + (1 - \tilde x)(1 - \xi_k) \quad \text{(Eq. 18)} \\
        \delta_k = \frac{\partial}{\partial z_k} \log \sum_h m_h a_h
        = \frac{(2 \tilde x - 1)(1 - 2 \beta) \, m_k}{\sum_h m_h a_h} \quad \text{(Eq. 31)}, \qquad
        L_k = \frac{a_k}{\sum_h a_h} \quad \text{(Eq. 5)}

    z is a probability, as from Eq. 12 on, not the logit of Eq. 11. The definition of xi_k above Eq. 30 has z_q for z_k.
    Of the two cases below Eq. 31 the one of x = 1 has a minus too many and the one of x = 0 a minus too few; the last
    line and Algorithm 3 are right but for the factor 1 - 2 beta, which they drop. The numerator of L in Algorithm 3 has
    xi_h for the second xi_k.
    """
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
    r"""The input of Tagger's mapping for real data, (N, K, 4, *D): z, m, delta and L of `group_evidence`.

    (Section 2.1, "Inputs", and the brackets of Algorithm 2.)
    """
    return torch.stack([mean, mask, *group_evidence(noisy, mean, mask, variance, noise_variance, delta=delta)], 2)


def group_features_bernoulli(noisy: Tensor, probability: Tensor, mask: Tensor, flip_probability: float) -> Tensor:
    r"""The input of Tagger's mapping for binary data, (N, K, 4, *D): z, m, delta and L of `group_evidence_bernoulli`.

    (Section 2.1, "Inputs", and the brackets of Algorithm 3.)
    """
    return torch.stack([probability, mask, *group_evidence_bernoulli(noisy, probability, mask, flip_probability)], 2)


def group_mixture_nll(
    target: Tensor, mean: Tensor, mask_logits: Tensor, variance: Tensor | float
) -> tuple[Tensor, Tensor]:
    r"""The negative log likelihood (N,) of real data under all groups together, in nats, and the mask, (N, K, *D).

    .. math::
        m = \mathrm{softmax}_k(\mathrm{mask\_logits}), \qquad
        \mathrm{nll} = - \sum_D \log \sum_k m_k \, \mathcal{N}(x; z_k, v) \quad \text{(Eq. 1, 2 and 19)}

    for one iteration. The exponent of Eq. 19 lacks its minus.
    """
    x, z, logits = (compute_dtype_of(tensor) for tensor in (target[:, None], mean, mask_logits))
    log_a = -(x - z).square() / (2 * variance)
    pixels = logits.logsumexp(1) - (logits + log_a).logsumexp(1)
    constant = 0.5 * torch.as_tensor(2 * math.pi * variance, dtype=x.dtype, device=x.device).log()
    return over_elements(pixels + constant), logits.softmax(1).to(mask_logits.dtype)


def group_mixture_nll_bernoulli(target: Tensor, logits: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
    r"""The negative log likelihood (N,) of binary data under all groups together, in nats, and the mask, (N, K, *D).

    .. math::
        m = \mathrm{softmax}_k(\mathrm{mask\_logits}), \qquad
        \mathrm{nll} = - \sum_D \log \sum_k m_k \, \sigma(z_k)^x \, (1 - \sigma(z_k))^{1 - x}
        \quad \text{(Eq. 1, 2 and 11)}

    for one iteration. The last line of Algorithm 3 prints the Gaussian of real data.
    """
    x, z, m = (compute_dtype_of(tensor) for tensor in (target[:, None], logits, mask_logits))
    log_a = x * z - torch.nn.functional.softplus(z)
    pixels = m.logsumexp(1) - (m + log_a).logsumexp(1)
    return over_elements(pixels), m.softmax(1).to(mask_logits.dtype)


def over_elements(x: Tensor) -> Tensor:
    """The sum over all of *D, also where there is none: (N, *D) -> (N,)."""
    return x.unsqueeze(1).flatten(1).sum(1)
