"""The popular ConvLSTM computes what ours computes."""

import torch

from bench.popular import PopularConvLSTM
from fastladder.nn import ConvLSTM


def test_as_ours_with_the_same_weights():
    torch.manual_seed(0)
    popular, ours = PopularConvLSTM(2, 3, 3, 2), ConvLSTM(2, 3, 3, 2)
    with torch.no_grad():
        for cell, own in zip(popular.cells, (ours.l0, ours.l1), strict=True):
            own.input_projection.weight.copy_(in_our_order(cell.convolution.weight)[:, : -cell.hidden_size])
            own.hidden_projection.weight.copy_(in_our_order(cell.convolution.weight)[:, -cell.hidden_size :])
            own.preactivation.bias.copy_(in_our_order(cell.convolution.bias))
    x = torch.rand(4, 2, 2, 7, 5)
    output, state = popular(x)
    torch.testing.assert_close((output, state), ours(x))


def in_our_order(gates):
    """Gates i, f, o, g become i, f, g, o."""
    i, f, o, g = gates.chunk(4)
    return torch.cat([i, f, g, o])
