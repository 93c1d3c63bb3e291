"""The memory layout of activations: which one convolutions are fastest in, and how a tensor comes into it."""

import torch
from torch import Tensor

from fastladder.backends import keeps_modules_as_written

# Where convolutions with channels_last activations were measured faster than with contiguous ones.
FASTER = {"cpu": (torch.float32, torch.bfloat16)}


def has_channels_last_strides(tensor: Tensor) -> bool:
    """Whether (N, C, *S) has the strides of (N, *S, C), by which convolutions choose their layout.

    With a single channel both layouts are the same memory, and strides say which is meant; with a single position there
    is nothing to choose.
    """
    return tensor.dim() > 2 and tensor.stride(1) == 1 and tensor.shape[2:].numel() > 1


def channels_last(tensor: Tensor) -> Tensor:
    """The tensor (N, C, *S), copied where it does not lie in memory as (N, *S, C).

    Convolutions tell the layout by the strides. A single channel has those of both layouts, and here gets those of this
    one, where `Tensor.contiguous` would leave them.
    """
    if tensor.shape[1] == 1:
        return tensor.contiguous().squeeze(1).unsqueeze(-1).movedim(-1, 1)
    if tensor.dim() == 4:
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor.movedim(1, -1).contiguous().movedim(-1, 1)


def like_layout(tensor: Tensor, like: Tensor) -> Tensor:
    """The tensor in the layout of another, channels_last or taken as contiguous; without positions it stays."""
    if tensor.dim() < 3:
        return tensor
    return channels_last(tensor) if has_channels_last_strides(like) else tensor.contiguous()


def gains_from_channels_last(tensor: Tensor) -> bool:
    """Whether a network is faster where its input (N, C, *S) is copied into channels_last, in which it does not lie."""
    if tensor.dim() < 3 or has_channels_last_strides(tensor):
        return False
    if tensor.dtype not in FASTER.get(tensor.device.type, ()):
        return False
    return not keeps_modules_as_written(tensor) and torch.backends.mkldnn.is_available()
