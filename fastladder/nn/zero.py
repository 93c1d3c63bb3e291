"""Zeros in place of what a time step lacks: the state, and the gradients of weights that it does not use."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastladder.nn.reset import is_sharded
from fastladder.ops.checks import autocast_dtype


def zero_state(projection: Tensor, size: int) -> Tensor:
    """A state (N, size, *S) of zeros beside a projection (N, _, *S), with at least `size` channels.

    Under autocast it is float32 beside a narrow projection: a state is a long sum, to which a narrow dtype soon adds
    nothing.
    """
    narrow = projection.element_size() < 4 and autocast_dtype(projection.device) is not None
    return torch.zeros_like(projection[:, :size], dtype=torch.float32 if narrow else None)


def with_zero_gradients(bias: Tensor | None, like: Tensor, unused: Sequence[nn.Module]) -> Tensor | None:
    """The bias, with a backward pass that gives gradients of zero to the parameters of unused modules.

    `torch.nn.LSTM` gives its hidden weights such gradients where there is a single time step and no state, and
    `DistributedDataParallel` waits for them. Exported code has no such gradients.

    Args:
        bias: (C,), or None.
        like: (N, C, *S).
        unused: modules that this time step does not call.
    """
    if not torch.is_grad_enabled() or torch.compiler.is_exporting() or torch.jit.is_tracing():
        return bias
    for parameter in (p for module in unused for p in module.parameters() if p.requires_grad):
        zero: Any = parameter[None][:0].sum()
        if is_sharded(zero):
            zero = zero.full_tensor()
        bias = like.new_zeros(like.shape[1]) + zero if bias is None else bias + zero
    return bias
