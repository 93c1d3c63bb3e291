"""Mean and variance of a nonlinearity under a Gaussian input, elementwise, and a recurrent layer with fast dropout."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fastladder.tensors import compute_dtype_of

# tanh(x) is the sum over i of w_i erf(c_i x), nearly: pairs of w_i and c_i.
ERF3 = ((0.20753, 1.32564), (0.20625, 0.53658), (0.58622, 0.85322))
SMALLEST = 1e-30  # variance for which a standard deviation is computed
FARTHEST = 1e4  # standard deviations from zero, beyond which a tail has no number to stand for it


def tanh_moments(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    r"""Mean E and variance V of tanh(x) for x from N(mean, var), elementwise.

    .. math::
        \tanh x \approx \sum_i w_i \operatorname{erf}(c_i x), \qquad q_i = \sqrt{1 + 2 c_i^2 \, \mathrm{var}} \\
        E = \sum_i w_i \operatorname{erf}\frac{c_i \, \mathrm{mean}}{q_i}, \qquad
        V = 1 - \sum_i \frac{2 w_i c_i}{\sqrt\pi \, q_i} e^{-(c_i \, \mathrm{mean} / q_i)^2} - E^2

    by way of :math:`E \tanh^2 = 1 - E \tanh'`, and 0 where V would be negative. Fast dropout (Wang and Manning, 2013)
    takes the moments of a sigmoid instead, which are off by up to 0.1; these are within 2e-4 and 4e-4.
    """
    m, v = compute_dtype_of(mean), compute_dtype_of(var).clamp(min=0)
    expected, slope = torch.zeros_like(m), torch.zeros_like(m)
    for weight, scale in ERF3:
        inverse = (1 + 2 * scale**2 * v).rsqrt()
        u = scale * m * inverse
        expected = expected + weight * u.erf()
        slope = slope + weight * scale * 2 / math.sqrt(math.pi) * inverse * (-u * u).exp()
    variance = (1 - slope - expected * expected).clamp(min=0)
    return expected.to(mean.dtype), variance.to(mean.dtype)


def sigmoid_moments(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    r"""Mean and variance of the logistic sigmoid of x for x from N(mean, var), elementwise.

    .. math::
        \sigma(x) = \frac{1 + \tanh(x / 2)}{2}

    with the moments of :func:`tanh_moments`.
    """
    m, v = tanh_moments(compute_dtype_of(mean) / 2, compute_dtype_of(var) / 4)
    return ((1 + m) / 2).to(mean.dtype), (v / 4).to(mean.dtype)


def relu_moments(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    r"""Mean E and variance V of max(x, 0) for x from N(mean, var), elementwise; these are exact.

    .. math::
        r = \mathrm{mean} / s, \quad s = \sqrt{\mathrm{var}}, \qquad E = s \, (r \Phi(r) + \varphi(r)) \\
        V = \mathrm{var} \, (\Phi + r^2 \Phi \bar\Phi + r \varphi (\bar\Phi - \Phi) - \varphi^2), \qquad
        \bar\Phi = 1 - \Phi

    which, unlike the second moment minus the square of the first, cancels nowhere.
    """
    m, v = compute_dtype_of(mean), compute_dtype_of(var).clamp(min=0)
    bounded = v.clamp(min=SMALLEST)
    inverse = bounded.rsqrt()
    r = (m * inverse).clamp(-FARTHEST, FARTHEST)
    below, above = (-r * math.sqrt(0.5)).erfc() / 2, (r * math.sqrt(0.5)).erfc() / 2  # Phi and 1 - Phi
    density = (-0.5 * r * r).exp() / math.sqrt(2 * math.pi)
    expected = m * below + bounded * inverse * density
    variance = v * (below + r * r * below * above + r * density * (above - below) - density * density).clamp(min=0)
    return expected.to(mean.dtype), variance.to(mean.dtype)


MOMENTS = {"tanh": tanh_moments, "sigmoid": sigmoid_moments, "relu": relu_moments}


def moments_sequence(
    mean: Tensor,
    var: Tensor,
    hidden_mean: Tensor,
    hidden_var: Tensor,
    weight: Tensor,
    weight_of_var: Tensor,
    rate: Tensor,
    *,
    nonlinearity: str = "tanh",
    lengths: Tensor | Sequence[int] | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""All steps of a recurrent layer with fast dropout: means and variances (T, N, C), and the last ones, (N, C) each.

    .. math::
        s_t = v_t + \mathrm{rate} \, m_t^2, \qquad
        m_t, v_t = \mathrm{moments}(\mathrm{mean}_t + W m_{t-1}, \; \mathrm{var}_t + W' s_{t-1})

    for the moments of the input's projection, (T, N, C) each, and the hidden units' of before the first step, (N, C)
    each. A hidden unit is dropped with the probability `rate`, (C,), so that k = 1 - rate of it is in both weights, (C,
    C) each: W is k times the weight U of the layer, and W' is k times its square. With them :math:`W m` and
    :math:`W' s` are mean and variance of U times units that are dropped (Bayer and Osendorfer, 2014, appendix), as
    :math:`k v + k (1 - k) m^2 = k s`.

    A sample's state stays as it is after its length, one of (N,), and its outputs are zero there.
    """
    moments = MOMENTS[nonlinearity]
    means, variances = [mean[:0]], [var[:0]]
    m, v = hidden_mean.clone(), hidden_var.clone()
    lengths = None if lengths is None else torch.as_tensor(lengths, device=mean.device)[:, None]
    for step, (step_mean, step_var) in enumerate(zip(mean, var, strict=True)):
        if lengths is not None:  # no gradient comes through what is not finite
            step_mean, step_var = torch.where(step < lengths, step_mean, 0), torch.where(step < lengths, step_var, 0)
        spread = compute_dtype_of(v) + rate * compute_dtype_of(m).square()
        new_m, new_v = moments(step_mean + m @ weight.t(), step_var + spread.to(mean.dtype) @ weight_of_var.t())
        if lengths is None:
            m, v = new_m, new_v
        else:
            m, v = torch.where(step < lengths, new_m, m), torch.where(step < lengths, new_v, v)
            new_m, new_v = torch.where(step < lengths, new_m, 0), torch.where(step < lengths, new_v, 0)
        means.append(new_m[None])
        variances.append(new_v[None])
    return torch.cat(means), torch.cat(variances), m, v
