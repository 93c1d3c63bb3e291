"""Derivatives of every kind, and the transforms of torch.func, agree with the reference for every operator.

`Row.call` with `where=reference` is plain PyTorch, whose own derivatives are the expected values.
"""

import pytest
import torch
from torch.autograd import forward_ad

from fastladder import reference
from tests.ops.contract import COMPOSITE_ROWS, ROWS

every_row = pytest.mark.parametrize("row", ROWS + COMPOSITE_ROWS, ids=lambda row: row.name)
pytestmark = pytest.mark.usefixtures("fused")


@pytest.fixture
def inputs(row, device):
    return tuple(row.inputs((2, 2, 3), device=device))


def like(tensors, seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(x.shape, generator=generator).to(x) for x in tensors)


def functions(row):
    """The operator and its reference, as functions from tensors to a tuple of tensors."""
    return lambda *x: tuple(row.call(*x)), lambda *x: tuple(row.call(*x, where=reference))


def weighted(function):
    """The function's outputs summed up with weights that differ from element to element."""
    return lambda *x: sum((y * torch.linspace(-1, 1, y.numel()).to(y).view_as(y)).sum() for y in function(*x))


def close(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@every_row
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning")  # torch.func.linearize's own
def test_forward_mode(row, inputs):
    operator, plain = functions(row)
    tangents = like(inputs, 1)
    expected = torch.func.jvp(plain, inputs, tangents)
    assert any(tangent.abs().max() > 0.01 for tangent in expected[1])
    close(torch.func.jvp(operator, inputs, tangents), expected)
    _, linear = torch.func.linearize(operator, *inputs)
    close(linear(*tangents), expected[1])
    with forward_ad.dual_level():
        duals = operator(*map(forward_ad.make_dual, inputs, tangents))
        close(tuple(forward_ad.unpack_dual(y).tangent for y in duals), expected[1])


@every_row
def test_gradients_of_torch_func(row, inputs):
    operator, plain = functions(row)
    every = tuple(range(len(inputs)))
    expected = torch.autograd.functional.jacobian(plain, inputs)
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        close(transform(operator, every)(*inputs), expected)
    for transform in (torch.func.grad, torch.func.hessian):
        close(transform(weighted(operator), every)(*inputs), transform(weighted(plain), every)(*inputs))


@every_row
def test_vmap_and_per_sample_gradients(row, inputs):
    operator, plain = functions(row)
    batches = tuple(torch.stack([x, 0.5 * x, x]) for x in inputs)
    close(torch.vmap(operator)(*batches), torch.vmap(plain)(*batches))
    gradients = torch.vmap(torch.func.grad(weighted(operator)))
    close(gradients(*batches), torch.vmap(torch.func.grad(weighted(plain)))(*batches))


@every_row
def test_batches_of_gradients(row, inputs):
    operator, plain = functions(row)
    leaves = [x.requires_grad_() for x in inputs]
    outputs, expected = operator(*leaves), plain(*leaves)
    cotangents = [torch.stack([x, -2 * x]) for x in like(outputs, 1)]
    for got, true in ((outputs, expected), (outputs[-1:], expected[-1:])):
        weights = cotangents[-len(got) :]
        batched = torch.autograd.grad(got, leaves, weights, retain_graph=True, is_grads_batched=True, allow_unused=True)
        truth = torch.autograd.grad(true, leaves, [w[0] for w in weights], retain_graph=True, allow_unused=True)
        for several, one in zip(batched, truth, strict=True):
            if several is None:
                assert one is None or not one.any()
            else:
                one = torch.zeros_like(several[0]) if one is None else one
                close(several, torch.stack([one, -2 * one]))


@every_row
def test_second_derivative(row, inputs):
    operator, plain = functions(row)
    leaves = [x.requires_grad_() for x in inputs]
    seconds = []
    for function in (operator, plain):
        outputs = function(*leaves)
        first = torch.autograd.grad(outputs, leaves, like(outputs, 1), create_graph=True)
        second = torch.autograd.grad(first, leaves, like(first, 2), allow_unused=True)
        seconds.append([torch.zeros_like(x) if g is None else g for g, x in zip(second, leaves, strict=True)])
    close(*seconds)


@every_row
def test_second_derivative_where_arguments_depend_on_each_other(row, inputs):
    """An argument from which another one is computed gets the gradients through both, once each."""
    operator, plain = functions(row)

    def chained(function):
        return weighted(lambda x, *rest: function(x, *(r + x.mean() * 0.01 for r in rest)))

    close(
        torch.autograd.functional.hessian(chained(operator), inputs),
        torch.autograd.functional.hessian(chained(plain), inputs),
    )


@every_row
def test_gradcheck_of_every_kind(row, has_float64):
    if not has_float64:
        pytest.skip("float64 is for the CPU kernels and the reference")
    leaves = [x.requires_grad_() for x in row.inputs((2, 1, 2), dtype=torch.float64)]
    torch.autograd.gradcheck(row.call, leaves, check_forward_ad=True, check_batched_grad=True, fast_mode=True)
    torch.autograd.gradgradcheck(row.call, leaves, check_fwd_over_rev=True, fast_mode=True)
