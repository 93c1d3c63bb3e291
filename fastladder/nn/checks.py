"""Argument checks of the modules. Every error names the argument, what came and what is needed."""

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastladder.ops.checks import autocast, autocast_dtype, check_activation, check_option

DIMS = (1, 2, 3)


def check_size(name: str, value: Any) -> int:
    """Checks a number above 0 of any integer type, and returns it as an int."""
    try:
        size = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: got {value!r}, needs an integer") from None
    if isinstance(value, bool):
        raise TypeError(f"{name}: got {value!r}, needs an integer")
    if size < 1:
        raise ValueError(f"{name}: got {size}, needs a number above 0")
    return size


def check_probability(name: str, value: Any) -> None:
    """Checks a number from 0 to 1."""
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{name}: got {value}, needs a probability from 0 to 1")


def check_shape(name: str, value: Any) -> tuple[int, ...]:
    """Checks one size or a sequence of them, and returns them as a tuple."""
    sizes = value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    return tuple(check_size(name, size) for size in sizes)


def check_sizes(name: str, value: Any, dims: int) -> tuple[int, ...]:
    """Checks one size for all spatial dimensions, or one for each, and returns one for each."""
    check_option("dims", dims, DIMS)
    sizes = check_shape(name, value)
    sizes = sizes if isinstance(value, Iterable) else sizes * dims
    if len(sizes) != dims:
        raise ValueError(f"{name}: got {value!r}, needs one integer or {dims} of them")
    return sizes


def check_features(name: str, tensor: Any, channels: int, dims: int, module: Any = None) -> None:
    """Checks an activation (N, channels, *S) with `dims` spatial dimensions, and its dtype and device against a module.

    Only a module with a `weight` is compared. One that a user put in place of ours may have none.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: got {type(tensor).__name__}, needs a tensor")
    if tensor.dim() != dims + 2 or tensor.shape[1] != channels:
        spatial = "".join(f", S{d + 1}" for d in range(dims))
        raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, needs (N, {channels}{spatial})")
    _check_like_weight(name, tensor, module)


def _check_like_weight(name: str, tensor: Tensor, module: Any) -> None:
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor):
        return
    if tensor.device != weight.device:
        raise ValueError(f"{name}: got device {tensor.device}, needs {weight.device} like the weights")
    if tensor.dtype != weight.dtype and autocast_dtype(weight.device) is None:
        raise TypeError(f"{name}: got dtype {tensor.dtype}, needs {weight.dtype} like the weights")


def check_moments(mean: Any, var: Any, leading: str, features: int, module: Any = None) -> tuple[Tensor, Tensor]:
    """Checks mean and variance of units, and their dtype and device against a module, if that has a `weight`.

    Args:
        mean: (*, features), with two dimensions or more.
        var: shaped like `mean`; missing means 0.
        leading: how the message writes the dimensions before the last.

    Returns:
        mean and variance, in the dtype of autocast where it is on.
    """
    if not isinstance(mean, Tensor):
        raise TypeError(f"mean: got {type(mean).__name__}, needs a tensor")
    if mean.dim() < 2 or mean.shape[-1] != features:
        raise ValueError(f"mean: got shape {tuple(mean.shape)}, needs ({leading}, {features})")
    _check_like_weight("mean", mean, module)
    mean, var = autocast(mean, torch.zeros_like(mean) if var is None else var)
    check_activation("var", var, mean.shape, mean, "mean")
    return mean, var


def check_state(state: Any, needed: str = "hidden and cell, (h, c)") -> tuple[Tensor, Tensor] | None:
    """Checks that a state has two parts, hidden and cell if not said otherwise, or is missing: None or (None, None)."""
    if state is None:
        return None
    if isinstance(state, Tensor) or not isinstance(state, Sequence):
        raise TypeError(f"state: got {type(state).__name__}, needs {needed}")
    if len(state) != 2:
        raise ValueError(f"state: got {len(state)} parts, needs {needed}")
    hidden, cell = state
    if hidden is None and cell is None:
        return None
    for index, tensor in enumerate(state):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"state[{index}]: got {type(tensor).__name__}, needs a tensor")
    return hidden, cell


def check_beside(name: str, tensor: Tensor, like: Tensor) -> None:
    """Checks that an activation has the batch size and the spatial size of another."""
    if tensor.shape[0] != like.shape[0] or tensor.shape[2:] != like.shape[2:]:
        needed = ", ".join(map(str, (like.shape[0], tensor.shape[1], *like.shape[2:])))
        raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, needs ({needed})")


def reads_values(tensor: Tensor) -> bool:
    """Whether the values of a tensor can be read, unlike those of a meta, fake or traced one or within a transform."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or tensor.is_meta:
        return False
    return type(tensor) in (Tensor, nn.Parameter) and torch._C._functorch.get_dynamic_layer_stack_depth() == 0
