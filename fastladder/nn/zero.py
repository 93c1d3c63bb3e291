"""Zeros that stand for what is missing in a time step."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastladder.nn.reset import is_sharded
from fastladder.ops.checks import autocast_dtype


def zero_state(projection: Tensor, size: int) -> Tensor:
    """A state (N, size, *S) of zeros beside a projection (N, _, *S), with at least `size` channels.

    Under autocast it is float32 where the projection is narrow: a state is a long sum, which rounding would end.
    """
    narrow = projection.element_size() < 4 and autocast_dtype(projection.device) is not None
    return torch.zeros_like(projection[:, :size], dtype=torch.float32 if narrow else None)


def with_zero_gradients(bias: Tensor | None, like: Tensor, unused: Sequence[nn.Module]) -> Tensor | None:
    """A bias, whose backward pass gives the parameters of modules that are not needed gradients of zero.

    `torch.nn.LSTM` gives its hidden weights such gradients where there is a single time step and no state, and
    `DistributedDataParallel` waits for them. Exported code has no such gradients.

    Args:
        bias: (C,), or None.
        like: (N, C, *S).
        unused: the modules.
    """
    if not torch.is_grad_enabled() or torch.compiler.is_exporting() or torch.jit.is_tracing():
        return bias
    for parameter in (p for module in unused for p in module.parameters() if p.requires_grad):
        nothing: Any = parameter[None][:0].sum()
        if is_sharded(nothing):
            nothing = nothing.full_tensor()
        bias = like.new_zeros(like.shape[1]) + nothing if bias is None else bias + nothing
    return bias
