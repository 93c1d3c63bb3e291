"""Argument checks of the inference functions. Every error names the argument, what came and what is needed."""

from typing import Any

from torch import Tensor


def check_count(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}: got {value}, needs a number above 0")


def check_values(name: str, tensor: Any) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: got {type(tensor).__name__}, needs a tensor")
    if not tensor.is_floating_point():
        raise TypeError(f"{name}: got dtype {tensor.dtype}, needs a floating-point one")


def check_levels(name: str, tensor: Any, top: int, observation: Tensor) -> None:
    """Checks a tensor with a number for each of the levels 1, ..., top of every observation."""
    check_values(name, tensor)
    needed = (*observation.shape, top)
    if tensor.shape != needed:
        raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, needs {needed}: {top} levels for each observation")
    if tensor.dtype != observation.dtype:
        raise TypeError(f"{name}: got dtype {tensor.dtype}, needs {observation.dtype} like the observation")
    if tensor.device != observation.device:
        raise ValueError(f"{name}: got device {tensor.device}, needs {observation.device} like the observation")


def check_series(name: str, tensor: Any) -> None:
    """Checks series (..., T)."""
    check_values(name, tensor)
    if tensor.dim() < 1 or tensor.shape[-1] < 1:
        raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, needs (..., T) with T above 0")
