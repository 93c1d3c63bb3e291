"""Argument checks of the modules. Every error names the argument, what came and what is needed."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastladder.ops.checks import check_option

DIMS = (1, 2, 3)


def check_size(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: got {value!r}, needs an integer")
    if value < 1:
        raise ValueError(f"{name}: got {value}, needs a number above 0")


def check_sizes(name: str, value: int | Sequence[int], dims: int) -> tuple[int, ...]:
    """One integer for all spatial dimensions, or one for each, as a tuple with one for each."""
    check_option("dims", dims, DIMS)
    sizes = (value,) * dims if isinstance(value, int) else tuple(value)
    if len(sizes) != dims:
        raise ValueError(f"{name}: got {value!r}, needs one integer or {dims} of them")
    for size in sizes:
        check_size(name, size)
    return sizes


def check_features(name: str, tensor: Any, channels: int, dims: int, weight: Any) -> None:
    """Checks an activation (N, channels, *S) with `dims` spatial dimensions that is to meet `weight`."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: got {type(tensor).__name__}, needs a tensor")
    if tensor.dim() != dims + 2 or tensor.shape[1] != channels:
        spatial = "".join(f", S{d + 1}" for d in range(dims))
        raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, needs (N, {channels}{spatial})")
    if tensor.device != weight.device:
        raise ValueError(f"{name}: got device {tensor.device}, needs {weight.device} like the weights")
    if tensor.dtype != weight.dtype and not torch.is_autocast_enabled(weight.device.type):
        raise TypeError(f"{name}: got dtype {tensor.dtype}, needs {weight.dtype} like the weights")
