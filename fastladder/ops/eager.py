"""Calls of registered operators without what `torch.library` does around them.

Its automatic gradients flatten and rebuild the arguments of every call, which takes longer than the kernels for small
tensors: lstm_gates of two projections with 16 elements took 73 microseconds, and takes 28 here.
Compiled and exported code goes on to call the registered operators.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

Argument = Any  # a tensor, a list of tensors, None or an option


def eager_call(
    run: Callable[..., Any],
    setup_context: Callable[[Any, tuple[Argument, ...], Any], None],
    backward: Callable[..., tuple[Argument, ...]],
    kinds: Sequence[str],
) -> Callable[..., Any]:
    """A function that calls an operator, with its gradients.

    Args:
        run: the registered operator.
        setup_context, backward: as `torch.library.register_autograd` takes them.
        kinds: of the arguments, "tensor", "list" or "option".
    """

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, arguments: tuple[Argument, ...], *tensors: Tensor | None) -> Any:
            output = run_below_autograd(run, *arguments)
            setup_context(ctx, arguments, output)
            return output

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
            return None, *flatten(kinds, backward(ctx, *gradients), ctx.lengths)

    def call(*arguments: Argument) -> Any:
        tensors = list(flatten(kinds, arguments))
        if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors):
            return Function.apply(arguments, *tensors)
        return run_below_autograd(run, *arguments)

    return call


def run_below_autograd(run: Callable[..., Any], *arguments: Argument) -> Any:
    """Calls a registered operator whose results need no gradient, which saves the search for one."""
    if torch.compiler.is_compiling():
        return run(*arguments)
    with torch._C._AutoDispatchBelowAutograd():
        return run(*arguments)


def flatten(
    kinds: Sequence[str], arguments: Sequence[Argument], lengths: Sequence[int] | None = None
) -> Iterator[Tensor | None]:
    """The tensors among arguments, those of lists too.

    Args:
        lengths: of the lists, where one may be None in place of its tensors; 1 for single tensors.
    """
    for position, (kind, argument) in enumerate(zip(kinds, arguments, strict=True)):
        if kind == "list":
            yield from [None] * lengths[position] if argument is None and lengths is not None else argument
        elif kind == "tensor":
            yield argument
