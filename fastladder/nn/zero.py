"""Zeros that stand for what is missing in a time step."""

import torch
from torch import Tensor, nn

from fastladder.ops.checks import autocast_dtype


def zero_state(projection: Tensor, size: int) -> Tensor:
    """A state (N, size, *S) of zeros beside a projection (N, _, *S), with at least `size` channels.

    Under autocast it is float32 where the projection is narrow: a state is a long sum, which rounding would end.
    """
    narrow = projection.element_size() < 4 and autocast_dtype(projection.device) is not None
    return torch.zeros_like(projection[:, :size], dtype=torch.float32 if narrow else None)


def zero_gradient(module: nn.Module, size: int, like: Tensor) -> Tensor | None:
    """0, whose backward pass gives the parameters of a module that is not needed gradients of zero.

    `torch.nn.LSTM` gives its hidden weights such gradients where there is a single time step and no state, and
    `DistributedDataParallel` waits for them. The module runs on two samples of zeros, none of whose results count; one
    would not do where a user put a batch normalisation into the module.

    Args:
        module: from (N, size, *S) to any result.
        like: (N, _, *S).

    Returns:
        (), or None where no gradients are computed.
    """
    if not torch.is_grad_enabled() or torch.compiler.is_exporting() or torch.jit.is_tracing():
        return None
    return module(like.new_zeros(2, size, *like.shape[2:]))[:0].sum()
