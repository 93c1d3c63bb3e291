"""Approximate inference in a temporal chain: appendix C of Recurrent Ladder Networks, for any number of levels.

The past is frozen: the levels before are assumed to equal their means m_l(t-1). A time step has three passes: the
decoder predicts m' from the past, the encoder corrects the prediction by the observation, from the bottom up, to m~,
and the decoder corrects m~ by the means of the levels above, from the top down, to m.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from fastladder.inference.chain import GaussianChain
from fastladder.inference.checks import check_count, check_levels, check_series, check_values
from fastladder.inference.static import variational_variances


class Gains(NamedTuple):
    """By how much the mean of a level follows the error of a prediction in a neighbouring level.

    Attributes:
        up: L of them, for the levels 1, ..., L: the factor of (28).
        down: L - 1 of them, for the levels 1, ..., L - 1: the factor of (30).
    """

    up: tuple[float, ...]
    down: tuple[float, ...]

    @classmethod
    def of(cls, chain: GaussianChain) -> "Gains":
        """The gains with which a sweep minimises the variational cost in every level.

            up_l = s_l / w_{l-1,l} = v_l w_{l-1,l} / sigma_{l-1}^2
            down_l = (1 - s_l) w_{l,l+1} = v_l w_{l,l+1} / sigma_l^2
            s_l = (w_{l-1,l}^2 / sigma_{l-1}^2) / (1 / sigma_l^2 + w_{l-1,l}^2 / sigma_{l-1}^2)

        The forms on the right hold at zero weights too.

        As printed, (28) has 1 - s_l for s_l, (30) and (31) have s_l for 1 - s_l, and the numerator of (29) lacks the
        square. Eq. (24)-(26), for two levels, are right.
        """
        variances = variational_variances(chain)
        up = zip(variances, chain.weights, chain.variances, strict=False)
        down = zip(variances, chain.weights[1:], chain.variances[1:], strict=False)
        return cls(tuple(v * w / s for v, w, s in up), tuple(v * w / s for v, w, s in down))


class Filtered(NamedTuple):
    """The result of a filter on series (..., T).

    Attributes:
        means: (..., T, L), of the levels 1, ..., L at each time step, given the observations up to it.
        predictions: (..., T), of each observation from those before it.
    """

    means: Tensor
    predictions: Tensor


def temporal_prediction(chain: GaussianChain, past: Tensor) -> Tensor:
    """Predicts all levels of a time step from the step before it, from the top down (Eq. 27; 23 for two levels).

        m'_l = w_l m_l(t-1) + w_{l,l+1} m'_{l+1}

    with mu for the last term at the top.

    Args:
        chain: the model, with temporal weights.
        past: (..., L), the means m_l(t-1) of the levels 1, ..., L.

    Returns:
        (..., L + 1), the prediction m'_0 of the observation and those of the levels, m'_1, ..., m'_L.

    Raises:
        ValueError, TypeError: `past` does not fit the chain, or the chain has no temporal weights.
    """
    check_values("past", past)
    if past.shape[-1:] != (chain.top,):
        raise ValueError(f"past: got shape {tuple(past.shape)}, needs (..., {chain.top})")
    drift = chain.drift(past[..., 0], past)
    above, levels = None, []
    for level in range(chain.top, -1, -1):
        above = chain.expected(level, above, drift)
        levels.append(above)
    return torch.stack(levels[::-1], -1)


def temporal_sweep(chain: GaussianChain, gains: Gains, observation: Tensor, past: Tensor, means: Tensor) -> Tensor:
    """Passes messages once up the chain and once down it.

    Up, to the encoder's means m~, and down, to the decoder's means:

        m~_l = e_l + up_l (m~_{l-1} - w_{l-1} m_{l-1}(t-1) - w_{l-1,l} e_l),    m~_0 = observation
        e_l = w_l m_l(t-1) + w_{l,l+1} m'_{l+1}
        m_l = m~_l + down_l (m_{l+1} - m'_{l+1})

    with mu for the last term of e_L. m' are the means that come in. Where they are the prediction (27), e = m' and
    these are (28) and (30), corrected as `Gains.of` says; where they are the means of an earlier sweep, this is the
    next one. Over the sweeps the means converge to the exact posterior means for this past. A single sweep does not
    reach them: the text after (26) says that eliminating m~ and m' gives the equations of the fixed point, but that
    holds for m_y only, given the final m_z.

    Args:
        chain: the model, with temporal weights.
        gains: `Gains.of(chain)`.
        observation: (...), level 0.
        past: (..., L), the means m_l(t-1) of the levels 1, ..., L.
        means: (..., L), m'_l.

    Returns:
        (..., L), the new means.

    Raises:
        ValueError, TypeError: the shapes, dtypes or devices do not match, or the chain has no temporal weights.
    """
    check_values("observation", observation)
    check_levels("past", past, chain.top, observation)
    check_levels("means", means, chain.top, observation)
    drift = chain.drift(observation, past)
    before = means.unbind(-1)
    values = [observation]
    for level in range(1, chain.top + 1):
        above = before[level] if level < chain.top else None
        expected = chain.expected(level, above, drift)
        error = values[level - 1] - chain.expected(level - 1, expected, drift)
        values.append(expected + gains.up[level - 1] * error)
    for level in range(chain.top - 1, 0, -1):
        values[level] = values[level] + gains.down[level - 1] * (values[level + 1] - before[level])
    return torch.stack(values[1:], -1)


def temporal_inference(chain: GaussianChain, observation: Tensor, past: Tensor, sweeps: int) -> Tensor:
    """Infers the levels of one time step: the prediction, then sweeps.

    Args:
        chain: the model, with temporal weights.
        observation: (...), level 0.
        past: (..., L), the means m_l(t-1) of the levels 1, ..., L.
        sweeps: the number of passes up and down.

    Returns:
        (..., L), the means of the levels 1, ..., L.

    Raises:
        ValueError, TypeError: the shapes, dtypes or devices do not match, `sweeps` is below 1, or the chain has no
            temporal weights.
    """
    check_values("observation", observation)
    check_levels("past", past, chain.top, observation)
    check_count("sweeps", sweeps)
    gains = Gains.of(chain)
    means = temporal_prediction(chain, past)[..., 1:]
    for _ in range(sweeps):
        means = temporal_sweep(chain, gains, observation, past, means)
    return means


def online_filter(chain: GaussianChain, observations: Tensor, sweeps: int) -> Filtered:
    """Infers the levels step by step; the means of each step are the frozen past of the next. The first past is 0.

    Unlike the Kalman filter it ignores how uncertain the past means are, and predicts less well.

    Args:
        chain: the model, with temporal weights.
        observations: (..., T), independent series.
        sweeps: the number of passes up and down at each time step.

    Returns:
        The means and the predictions.

    Raises:
        ValueError, TypeError: the observations are not series (..., T), `sweeps` is below 1, or the chain has no
            temporal weights.
    """
    check_series("observations", observations)
    past = observations.new_zeros(*observations.shape[:-1], chain.top)
    means, predictions = [], []
    for observation in observations.unbind(-1):
        predictions.append(temporal_prediction(chain, past)[..., 0])
        past = temporal_inference(chain, observation, past, sweeps)
        means.append(past)
    return Filtered(torch.stack(means, -2), torch.stack(predictions, -1))
