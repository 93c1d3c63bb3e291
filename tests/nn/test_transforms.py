"""Forward-mode derivatives, torch.func and second derivatives of modules and networks, against finite differences."""

import pytest
import torch
from torch.autograd import forward_ad

from fastladder.nn import ConvLSTM
from tests.nn.modules import MODULES, NETWORKS, cast, tensors
from tests.shuffled import shuffled

EVERY = {name: (make, inputs, dict) for name, (make, inputs) in MODULES.items()} | NETWORKS


@pytest.fixture(params=EVERY)
def scalar(request):
    """The module in evaluation and float64, as a function from its first input to a number, and that input."""
    torch.manual_seed(3)
    make, inputs, keywords = EVERY[request.param]
    network = shuffled(make(dtype=torch.float64).eval(), scale=0.1)
    for part in network.modules():
        part.validate = False  # finite differences of binary data are not binary
    first, *rest = cast(inputs(), dtype=torch.float64)
    options = cast(keywords(), dtype=torch.float64)

    def function(x):
        outputs = tensors(network(x, *rest, **options))
        return sum((y.square() * torch.linspace(-1, 1.5, y.numel()).to(y).view_as(y)).sum() for y in outputs)

    return function, first


def central_difference(function, x, direction, step=1e-6):
    return (function(x + step * direction) - function(x - step * direction)) / (2 * step)


def test_derivatives_along_a_direction(scalar):
    function, x = scalar
    direction = torch.randn_like(x)
    true = central_difference(function, x, direction).detach()
    assert true.abs() > 1e-4
    close = {"rtol": 1e-4, "atol": 1e-7}
    torch.testing.assert_close(torch.func.jvp(function, (x,), (direction,))[1].detach(), true, **close)
    with forward_ad.dual_level():
        dual = function(forward_ad.make_dual(x, direction))
        torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent.detach(), true, **close)
    gradient = torch.func.grad(function)(x)
    torch.testing.assert_close((gradient * direction).sum().detach(), true, **close)


def test_second_derivative_along_a_direction(scalar):
    function, x = scalar
    direction = torch.randn_like(x)

    def slope(x):
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(function(x), x, create_graph=True)
        return x, (gradient * direction).sum()

    leaf, value = slope(x)
    (second,) = torch.autograd.grad(value, leaf)
    true = central_difference(lambda x: slope(x)[1], x, direction)
    torch.testing.assert_close((second * direction).sum(), true.detach(), rtol=1e-3, atol=1e-6)
    product = torch.func.jvp(torch.func.grad(function), (x,), (direction,))[1]
    torch.testing.assert_close((product * direction).sum().detach(), true.detach(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    ["LSTMCell", "LSTM", "ConvLSTM", "FastDropoutLinear", "FastDropoutRNN", "ConvG1", "ConvG2", "ConvG3", "RLadder"],
)
def test_per_sample_gradients(name):
    torch.manual_seed(3)
    make, inputs, keywords = EVERY[name]
    network = make().eval()
    parameters = {key: p.detach() for key, p in network.named_parameters()}
    samples = cast([inputs() for _ in range(2)], dtype=torch.float32)

    def cost(parameters, *arguments):
        outputs = tensors(torch.func.functional_call(network, parameters, arguments, keywords()))
        return sum(y.square().sum() for y in outputs)

    stacked = torch.utils._pytree.tree_map(lambda *each: torch.stack(each), *samples)
    at_once = torch.vmap(torch.func.grad(cost), in_dims=(None, *[0] * len(stacked)))(parameters, *stacked)
    one_by_one = [torch.func.grad(cost)(parameters, *sample) for sample in samples]
    for key in parameters:
        torch.testing.assert_close(
            at_once[key],
            torch.stack([each[key] for each in one_by_one]),
            rtol=1e-3,
            atol=1e-4,
            msg=lambda t, k=key: f"{k}: {t}",
        )


def test_jacobians_at_once_are_those_one_by_one():
    torch.manual_seed(3)
    network, x = ConvLSTM(1, 2, 3).double(), torch.randn(2, 1, 1, 3, 3, dtype=torch.float64)
    one_by_one = torch.autograd.functional.jacobian(lambda x: network(x)[0], x)
    assert one_by_one.abs().max() > 0.01
    at_once = torch.autograd.functional.jacobian(lambda x: network(x)[0], x, vectorize=True)
    torch.testing.assert_close(at_once, one_by_one)
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(transform(lambda x: network(x)[0])(x).detach(), one_by_one)
