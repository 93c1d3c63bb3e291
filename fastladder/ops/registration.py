"""Fake kernels and gradients for registered operators, written once for all of them.

Every operator F follows one convention, in C++ (namespace `fastladder`) and in Triton (`fastladder_triton`):

    F(*arguments) -> (*outputs, *statistics)
    F_backward(*gradients, *arguments, *kept outputs, *statistics) -> one gradient for every tensor argument, in order

`outputs` are differentiable; `statistics` (such as mean and reciprocal deviation) are kept for the backward pass beside
the arguments, and so are the first outputs of some operators. A gradient is None where an output is unused, and that of
a missing argument or of integers is an empty tensor. A list of tensors is one argument, whose gradient is a list. An
option that the reference does not have only says what is kept. So an operator is declared by the shapes of its results
and the number of its outputs.

F_backward is not differentiable. A backward pass that is itself differentiated or transformed goes through the
reference (`_reference_gradients`).
"""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from fastladder import reference
from fastladder.backends import needs_reference
from fastladder.extension import REBUILD
from fastladder.ops.eager import Argument, eager_call, run_below_autograd

KINDS = {"Tensor": "tensor", "Optional[Tensor]": "tensor", "List[Tensor]": "list"}  # of arguments, from the schema


@dataclass(frozen=True)
class Operator:
    """The declaration of one operator."""

    name: str
    fake: Callable[..., Any]  # the shapes of its results
    outputs: int  # how many results are outputs; the rest are statistics
    activations: int  # how many leading arguments are activations, whose gradients have their dtypes
    keeps_layout: bool  # whether these are (N, _, *S), and gradients lie in memory as the first; else contiguous
    kept_outputs: int  # how many outputs, the first ones, the backward pass takes too
    settled: dict[str, Any]  # arguments of the reference that the registered operator does not have


OPERATORS: list[Operator] = []


