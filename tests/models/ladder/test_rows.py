"""The rows of a Ladder network: convolutions and pools, and their inverses."""

import pytest
import torch
from torch.nn import functional

from fastladder.models import LadderNetwork
from fastladder.models.ladder import AvgPool, Conv, Dense, MaxPool
from tests.models.ladder.written_out import CONV, EPS, combine
from tests.shuffled import shuffled


@pytest.mark.parametrize("size", [(7,), (7, 8), (8, 9), (5, 6, 7)])
@pytest.mark.parametrize(
    "row",
    [
        Conv(3, 3),
        Conv(3, 4, "full"),
        Conv(3, 3, stride=2),
        Conv(3, 3, "full", stride=3),
        MaxPool(2),
        AvgPool(3),
        Dense(4),
    ],
)
def test_an_inverse_has_the_shape_of_the_input(size, row):
    x = torch.randn(2, 2, *size)
    above = row.build(x.shape[1:])(x)
    assert above.shape[1:] == row.output_shape(x.shape[1:])
    assert row.build_inverse(x.shape[1:])(above).shape == x.shape


def test_an_inverse_convolution_is_the_transpose():
    """<W x, y> = <x, W' y> where both have the same weights."""
    for row in (Conv(3, 4, "full", stride=2), Conv(3, 4)):
        x = torch.randn(2, 2, 9, 8, dtype=torch.float64)
        up, down = row.build((2, 9, 8), dtype=x.dtype), row.build_inverse((2, 9, 8), dtype=x.dtype)
        down.load_state_dict(up.state_dict())
        y = torch.randn_like(up(x))
        torch.testing.assert_close((up(x) * y).sum(), (x * down(y)).sum())


def test_the_last_window_of_a_pool_may_be_smaller_and_inverses_copy():
    x = torch.tensor([[[1.0, 3.0, 2.0, 6.0, 4.0]]])
    for row, pooled, copied in (
        (MaxPool(2), [3, 6, 4], [3, 3, 6, 6, 4]),
        (AvgPool(2), [2, 4, 4], [2, 2, 4, 4, 4]),
    ):
        above = row.build((1, 5))(x)
        assert above.flatten().tolist() == pooled
        assert row.build_inverse((1, 5))(above).flatten().tolist() == copied


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_convolutions_written_out(norm):
    """A convolution and a pool below a softmax: laterals of maps are normalised and combined per channel."""
    rows = (Conv(3, 2), AvgPool(4))
    network = shuffled(LadderNetwork((2, 5, 5), rows, norm=norm, dtype=torch.float64))
    x = torch.randn(4, 2, 5, 5, dtype=torch.float64)
    dims = (1, 2, 3) if norm == "layer" else (0, 2, 3)

    def normalized(p):
        return (p - p.mean(dims, keepdim=True)) / (p.var(dims, correction=0, keepdim=True) + EPS).sqrt()

    def combined(number, lateral, u):
        return combine(network.combinators[number].weight[..., None, None], lateral, normalized(u))

    first, second = network.encoder
    z1 = normalized(functional.conv2d(x, first.projection.convolution.weight))
    h1 = (z1 + first.bias[:, None, None]).relu()
    z2 = normalized(h1.mean((2, 3), keepdim=True))
    logits = second.gain[:, None, None] * (z2 + second.bias[:, None, None])
    e2 = combined(2, z2, logits.softmax(1))
    e1 = combined(1, z1, e2.expand(-1, -1, 4, 4))
    needed = combined(0, x, functional.conv_transpose2d(e1, network.inverses[0].convolution.weight))
    output = network.reconstruct(x)
    torch.testing.assert_close(output.reconstruction, needed)
    torch.testing.assert_close(output.logits, logits[..., 0, 0])


def test_a_convolutional_network_learns_in_every_parameter():
    network = shuffled(LadderNetwork((2, 7, 8), CONV, activation="leaky_relu"))
    x = torch.randn(6, 2, 7, 8)
    network.costs(x, torch.arange(6) % 4, x, 1.0).total.backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert network.eval()(x[:1]).shape == (1, 5)
