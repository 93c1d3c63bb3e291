"""Two conventions of every layer: the dtype of arithmetic, and how a parameter meets a map."""

from torch import Tensor


def compute_dtype_of(tensor: Tensor) -> Tensor:
    """The tensor in the dtype of arithmetic and statistics: float64 stays, everything narrower becomes float32."""
    return tensor if tensor.element_size() == 8 else tensor.float()


def per_channel(parameter: Tensor, like: Tensor) -> Tensor:
    """A (C,) parameter, shaped to broadcast over `like` of shape (N, C, *S)."""
    return parameter.view(1, -1, *[1] * (like.dim() - 2))