def operator(
    *, outputs: int, activations: int, keeps_layout: bool = True, kept_outputs: int = 0, **settled: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares an operator by its fake forward kernel, whose name it takes (without a leading underscore)."""

    def declare(fake: Callable[..., Any]) -> Callable[..., Any]:
        name = fake.__name__.removeprefix("_")
        OPERATORS.append(Operator(name, fake, outputs, activations, keeps_layout, kept_outputs, settled))
        return fake

    return declare


EAGER: defaultdict[str, Any] = defaultdict(SimpleNamespace)  # by namespace, the calls of its operators
NAMESPACES = {"native": "fastladder", "triton": "fastladder_triton"}


def namespace(backend: str) -> Any:
    """Where the operators of backend "native" or "triton" are registered."""
    return getattr(torch.ops, NAMESPACES[backend])


def fused(backend: str) -> Any:
    """The operators of backend "native" or "triton" as they are called: in code that is compiled, as registered."""
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return namespace(backend)
    return EAGER[NAMESPACES[backend]]


def is_channels_last(tensor: Tensor) -> bool:
    """Whether (N, C, *S) lies in memory as (N, *S, C). A layout that is both counts as contiguous."""
    return tensor.dim() > 2 and not tensor.is_contiguous() and tensor.movedim(1, -1).is_contiguous()


def empty_like_layout(leader: Tensor, channels: int, dtype: torch.dtype | None = None) -> Tensor:
    """An empty (N, channels, *S) in the layout of `leader` (N, _, *S): channels_last stays, all else is contiguous.

    It has the dtype of the leader where none is given.
    """
    batch, _, *spatial = leader.shape
    if is_channels_last(leader):
        return leader.new_empty((batch, *spatial, channels), dtype=dtype).movedim(-1, 1)
    return leader.new_empty((batch, channels, *spatial), dtype=dtype)


def in_layout_of(leader: Tensor, *tensors: Any) -> Iterator[Any]:
    """Each tensor (N, _, *S), copied where it does not lie in memory as `empty_like_layout` of the leader would."""
    last = is_channels_last(leader)
    for tensor in tensors:
        if tensor is None:
            yield None
        else:
            yield tensor.movedim(1, -1).contiguous().movedim(-1, 1) if last else tensor.contiguous()


def statistics_dtype(leader: Tensor) -> torch.dtype:
    """The dtype of arithmetic, statistics and parameters: float64 for float64, float32 for all else."""
    return torch.float64 if leader.dtype == torch.float64 else torch.float32


def empty_statistics(leader: Tensor, count: int, norm: str, norm_groups: int) -> tuple[Tensor, Tensor]:
    """Empty mean and reciprocal deviation of `count` projections shaped like `leader` (N, K, *S).

    The elements that are normalised together are a norm group; with norm "layer" a sample has `norm_groups` of them.

    Returns:
        two tensors of shape (count, N, norm_groups) for norm "layer", (count, K) for "batch", (0,) for "none".
    """
    batch, channels = leader.shape[:2]
    shape = {"layer": (count, batch, norm_groups), "batch": (count, channels), "none": (0,)}[norm]
    dtype = statistics_dtype(leader)
    return leader.new_empty(shape, dtype=dtype), leader.new_empty(shape, dtype=dtype)


def attach(namespace: str) -> None:
    """Gives every operator of a namespace its fakes and gradients. Called once its kernels are registered."""
    for declared in OPERATORS:
        _attach(namespace, declared)


def _attach(namespace: str, op: Operator) -> None:
    name = f"{namespace}::{op.name}"
    try:
        run = getattr(getattr(torch.ops, namespace), op.name).default
        run_backward = getattr(getattr(torch.ops, namespace), f"{op.name}_backward").default
    except AttributeError:
        raise ImportError(f"the compiled extension is of another version: it has no {op.name}; {REBUILD}") from None
    names = [argument.name for argument in run._schema.arguments]
    kinds = [KINDS.get(str(argument.type), "option") for argument in run._schema.arguments]
    of_reference = inspect.signature(getattr(reference, op.name)).parameters

    def setup_context(ctx: Any, inputs: tuple[Argument, ...], output: Tensor | tuple[Tensor, ...]) -> None:
        results = (output,) if isinstance(output, Tensor) else output
        statistics = results[op.outputs :]
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*statistics)
        ctx.lengths = [len(a) if kind == "list" else 1 for kind, a in zip(kinds, inputs, strict=True)]
        ctx.options = [a for kind, a in zip(kinds, inputs, strict=True) if kind == "option"]
        tensors: list[Tensor | None] = []
        for kind, argument in zip(kinds, inputs, strict=True):
            tensors.extend(argument if kind == "list" else [argument] if kind == "tensor" else [])
        ctx.save_for_backward(*tensors, *results[: op.kept_outputs], *statistics)

    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Argument, ...]:
        saved, options = iter(ctx.saved_tensors), iter(ctx.options)
        arguments: list[Argument] = []
        for kind, length in zip(kinds, ctx.lengths, strict=True):
            if kind == "list":
                arguments.append([next(saved) for _ in range(length)])
            else:
                arguments.append(next(saved if kind == "tensor" else options))
        if torch.is_grad_enabled() or needs_reference() or _are_batched(gradients):
            named = {name: a for name, a in zip(names, arguments, strict=True) if name in of_reference}
            of_named = iter(_reference_gradients(op, named, gradients[: op.outputs]))
            return tuple(next(of_named) if name in of_reference else None for name in names)
        results = run_below_autograd(run_backward, *gradients[: op.outputs], *arguments, *saved)
        found = iter((results,) if isinstance(results, Tensor) else results)
        complete = [next(found) if kind != "option" else None for kind in kinds]
        return tuple(result if _has_gradient(a) else None for a, result in zip(arguments, complete, strict=True))

    def fake_backward(*everything: Argument) -> Any:
        arguments = everything[op.outputs : op.outputs + len(kinds)]
        leader = arguments[0][0] if kinds[0] == "list" else arguments[0]
        results: list[Argument] = []
        for position, (kind, argument) in enumerate(zip(kinds, arguments, strict=True)):
            if kind == "list":
                results.append([empty_like_layout(leader, a.shape[1]) for a in argument])
            elif kind == "tensor" and position < op.activations and op.keeps_layout:
                results.append(empty_like_layout(leader, argument.shape[1], argument.dtype))
            elif kind == "tensor" and position < op.activations:
                results.append(leader.new_empty(argument.shape, dtype=argument.dtype))
            elif kind == "tensor":
                shape = argument.shape if _has_gradient(argument) else (0,)
                results.append(leader.new_empty(shape, dtype=statistics_dtype(leader)))
        return results[0] if len(results) == 1 else tuple(results)

    torch.library.register_fake(name, op.fake)
    torch.library.register_fake(f"{name}_backward", fake_backward)
    torch.library.register_autograd(name, backward, setup_context=setup_context)
    setattr(EAGER[namespace], op.name, eager_call(run, setup_context, backward, kinds))
    torch.library.register_autograd(f"{name}_backward", _no_second_derivative(op.name))


def _has_gradient(argument: Argument) -> bool:
    """Whether F_backward has a gradient of this argument: not of one that is missing or has integers."""
    return argument is not None and not (isinstance(argument, Tensor) and not argument.is_floating_point())


def _are_batched(gradients: Sequence[Tensor | None]) -> bool:
    """Whether `torch.autograd.grad` was asked for several gradients at once (is_grads_batched)."""
    if torch.compiler.is_compiling():
        return False
    return any(g is not None and torch._C._functorch.is_legacy_batchedtensor(g) for g in gradients)


def _reference_gradients(
    op: Operator, arguments: dict[str, Argument], gradients: Sequence[Tensor | None]
) -> tuple[Argument, ...]:
    """The results of F_backward, computed by the reference: differentiable any number of times, in any transform.

    Args:
        arguments: of the operator, by name.
        gradients: of its outputs.
    """
    differentiable = torch.is_grad_enabled()
    leaves: list[Tensor] = []

    def alias(argument: Argument) -> Argument:
        # A view stops the gradient here, where the argument itself may depend on another one.
        if isinstance(argument, Tensor) and argument.requires_grad:
            leaves.append(argument.view_as(argument))
            return leaves[-1]
        return [alias(each) for each in argument] if isinstance(argument, list) else argument

    with torch.enable_grad():
        aliases = {name: alias(argument) for name, argument in arguments.items()}
        outputs = getattr(reference, op.name)(**aliases, **op.settled)
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        used = [(y, g) for y, g in zip(outputs, gradients, strict=True) if g is not None and y.requires_grad]
        results = iter(
            torch.autograd.grad(
                [y for y, _ in used],
                leaves,
                [g for _, g in used],
                create_graph=differentiable,
                allow_unused=True,
            )
        )

    def gradient(argument: Argument) -> Argument:
        if isinstance(argument, list):
            return [gradient(each) for each in argument]
        return next(results) if isinstance(argument, Tensor) and argument.requires_grad else None

    return tuple(gradient(argument) for argument in aliases.values())


def _no_second_derivative(name: str) -> Callable[..., Any]:
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise RuntimeError(
            f"{name} has no second derivative in its fused backends; "
            "compute it under fastladder.use_backend('reference'), which is differentiable any number of times"
        )

    return backward
