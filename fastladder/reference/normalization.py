"""Normalisation without parameters, shared by the gates and the decoder combinators."""

from torch import Tensor


def compute_dtype_of(tensor: Tensor) -> Tensor:
    """The tensor in the dtype of arithmetic and statistics: float64 stays, everything narrower becomes float32."""
    return tensor if tensor.element_size() == 8 else tensor.float()


def per_channel(parameter: Tensor, like: Tensor) -> Tensor:
    """A (C,) parameter, shaped to broadcast over `like` of shape (N, C, *S)."""
    return parameter.view(1, -1, *[1] * (like.dim() - 2))


def normalize(x: Tensor, norm: str, eps: float) -> Tensor:
    """x of shape (N, C, *S) with zero mean and unit (biased) variance.

    "layer": per sample, jointly over (C, *S); "batch": per channel, over (N, *S); "none": x itself.
    """
    if norm == "none" or x.numel() == 0:
        return x
    dims = [d for d in range(x.dim()) if d != (0 if norm == "layer" else 1)]
    centred = x - x.mean(dims, keepdim=True)
    return centred * (centred.square().mean(dims, keepdim=True) + eps).rsqrt()


def preactivation(projections: list[Tensor], gain: Tensor | None, bias: Tensor | None, norm: str, eps: float) -> Tensor:
    """a = sum_j gain_j * norm(p_j) + bias, for J projections (N, C, *S), gain (J, C), bias (C,)."""
    a = None
    for j, projection in enumerate(projections):
        term = normalize(projection, norm, eps)
        if gain is not None:
            term = per_channel(gain[j], term) * term
        a = term if a is None else a + term
    assert a is not None
    return a if bias is None else a + per_channel(bias, a)
