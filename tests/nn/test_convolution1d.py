"""Convolutions of one dimension in channels_last are those of torch."""

import pytest
import torch
from torch import nn

from fastladder.nn.convolution1d import Conv1d, ConvTranspose1d, arranging_once
from fastladder.nn.layout import channels_last

CASES = [(3, 1, 1), (3, 2, 1), (5, 2, 2), (4, 2, 1), (3, 1, 0), (8, 3, 3)]  # kernel size, stride, padding


def pair(ours, torchs, *sizes, **options):
    torch.manual_seed(0)
    a, b = ours(3, 5, *sizes, **options).double(), torchs(3, 5, *sizes, **options).double()
    b.load_state_dict(a.state_dict())
    return a, b, torch.randn(2, 3, 9, dtype=torch.float64)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("sizes", [*CASES, (5, 1, "same")])
def test_convolution(sizes, bias):
    ours, expected, x = pair(Conv1d, nn.Conv1d, *sizes, bias=bias)
    torch.testing.assert_close(ours(channels_last(x)), expected(x))


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("sizes", CASES)
def test_transposed_convolution(sizes, more):
    ours, expected, x = pair(ConvTranspose1d, nn.ConvTranspose1d, *sizes)
    size = [expected(x).shape[-1] + (more if sizes[1] > 1 else 0)]
    torch.testing.assert_close(ours(channels_last(x), size), expected(x, size))


@pytest.mark.parametrize("kind", [Conv1d, ConvTranspose1d])
@pytest.mark.parametrize("sizes", CASES)
def test_gradients(kind, sizes):
    torch.manual_seed(1)
    module = kind(2, 3, *sizes).double()
    x = channels_last(torch.randn(2, 2, 9, dtype=torch.float64)).requires_grad_()

    def call(x, *parameters):
        return torch.func.functional_call(module, dict(zip(("weight", "bias"), parameters, strict=True)), (x,))

    inputs = (x, module.weight, module.bias)
    assert torch.autograd.gradcheck(call, inputs)
    assert torch.autograd.gradgradcheck(call, inputs)


def test_transforms_take_channels_last():
    ours, expected, x = pair(Conv1d, nn.Conv1d, 3, 1, 1)
    total = lambda module: torch.func.grad(lambda x: module(x).square().sum())  # noqa: E731
    torch.testing.assert_close(total(ours)(channels_last(x)), total(expected)(x))


def test_weights_that_are_arranged_once_get_gradients_after_a_part_without():
    ours, expected, x = pair(Conv1d, nn.Conv1d, 3, 1, 1)
    with arranging_once(ours):
        with torch.no_grad():
            first = ours(channels_last(x))
        (ours(channels_last(x)) * first).sum().backward()
    (expected(x) * first).sum().backward()
    torch.testing.assert_close(ours.weight.grad, expected.weight.grad)
