"""Argument checks of the public operators. Every error names the argument, what came and what is needed."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

ACTIVATION_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
NORMS = ("none", "layer", "batch")


def check_option(name: str, value: Any, allowed: Sequence[Any]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: got {value!r}, needs one of {', '.join(map(repr, allowed))}")


def check_flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name}: got {value!r}, needs True or False")


def check_eps(eps: Any) -> None:
    if isinstance(eps, bool) or not isinstance(eps, (int, float)):
        raise TypeError(f"eps: got {type(eps).__name__}, needs a float")
    if not eps > 0:
        raise ValueError(f"eps: got {eps}, needs a number above 0")


def check_tensor(name: str, tensor: Any) -> None:
    """Checks that it is a tensor of a dtype that operators take."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: got {type(tensor).__name__}, needs a tensor")
    if tensor.dtype not in ACTIVATION_DTYPES:
        raise TypeError(f"{name}: got dtype {tensor.dtype}, needs one of {', '.join(map(str, ACTIVATION_DTYPES))}")


def check_leader(name: str, tensor: Any, parts: int) -> int:
    """Checks the first activation, (N, parts * C, *S), and returns C."""
    check_tensor(name, tensor)
    channels = "C" if parts == 1 else f"{parts}C"
    if tensor.dim() < 2:
        raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, needs (N, {channels}, *S)")
    if tensor.shape[1] % parts != 0:
        raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, needs (N, {channels}, *S)")
    return tensor.shape[1] // parts


def check_activation(
    name: str, tensor: Any, shape: Sequence[int], leader: Tensor, leader_name: str, *, state: bool = False
) -> None:
    """Checks another activation against the shape that follows from the first one, its dtype and its device.

    A recurrent `state` may also be float32 beside a narrower one.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: got {type(tensor).__name__}, needs a tensor")
    if tensor.shape != torch.Size(shape):
        raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, needs {tuple(shape)} to go with {leader_name}")
    wide = state and leader.dtype in (torch.bfloat16, torch.float16)
    if tensor.dtype != leader.dtype and not (wide and tensor.dtype == torch.float32):
        others = ", or torch.float32" if wide else ""
        raise TypeError(f"{name}: got dtype {tensor.dtype}, needs {leader.dtype} like {leader_name}{others}")
    if tensor.device != leader.device:
        raise ValueError(f"{name}: got device {tensor.device}, needs {leader.device} like {leader_name}")


def check_parameter(name: str, tensor: Any, shape: Sequence[int], leader: Tensor, leader_name: str) -> Tensor:
    """Checks a per-channel parameter and returns it in the dtype of arithmetic, which is float32 or float64."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: got {type(tensor).__name__}, needs a tensor")
    if tensor.shape != torch.Size(shape):
        raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, needs {tuple(shape)} to go with {leader_name}")
    if tensor.dtype not in ACTIVATION_DTYPES:
        raise TypeError(f"{name}: got dtype {tensor.dtype}, needs one of {', '.join(map(str, ACTIVATION_DTYPES))}")
    if tensor.device != leader.device:
        raise ValueError(f"{name}: got device {tensor.device}, needs {leader.device} like {leader_name}")
    return tensor.double() if leader.dtype == torch.float64 else tensor.float()


def check_optional_parameter(
    name: str, tensor: Any, shape: Sequence[int], leader: Tensor, leader_name: str
) -> Tensor | None:
    return None if tensor is None else check_parameter(name, tensor, shape, leader, leader_name)


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """The dtype of autocast on this type of device; None where it is off. Meta tensors have no autocast."""
    kind = device.type
    return torch.get_autocast_dtype(kind) if kind != "meta" and torch.is_autocast_enabled(kind) else None


def autocast(*tensors: Tensor) -> list[Tensor]:
    """Activations in the dtype of autocast where it is on, else unchanged."""
    dtype = autocast_dtype(tensors[0].device) if isinstance(tensors[0], Tensor) else None
    if dtype is None:
        return list(tensors)
    narrow = (torch.float32, torch.bfloat16, torch.float16)
    return [t.to(dtype) if isinstance(t, Tensor) and t.dtype in narrow else t for t in tensors]


def autocast_state(state: Tensor) -> Tensor:
    """A recurrent state under autocast: float32 stays, as long sums need it; narrower ones get its dtype."""
    return state if isinstance(state, Tensor) and state.dtype == torch.float32 else autocast(state)[0]
