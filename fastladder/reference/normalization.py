"""Normalisation without parameters, shared by the gates and the decoder combinators."""

from torch import Tensor

from fastladder.tensors import per_channel


def normalize(x: Tensor, norm: str, eps: float) -> Tensor:
    r"""x of shape (N, C, *S) with zero mean and unit (biased) variance.

    .. math::
        \mathrm{norm}(x) = (x - \mu) / \sqrt{\sigma^2 + \epsilon}

    "layer": the moments are taken per sample, jointly over (C, *S) (Layer Normalization, Ba et al., 2016, Eq. 3);
    "batch": per channel, over (N, *S) (Batch Normalization, Ioffe and Szegedy, 2015, Algorithm 1); "none": x itself.
    """
    if norm == "none" or x.numel() == 0:
        return x
    dims = [d for d in range(x.dim()) if d != (0 if norm == "layer" else 1)]
    centred = x - x.mean(dims, keepdim=True)
    return centred * (centred.square().mean(dims, keepdim=True) + eps).rsqrt()


def preactivation(projections: list[Tensor], gain: Tensor | None, bias: Tensor | None, norm: str, eps: float) -> Tensor:
    r"""The normalised sum of J projections (N, C, *S), with gain (J, C) and bias (C,).

    .. math::
        a = \sum_j \mathrm{gain}_j \, \mathrm{norm}(p_j) + \mathrm{bias}

    (Recurrent Ladder Networks, appendix A.4; every projection is normalised on its own, before the sum.)
    """
    a = None
    for j, projection in enumerate(projections):
        term = normalize(projection, norm, eps)
        if gain is not None:
            term = per_channel(gain[j], term) * term
        a = term if a is None else a + term
    assert a is not None
    return a if bias is None else a + per_channel(bias, a)
