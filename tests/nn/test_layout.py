"""Inside their layout, modules return what they return without, in the layout that torch's own modules would."""

import pytest
import torch

import fastladder
from fastladder.nn import ConvLSTM, ConvLSTMCell
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


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("feedback_size", [0, 2])
def test_conv_lstm_cell(feedback_size, dims, norm):
    torch.manual_seed(0)
    cell = ConvLSTMCell(1, 3, 3, dims=dims, norm=norm, feedback_size=feedback_size)
    size = [5, 4, 3][:dims]
    x, h, c, d = (torch.randn(2, channels, *size, requires_grad=True) for channels in (1, 3, 3, 2))
    arguments = (x, (h, c), d if feedback_size else None)
    cotangents = torch.randn(2, 2, 3, *size)

    def gradients(outputs):
        return torch.autograd.grad(outputs, [x, h, c, *cell.parameters()], cotangents.unbind(0))

    outputs = cell(*arguments)
    assert outputs[0].is_contiguous()
    assert has_channels_last_strides(outputs[1])  # so that it worked inside in that layout
    with fastladder.use_backend("reference"):
        expected = cell(*arguments)
    # The convolutions add their products in another order.
    torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradients(outputs), gradients(expected), rtol=1e-3, atol=1e-4)


def test_a_cell_names_a_state_or_feedback_that_does_not_fit():
    cell, x = ConvLSTMCell(1, 3, 3, feedback_size=2), torch.randn(2, 1, 5, 4)
    fitting = torch.randn(2, 3, 5, 4)
    with pytest.raises(ValueError, match=r"state\[0\]: got shape \(3,\)"):
        cell(x, (torch.randn(3), fitting))
    with pytest.raises(TypeError, match="feedback: got str"):
        cell(x, (fitting, fitting), "feedback")


def test_channels_last_stays():
    network = ConvLSTM(2, 3, 3)
    x = torch.randn(3, 2, 2, 5, 4)
    steps = channels_last(x.flatten(0, 1)).unflatten(0, (3, 2))
    assert has_channels_last_strides(network(steps)[0].flatten(0, 1))
