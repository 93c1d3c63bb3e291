"""Whether a submodule is as fastladder built it, so that its parent may use its weights instead of calling it."""

from torch import nn
from torch.nn.modules import module as torch_module

from fastladder.nn.reset import is_sharded

HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def has_hooks(module: nn.Module) -> bool:
    """Whether hooks of its own run at calls of the module, which may give it other weights each time."""
    return any(getattr(module, hooks) for hooks in HOOKS)


def is_untouched(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a call of the module runs the forward of its class on its own weights and nothing else.

    Not where it has been replaced, wrapped, hooked, parametrized, compiled in place or sharded: then it must be called.

    Args:
        module: a submodule.
        kind: the class it was built as.
    """
    if type(module) is not kind or "forward" in vars(module) or module._compiled_call_impl is not None:
        return False
    if has_hooks(module) or torch_module._has_any_global_hook():
        return False
    return not any(is_sharded(parameter) for parameter in module._parameters.values())
