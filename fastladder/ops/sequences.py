"""The lengths of samples, for operators that run whole sequences."""

import itertools
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor


def check_lengths(lengths: Any, batch: int, duration: int) -> bool:
    """Checks the lengths of N samples, of a tensor without its values. Returns whether they are known to fall."""
    if lengths is None:
        return True
    if isinstance(lengths, Tensor):
        if lengths.shape != (batch,) or lengths.is_floating_point() or lengths.dtype == torch.bool:
            raise ValueError(f"lengths: got {lengths.dtype} of shape {tuple(lengths.shape)}, needs ({batch},) integers")
        return False
    if not isinstance(lengths, Sequence) or not all(isinstance(n, Integral) for n in lengths) or len(lengths) != batch:
        raise ValueError(f"lengths: got {lengths!r}, needs ({batch},) integers")
    if any(not 0 <= n <= duration for n in lengths):
        raise ValueError(f"lengths: got {min(lengths)} to {max(lengths)}, needs 0 to {duration}")
    return all(a >= b for a, b in itertools.pairwise(lengths))


def run_longest_first(
    run: Callable[..., tuple[Tensor, ...]],
    lengths: Tensor | Sequence[int] | None,
    longest_first: bool,
    *tensors: Tensor,
) -> tuple[Tensor, ...]:
    """The results of run(lengths, *tensors), which needs its samples sorted from the longest to the shortest.

    Args:
        lengths: of the samples; None where all are as long.
        longest_first: whether the samples are sorted already.
        tensors: (T, N, C) or (N, C) each, as the results are.
    """
    lengths = None if lengths is None else torch.as_tensor(lengths)
    if longest_first:
        return run(lengths, *tensors)
    assert lengths is not None
    order = lengths.argsort(descending=True, stable=True)
    there, back = order.to(tensors[0].device), order.argsort().to(tensors[0].device)
    results = run(lengths[order], *(tensor.index_select(-2, there) for tensor in tensors))
    return tuple(result.index_select(-2, back) for result in results)


def needs_backward(*tensors: Tensor | None) -> bool:
    """Whether a backward pass may follow a call with these tensors, so that it should keep what that takes."""
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)
