"""The decoder cells G1, G2 and G3 of Recurrent Ladder Networks (Premont-Schwarz et al., 2017, appendix A.1 to A.3).

Of their equations the paper numbers (6) only. A gate s mixes what comes from the top, v, with the lateral h. The
combinator of the Ladder network (Rasmus et al., 2015) is the one that G1 comes from.
"""

import torch
from torch import Tensor

from fastladder.reference.normalization import preactivation
from fastladder.tensors import compute_dtype_of, per_channel


def activation(u: Tensor, w: Tensor) -> Tensor:
    r"""The activation of G1 and G2 with parameters w, (5, C), per channel of u, (N, C, *S).

    .. math::
        f(u, w) = w_0 \sigma(w_1 u + w_2) + w_3 u + w_4

    (Eq. 6; of the Ladder network it is the mu and the v of Rasmus et al., 2015, Eq. 2.)
    """
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
    r"""The cell G1 after its projection p = A v, from p and h, (N, C, *S) each, to y, (N, C, *S).

    .. math::
        u = \mathrm{gain} \, \mathrm{norm}(p) + \mathrm{bias}, \qquad
        s = f(u, \mathrm{gate}), \qquad
        y = s \odot h + (1 - s) \odot f(u, \mathrm{content})

    (Appendix A.1. It prints u = BN(A v + b): a bias before the norm is without effect and stands after it here. The
    convolutional version is printed without BN, which appendix A.4 requires.) With `squash_gate` s passes through a
    sigmoid, as in the RTagger.
    """
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
    r"""The cell G2 after its projections, from v and h, (N, 3C, *S) each, to y, (N, C, *S).

    .. math::
        a_q = \mathrm{gain}_{0q} \, \mathrm{norm}(v_q) + \mathrm{gain}_{1q} \, \mathrm{norm}(h_q) + \mathrm{bias}_q \\
        (\mu_1, \mu_2, s)_q = f(a_q, w_q), \qquad
        y = s \odot \mu_1 + (1 - s) \odot \mu_2

    (Appendix A.2; v_q = A_q * v and h_q = B_q * h for its three filters, in the order mu1, mu2, s. Appendix A.4 speaks
    of one norm over the concatenated inputs; the equations print two, and are followed.)
    """
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
    r"""The hidden layer of the cell G3, from v and h, (N, C, *S) each, to u, (N, C, *S).

    .. math::
        u = \mathrm{relu}(\mathrm{gain}_0 \, \mathrm{norm}(v) + \mathrm{gain}_1 \, \mathrm{norm}(h) + \mathrm{bias})

    (Appendix A.3; v = A * v_top and h = B * h.)
    """
    u = preactivation([compute_dtype_of(top), compute_dtype_of(lateral)], gain, bias, norm, eps)
    return u.relu().to(top.dtype)


def combine_g3(projections: Tensor) -> Tensor:
    r"""The output of the cell G3, from its three projections of u, (N, 3C, *S) in order s, d, e, to y, (N, C, *S).

    .. math::
        y = \sigma(s) \odot d + (1 - \sigma(s)) \odot e

    (Appendix A.3; s = W_s * u, d = D * u, e = E * u.)
    """
    s, d, e = compute_dtype_of(projections).chunk(3, dim=1)
    s = s.sigmoid()
    return (s * d + (1 - s) * e).to(projections.dtype)


def ladder_combine(lateral: Tensor, top: Tensor, weights: Tensor, *, squash_gate: bool = False) -> Tensor:
    r"""The combinator of the Ladder network, from lateral z and top u, (N, C, *S) each, to the estimate, (N, C, *S).

    .. math::
        \mu = a_1 \sigma(a_2 u + a_3) + a_4 u + a_5, \qquad v = a_6 \sigma(a_7 u + a_8) + a_9 u + a_{10} \\
        \hat z = v \tilde z + (1 - v) \mu

    (Semi-Supervised Learning with Ladder Networks, Rasmus et al., 2015, Eq. 2; a_1 to a_10 are the rows of `weights`.)
    With `squash_gate` v passes through a sigmoid (Tagger, Greff et al., 2016, appendix A.6).
    """
    u = compute_dtype_of(top)
    mu, v = activation(u, weights[:5]), activation(u, weights[5:])
    if squash_gate:
        v = v.sigmoid()
    return (v * compute_dtype_of(lateral) + (1 - v) * mu).to(lateral.dtype)
