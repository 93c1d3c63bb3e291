"""Conventions of every layer: the dtype of arithmetic, how a parameter meets a map, and what came one step before."""

import torch
from torch import Tensor


def compute_dtype_of(tensor: Tensor) -> Tensor:
    """The tensor in the dtype of arithmetic and statistics: float64 stays, everything narrower becomes float32."""
    return tensor if tensor.element_size() == 8 else tensor.float()


def per_channel(parameter: Tensor, like: Tensor) -> Tensor:
    """A (C,) parameter, shaped to broadcast over `like` of shape (N, C, *S)."""
    return parameter.view(1, -1, *[1] * (like.dim() - 2))


def step_before(x: Tensor) -> Tensor:
    """The numbers (T, *) of the time step before each, which are 0 for the first one."""
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])
