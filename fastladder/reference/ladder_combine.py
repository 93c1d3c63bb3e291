"""The combinator of the Ladder network (Semi-Supervised Learning with Ladder Networks, Rasmus et al., 2015, Eq. 2)."""

from torch import Tensor

from fastladder.reference.gated_combine import activation
from fastladder.tensors import compute_dtype_of


def ladder_combine(lateral: Tensor, top: Tensor, weights: Tensor, *, squash_gate: bool = False) -> Tensor:
    """The specification of `fastladder.ops.ladder_combine`."""
    u = compute_dtype_of(top)
    mu, v = activation(u, weights[:5]), activation(u, weights[5:])
    if squash_gate:
        v = v.sigmoid()
    return ((compute_dtype_of(lateral) - mu) * v + mu).to(lateral.dtype)
