"""Inside their layout, modules return what they return without, in the layout that torch's own modules would."""

import pytest
import torch

import fastladder
from fastladder.nn import ConvLSTM
from fastladder.nn.layout import channels_last, has_channels_last_strides


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 3, 16])
def test_conv_lstm(channels, dims, norm):
    torch.manual_seed(0)
    network = ConvLSTM(1, channels, 3, 2, dims=dims, norm=norm)
    x = torch.randn(3, 2, 1, *[5, 4, 3][:dims])
    output, state = network(x)
    assert all(tensor.is_contiguous() for tensor in (output, *state))
    with fastladder.use_backend("reference"):
        expected, expected_state = network(x)
    # The convolutions add their products in another order.
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(state, expected_state, rtol=1e-4, atol=1e-5)


def test_channels_last_stays():
    network = ConvLSTM(2, 3, 3)
    x = torch.randn(3, 2, 2, 5, 4)
    steps = channels_last(x.flatten(0, 1)).unflatten(0, (3, 2))
    assert has_channels_last_strides(network(steps)[0].flatten(0, 1))
