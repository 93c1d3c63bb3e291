"""The sum of convolutions as one convolution of all inputs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from fastladder.nn.layout import like_layout

CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


class JoinedWeight(NamedTuple):
    """The weights of convolutions side by side. What is prepared here once serves many time steps."""

    whole: Tensor  # (D, sum of C_j, *K)
    parts: tuple[Tensor, ...]  # each (D, C_j, *K), without a gradient


def join_weights(weights: Sequence[Tensor], like: Tensor) -> JoinedWeight:
    """Puts weights (D, C_j, *K) side by side, in the memory layout of an activation."""
    whole = like_layout(torch.cat(list(weights), 1), like)
    return JoinedWeight(whole, tuple(like_layout(weight.detach(), like) for weight in weights))


def joined_convolution(inputs: Sequence[Tensor], weight: JoinedWeight) -> Tensor:
    r"""The sum of convolutions, :math:`\sum_j W_j * x_j`, which keep the spatial size, as one convolution.

    One convolution over more channels is faster than several whose results are added: these would be written, and read
    by what follows, once for each.

    Args:
        inputs: x_j, each (N, C_j, *S).
        weight: of the W_j, with odd kernels.

    Returns:
        (N, D, *S).
    """
    result: Tensor = _JoinedConvolution.apply(weight.whole, weight.parts, *inputs)
    return result


class _JoinedConvolution(torch.autograd.Function):
    """Keeps its inputs apart for the backward pass: their gradients come apart, and only where they are needed."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor, parts: tuple[Tensor, ...], *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(whole, *parts, *inputs)
        padding = tuple(k // 2 for k in whole.shape[2:])
        return CONVOLVE[whole.dim() - 2](torch.cat(inputs, 1), whole, padding=padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        whole, *saved = ctx.saved_tensors
        parts, inputs = saved[: len(saved) // 2], saved[len(saved) // 2 :]
        needs_whole, _, *needs = ctx.needs_input_grad
        if torch.is_grad_enabled():  # a second derivative also depends on the parts
            parts = whole.split([x.shape[1] for x in inputs], 1)
        of_whole = _backward(gradient, torch.cat(inputs, 1), whole, (False, True, False))[1] if needs_whole else None
        of_inputs = [
            _backward(gradient, x, part, (True, False, False))[0] if needed else None
            for x, part, needed in zip(inputs, parts, needs, strict=True)
        ]
        return of_whole, None, *of_inputs


def _backward(gradient: Tensor, input: Tensor, weight: Tensor, mask: tuple[bool, bool, bool]) -> tuple[Tensor, ...]:
    """The gradients of input, weight and bias that `mask` asks for, which are differentiable again."""
    ones, padding = [1] * (input.dim() - 2), [k // 2 for k in weight.shape[2:]]
    results: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        gradient, input, weight, None, ones, padding, ones, False, [0] * len(ones), 1, mask
    )
    return results
