"""The decoder cells G1, G2 and G3 of Recurrent Ladder Networks (appendix A.1 to A.3).

And the combinator that G1 comes from, of Semi-Supervised Learning with Ladder Networks (Rasmus et al., 2015).
"""

import torch
from torch import Tensor

from fastladder.reference.normalization import compute_dtype_of, per_channel, preactivation


def activation(u: Tensor, w: Tensor) -> Tensor:
    """f(u, w) = w0 sigmoid(w1 u + w2) + w3 u + w4 per channel, w of shape (5, C) (Eq. 6)."""
    w0, w1, w2, w3, w4 = (per_channel(row, u) for row in w)
    return w0 * torch.sigmoid(w1 * u + w2) + w3 * u + w4


def combine_g1(
    projection: Tensor,
    lateral: Tensor,
    gate: Tensor,
    content: Tensor,
    *,
    gain: Tensor | None = None,
    bias: Tensor | None = None,
    norm: str = "batch",
    squash_gate: bool = False,
    eps: float = 1e-5,
) -> Tensor:
    """The specification of `fastladder.ops.combine_g1`."""
    u = preactivation([compute_dtype_of(projection)], None if gain is None else gain[None], bias, norm, eps)
    s = activation(u, gate)
    if squash_gate:
        s = s.sigmoid()
    y = s * compute_dtype_of(lateral) + (1 - s) * activation(u, content)
    return y.to(lateral.dtype)


def combine_g2(
    top: Tensor,
    lateral: Tensor,
    weights: Tensor,
    *,
    gain: Tensor | None = None,
    bias: Tensor | None = None,
    norm: str = "layer",
    eps: float = 1e-5,
) -> Tensor:
    """The specification of `fastladder.ops.combine_g2`."""
    thirds = zip(compute_dtype_of(top).chunk(3, dim=1), compute_dtype_of(lateral).chunk(3, dim=1), strict=True)
    gains = [None] * 3 if gain is None else gain.chunk(3, dim=1)
    biases = [None] * 3 if bias is None else bias.chunk(3)
    mu1, mu2, s = (
        activation(preactivation([v, h], gains[q], biases[q], norm, eps), weights[q]) for q, (v, h) in enumerate(thirds)
    )
    return (s * mu1 + (1 - s) * mu2).to(top.dtype)


def combine_g3_hidden(
    top: Tensor,
    lateral: Tensor,
    *,
    gain: Tensor | None = None,
    bias: Tensor | None = None,
    norm: str = "layer",
    eps: float = 1e-5,
) -> Tensor:
    """The specification of `fastladder.ops.combine_g3_hidden`."""
    u = preactivation([compute_dtype_of(top), compute_dtype_of(lateral)], gain, bias, norm, eps)
    return u.relu().to(top.dtype)


def combine_g3(projections: Tensor) -> Tensor:
    """The specification of `fastladder.ops.combine_g3`."""
    s, d, e = compute_dtype_of(projections).chunk(3, dim=1)
    s = s.sigmoid()
    return (s * d + (1 - s) * e).to(projections.dtype)


def ladder_combine(lateral: Tensor, top: Tensor, weights: Tensor, *, squash_gate: bool = False) -> Tensor:
    """The specification of `fastladder.ops.ladder_combine`: (z - mu) v + mu (Rasmus et al., 2015, Eq. 2)."""
    u = compute_dtype_of(top)
    mu, v = activation(u, weights[:5]), activation(u, weights[5:])
    if squash_gate:
        v = v.sigmoid()
    return (v * compute_dtype_of(lateral) + (1 - v) * mu).to(lateral.dtype)
