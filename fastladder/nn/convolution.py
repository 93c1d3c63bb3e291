"""Convolutions in one to three dimensions that keep the spatial size, or divide or multiply it by their stride."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastladder.nn.checks import check_sizes
from fastladder.nn.convolution1d import Conv1d, ConvTranspose1d
from fastladder.nn.untouched import is_untouched

CONVOLUTIONS: dict[int, type[nn.Module]] = {1: Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: dict[int, type[nn.Module]] = {1: ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}

Sizes = int | Sequence[int]


def odd_kernel_size(kernel_size: Sequence[int]) -> tuple[int, ...]:
    """The kernel size of the convolutions that must keep the spatial size, beside one of `kernel_size` with a stride.

    An odd kernel stays as it is. An even kernel belongs to a stride of 2; after that, half as many positions cover the
    same area: 4, 6 and 8 become 3, 3 and 5.
    """
    return tuple(k if k % 2 else k // 2 | 1 for k in kernel_size)


def padding_of(kernel_size: Sequence[int]) -> tuple[int, ...]:
    """The padding with which a stride divides the size: n -> ceil(n / stride), for even kernels n -> n / 2."""
    return tuple((k - 1) // 2 for k in kernel_size)


def convolution(
    input_size: int, output_size: int, kernel_size: Sizes, *, stride: Sizes = 1, dims: int, **options: Any
) -> nn.Module:
    """A convolution (N, input_size, *S) -> (N, output_size, *S / stride), without a bias unless `options` has one."""
    kernel_size = check_sizes("kernel_size", kernel_size, dims)
    stride = check_sizes("stride", stride, dims)
    padding = "same" if max(stride) == 1 else padding_of(kernel_size)
    options = {"bias": False} | options
    return CONVOLUTIONS[dims](input_size, output_size, kernel_size, stride, padding, **options)


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


def top_projection(
    top_size: int, output_size: int, kernel_size: Sizes, *, stride: Sizes = 1, dims: int, **options: Any
) -> nn.Module:
    """The convolution from a decoder cell's top to the size of its lateral, transposed for strides above 1."""
    stride = check_sizes("stride", stride, dims)
    if max(stride) == 1:
        return convolution(top_size, output_size, kernel_size, dims=dims, **options)
    kernel_size = check_sizes("kernel_size", kernel_size, dims)
    for k, s in zip(kernel_size, stride, strict=True):
        if k < s:
            raise ValueError(f"kernel_size: got {k}, needs at least the stride {s}")
    return TRANSPOSED[dims](top_size, output_size, kernel_size, stride, padding_of(kernel_size), bias=False, **options)


def check_top(projection: Any, top: Sequence[int], lateral: Sequence[int]) -> None:
    """Checks that a `top_projection` can map the spatial size of a top to that of a lateral."""
    transposed = isinstance(projection, tuple(TRANSPOSED.values()))
    for n, m, s, k in zip(top, lateral, projection.stride, projection.kernel_size, strict=True):
        least = (n - 1) * s - 2 * ((k - 1) // 2) + k if transposed else n
        if not least <= m < least + s:
            raise ValueError(
                f"top: got spatial size {tuple(top)}, which a stride of {tuple(projection.stride)} "
                f"does not take to the {tuple(lateral)} of lateral"
            )


def project_top(projection: Any, top: Tensor, size: torch.Size) -> Tensor:
    """Applies a `top_projection`, or a user's module in its place, and checks that the result has the spatial size."""
    transposed = isinstance(projection, tuple(TRANSPOSED.values()))
    if transposed or isinstance(projection, tuple(CONVOLUTIONS.values())):
        check_top(projection, top.shape[2:], size)
    projected: Tensor = projection(top, output_size=size) if transposed else projection(top)
    if projected.shape[2:] != size:
        got = tuple(projected.shape[2:])
        raise ValueError(f"top: its projection has the spatial size {got}, needs the {tuple(size)} of lateral")
    return projected
