"""Setting parameters anew: those of all submodules, and those that may be sharded."""

from typing import Any

import torch
from torch import Tensor, nn


def reset_children(module: nn.Module) -> None:
    """Calls `reset_parameters` of every child, and of the children of a child that has none, such as a Sequential."""
    child: Any  # `torch.nn.Module` does not declare `reset_parameters`
    for child in module.children():
        if hasattr(child, "reset_parameters"):
            child.reset_parameters()
        else:
            reset_children(child)


@torch.no_grad()
def fill(parameter: Any, values: Tensor) -> None:
    """Sets a parameter to values, also where it is sharded, where an assignment to a part of it would be lost."""
    parameter.copy_(_distributed_like(parameter, values))


@torch.no_grad()
def scale(parameter: Any, factors: Tensor) -> None:
    """Multiplies a parameter by factors of its shape, also where it is sharded."""
    parameter.mul_(_distributed_like(parameter, factors))


def _distributed_like(parameter: Any, values: Tensor) -> Tensor:
    values = values.to(parameter.device, parameter.dtype)
    if not is_sharded(parameter):
        return values
    from torch.distributed.tensor import distribute_tensor  # imported here since it is slow to import

    return distribute_tensor(values, parameter.device_mesh, parameter.placements)


def is_sharded(tensor: Any) -> bool:
    """Whether this is a DTensor, as `torch.distributed.fsdp.fully_shard` makes of parameters."""
    return hasattr(tensor, "device_mesh")
