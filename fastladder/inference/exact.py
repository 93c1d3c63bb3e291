"""Exact inference in a chain, by linear algebra over all levels at once, to compare the message passing with."""

import torch
from torch import Tensor

from fastladder.inference.chain import GaussianChain
from fastladder.inference.checks import check_levels, check_series, check_values
from fastladder.inference.temporal import Filtered


def exact_posterior(chain: GaussianChain, observation: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The posterior of the levels 1, ..., L, given the observation and, in a temporal model, a known past.

    The levels obey B u = d + noise of variance D = diag(sigma_1^2, ..., sigma_L^2), where B is 1 on its diagonal and
    -w_{l,l+1} above it, and d is the part of their means that does not come from the level above.

        precision = B^T D^-1 B + h h^T / sigma_0^2,    h = (w_{0,1}, 0, ..., 0)
        mean = precision^-1 (B^T D^-1 d + h observation / sigma_0^2)

    Args:
        chain: the model.
        observation: (...), level 0.
        past: (..., L), the levels 1, ..., L at the time step before. None: the model is static.

    Returns:
        The means, (..., L), and the covariance, (L, L), which is the same for all observations.

    Raises:
        ValueError, TypeError: the shapes, dtypes or devices do not match, or a past is given without temporal weights.
    """
    check_values("observation", observation)
    if past is not None:
        check_levels("past", past, chain.top, observation)
    coupling, noise, readout = _matrices(chain, observation)
    whitened = coupling.T / noise
    precision = whitened @ coupling + readout[:, None] * readout / chain.variances[0]
    drift = torch.stack(chain.drift(observation, past)[1:], -1)
    evidence = drift @ whitened.T + observation[..., None] * readout / chain.variances[0]
    covariance = torch.linalg.inv(precision)
    return torch.linalg.solve(precision, evidence[..., None])[..., 0], covariance


def kalman_filter(chain: GaussianChain, observations: Tensor) -> Filtered:
    """The Kalman filter: the exact means given all observations so far. The past of the first step is known to be 0.

        u(t) = F u(t-1) + B^-1 (mu + noise),    F = B^-1 diag(w_1, ..., w_L)

    with B of `exact_posterior`, and mu only at the top.

    Args:
        chain: the model, with temporal weights.
        observations: (..., T), independent series.

    Returns:
        The means and the predictions.

    Raises:
        ValueError, TypeError: the observations are not series (..., T), or the chain has no temporal weights.
    """
    check_series("observations", observations)
    chain.check_temporal()
    coupling, noise, readout = _matrices(chain, observations)
    mixing = torch.linalg.inv(coupling)
    transition = mixing * observations.new_tensor(chain.temporal_weights)
    innovation = (mixing * noise) @ mixing.T
    mean = observations.new_zeros(*observations.shape[:-1], chain.top)
    covariance = observations.new_zeros(chain.top, chain.top)
    means, predictions = [], []
    for observation in observations.unbind(-1):
        mean = torch.stack(chain.drift(observation, mean)[1:], -1) @ mixing.T
        covariance = transition @ covariance @ transition.T + innovation
        prediction = mean @ readout
        shared = covariance @ readout
        gain = shared / (readout @ shared + chain.variances[0])
        mean = mean + (observation - prediction)[..., None] * gain
        covariance = covariance - gain[:, None] * shared
        means.append(mean)
        predictions.append(prediction)
    return Filtered(torch.stack(means, -2), torch.stack(predictions, -1))


def _matrices(chain: GaussianChain, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """B (L, L), the diagonal of D (L), and h (L)."""
    coupling = torch.eye(chain.top, dtype=like.dtype, device=like.device)
    coupling = coupling - torch.diag(like.new_tensor(chain.weights[1:]), 1)
    readout = like.new_zeros(chain.top)
    readout[0] = chain.weights[0]
    return coupling, like.new_tensor(chain.variances[1:]), readout
