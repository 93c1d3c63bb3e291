"""Whether a submodule is as fastladder built it, so that its parent may use its weights instead of calling it."""

from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torch_module

from fastladder.nn.convolution import CONVOLUTIONS
from fastladder.nn.reset import is_sharded

HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def is_untouched(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a call of the module runs the forward of its class on its own weights and nothing else.

    Not where it has been replaced, wrapped, hooked, parametrized, compiled in place or sharded: then it must be called.
    In code that is compiled every module is called.

    Args:
        module: a submodule.
        kind: the class it was built as.
    """
    if torch.compiler.is_compiling():
        return False
    if type(module) is not kind or "forward" in vars(module) or module._compiled_call_impl is not None:
        return False
    if any(getattr(module, hooks) for hooks in HOOKS) or torch_module._has_any_global_hook():
        return False
    return not any(is_sharded(parameter) for parameter in module._parameters.values())


def keeps_size(convolution: Any) -> bool:
    """Whether a submodule is an untouched convolution of stride 1 that keeps the spatial size, without a bias."""
    kind = type(convolution)
    return (
        kind in CONVOLUTIONS.values()
        and is_untouched(convolution, kind)
        and (convolution.bias is None and convolution.groups == 1)
        and (convolution.padding == "same" and convolution.padding_mode == "zeros")
        and set(convolution.stride) == set(convolution.dilation) == {1}
        and all(k % 2 for k in convolution.kernel_size)
    )
