"""Drawing the parameters of submodules anew."""

from typing import Any

from torch import nn


def reset_children(module: nn.Module) -> None:
    """Calls `reset_parameters` of each child; every layer has it, though `torch.nn.Module` does not declare it."""
    child: Any
    for child in module.children():
        child.reset_parameters()
