"""Approximate inference in a static chain: appendix B of Recurrent Ladder Networks, for any number of levels.

q(u_1) ... q(u_L) are independent Gaussians with means m_l and variances v_l (Eq. 12-15).
"""

from collections.abc import Sequence
from math import pi

import torch
from torch import Tensor

from fastladder.inference.chain import GaussianChain
from fastladder.inference.checks import check_count, check_levels, check_values


def variational_variances(chain: GaussianChain) -> tuple[float, ...]:
    """The variances of q for the levels 1, ..., L, which no observation changes (Eq. 17-19).

        v_l = 1 / (w_{l-1,l}^2 / sigma_{l-1}^2 + 1 / sigma_l^2)

    They are the reciprocal diagonal of the exact posterior's precision, so at most the exact marginal variances.

    As printed, (17) has 1 / sigma_x^2 twice in 1 / v_x; one of the two is 1 / sigma^2 of the corruption.
    """
    levels = zip(chain.weights, chain.variances, chain.variances[1:], strict=False)
    return tuple(1 / (weight**2 / below + 1 / own) for weight, below, own in levels)


def static_sweep(chain: GaussianChain, observation: Tensor, means: Tensor) -> Tensor:
    """Passes messages once up and once down the chain: each level's mean gets its best value, given its neighbours.

        m_l = v_l (w_{l-1,l} m_{l-1} / sigma_{l-1}^2 + w_{l,l+1} m_{l+1} / sigma_l^2),    m_0 = observation

    with mu for w_{l,l+1} m_{l+1} at the top. It holds at zero weights too; for other weights it equals (17)-(19):

        m_l = s_l m_{l-1} / w_{l-1,l} + (1 - s_l) w_{l,l+1} m_{l+1}
        s_l = sigmoid(log(sigma_l^2 w_{l-1,l}^2 / sigma_{l-1}^2))

    As printed, (17) has w_y, which the model lacks, for w_x.

    Args:
        chain: the model. Its temporal weights are not used.
        observation: (...), level 0.
        means: (..., L), of the levels 1, ..., L.

    Returns:
        (..., L), the new means.

    Raises:
        ValueError, TypeError: the shapes, dtypes or devices do not match.
    """
    check_values("observation", observation)
    check_levels("means", means, chain.top, observation)
    variances = (0.0, *variational_variances(chain))
    drift = chain.drift(observation)
    values = [observation, *means.unbind(-1)]
    for level in (*range(1, chain.top + 1), *range(chain.top - 1, 0, -1)):
        above = values[level + 1] if level < chain.top else None
        from_below = chain.weights[level - 1] * values[level - 1] / chain.variances[level - 1]
        from_above = chain.expected(level, above, drift) / chain.variances[level]
        values[level] = variances[level] * (from_below + from_above)
    return torch.stack(values[1:], -1)


def static_inference(chain: GaussianChain, observation: Tensor, sweeps: int) -> Tensor:
    """Iterates `static_sweep` from means of 0. It converges to the exact posterior means.

    Args:
        chain: the model. Its temporal weights are not used.
        observation: (...), level 0.
        sweeps: the number of passes up and down.

    Returns:
        (..., L), the means of the levels 1, ..., L.

    Raises:
        ValueError, TypeError: the observation is not a floating-point tensor, or `sweeps` is below 1.
    """
    check_values("observation", observation)
    check_count("sweeps", sweeps)
    means = observation.new_zeros(*observation.shape, chain.top)
    for _ in range(sweeps):
        means = static_sweep(chain, observation, means)
    return means


def variational_cost(
    chain: GaussianChain, observation: Tensor, means: Tensor, variances: Tensor | Sequence[float]
) -> Tensor:
    """C_VB of Eq. (16) in nats, which the means of the fixed point and `variational_variances` minimise.

        C_VB = sum_{l=0}^L ((m_l - w_{l,l+1} m_{l+1})^2 + v_l + w_{l,l+1}^2 v_{l+1}) / (2 sigma_l^2)
               + 1/2 sum_{l=0}^L log(2 pi sigma_l^2) - 1/2 sum_{l=1}^L (1 + log(2 pi v_l)),    v_0 = 0

    with mu for w_{l,l+1} m_{l+1} and 0 for v_{l+1} at the top.

    The text before (16) calls it a lower bound of a Kullback-Leibler divergence. It is the divergence of q from the
    posterior less the log evidence, and so an upper bound of -log p(observation). The printed integral lacks dx.

    Args:
        chain: the model. Its temporal weights are not used.
        observation: (...), level 0.
        means: (..., L), m_l.
        variances: v_l, (L,) or (..., L), above 0.

    Returns:
        (...), the cost of each observation.

    Raises:
        ValueError, TypeError: the shapes, dtypes or devices do not match.
    """
    check_values("observation", observation)
    check_levels("means", means, chain.top, observation)
    spread = torch.as_tensor(variances, dtype=means.dtype, device=means.device)
    if spread.shape not in (means.shape, means.shape[-1:]):
        needed = f"({chain.top},) or {tuple(means.shape)}"
        raise ValueError(f"variances: got shape {tuple(spread.shape)}, needs {needed}")
    drift = chain.drift(observation)
    values = [observation, *means.unbind(-1)]
    spreads = [observation.new_zeros(()), *spread.unbind(-1)]
    cost = -0.5 * (1 + (2 * pi * spread).log()).sum(-1)
    for level, variance in enumerate(chain.variances):
        above = values[level + 1] if level < chain.top else None
        square = (values[level] - chain.expected(level, above, drift)) ** 2 + spreads[level]
        if level < chain.top:
            square = square + chain.weights[level] ** 2 * spreads[level + 1]
        cost = cost + 0.5 * (square / variance + torch.log(observation.new_tensor(2 * pi * variance)))
    return cost
