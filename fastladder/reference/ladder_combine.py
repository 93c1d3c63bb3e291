"""The combinator of the Ladder network."""

from torch import Tensor

from fastladder.reference.gated_combine import activation
from fastladder.tensors import compute_dtype_of


def ladder_combine(lateral: Tensor, top: Tensor, weights: Tensor, *, squash_gate: bool = False) -> Tensor:
    r"""The combinator of the Ladder network, from lateral z and top u, (N, C, *S) each, to the estimate, (N, C, *S).

    .. math::
        \mu = a_1 \sigma(a_2 u + a_3) + a_4 u + a_5, \qquad v = a_6 \sigma(a_7 u + a_8) + a_9 u + a_{10} \\
        \hat z = (\tilde z - \mu) \, v + \mu

    (Semi-Supervised Learning with Ladder Networks, Rasmus et al., 2015, Eq. 2; a_1 to a_10 are the rows of `weights`.)
    With `squash_gate` v passes through a sigmoid (Tagger, Greff et al., 2016, appendix A.6).
    """
    u = compute_dtype_of(top)
    mu, v = activation(u, weights[:5]), activation(u, weights[5:])
    if squash_gate:
        v = v.sigmoid()
    return ((compute_dtype_of(lateral) - mu) * v + mu).to(lateral.dtype)
