"""ConvGRUCell against its formula, written out, and `torch.nn.GRUCell`."""

import pytest
import torch

from fastladder.nn import ConvGRUCell
from tests.nn.formulas import convolve


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(7)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_conv_gru_cell_on_one_position_is_torch_gru_cell(dims):
    theirs, ours = torch.nn.GRUCell(5, 6), ConvGRUCell(5, 6, 1, dims=dims)
    with torch.no_grad():
        for name, mine in (("ih", ours.input_projection), ("hh", ours.hidden_projection)):
            weight = getattr(theirs, f"weight_{name}")
            mine.weight.copy_(weight.view(*weight.shape, *[1] * dims))
            mine.bias.copy_(getattr(theirs, f"bias_{name}"))
    x, h = torch.randn(3, 5), torch.randn(3, 6)
    one = [1] * dims
    torch.testing.assert_close(ours(x.view(3, 5, *one), h.view(3, 6, *one)).flatten(1), theirs(x, h))
    torch.testing.assert_close(ours(x.view(3, 5, *one)).flatten(1), theirs(x))


def test_conv_gru_cell_with_stride():
    cell = ConvGRUCell(2, 3, 4, stride=2)
    x, h = torch.randn(2, 2, 8, 6), torch.randn(2, 3, 4, 3)
    p = convolve(x, cell.input_projection.weight, stride=2) + cell.input_projection.bias.view(1, -1, 1, 1)
    q = convolve(h, cell.hidden_projection.weight) + cell.hidden_projection.bias.view(1, -1, 1, 1)
    r, z = (p[:, :3] + q[:, :3]).sigmoid(), (p[:, 3:6] + q[:, 3:6]).sigmoid()
    n = (p[:, 6:] + r * q[:, 6:]).tanh()
    torch.testing.assert_close(cell(x, h), (1 - z) * n + z * h)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ConvGRUCell(3, 4, 3)(torch.rand(2, 3, 4, 4), torch.rand(2, 4, 3, 4)), ValueError, "state: got shape"),
        (
            lambda: ConvGRUCell(3, 4, 3)(torch.rand(2, 3, 5, 5), torch.rand(3, 4, 5, 5)),
            ValueError,
            r"state: got shape \(3, 4, 5, 5\), needs \(2, 4, 5, 5\)",
        ),
        (lambda: ConvGRUCell(3, 4, 3)(torch.rand(2, 3, 5, 5), (1, 2)), TypeError, "state: got tuple, needs a tensor"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
