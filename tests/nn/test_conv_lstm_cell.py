"""ConvLSTMCell against its formula, written out."""

import pytest
import torch

from fastladder.nn import ConvLSTMCell
from tests.nn.formulas import LARGE, convolve, gates, halved, normalize
from tests.shuffled import shuffled


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(7)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 1), (3, 2), (4, 2)])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_conv_lstm_cell_follows_its_formula(dims, kernel_size, stride, norm):
    cell = shuffled(ConvLSTMCell(2, 3, kernel_size, stride=stride, norm=norm, feedback_size=5, dims=dims))
    small = LARGE[dims] if stride == 1 else halved(LARGE[dims], kernel_size)
    x, d = torch.randn(2, 2, *LARGE[dims]), torch.randn(2, 5, *small)
    h, c = torch.randn(2, 3, *small), torch.randn(2, 3, *small)
    assert cell.hidden_projection.weight.shape[2:] == cell.feedback_projection.weight.shape[2:] == (3,) * dims
    projections = [
        convolve(x, cell.input_projection.weight, stride=stride),
        convolve(h, cell.hidden_projection.weight),
        convolve(d, cell.feedback_projection.weight),
    ]
    shape = (1, 12) + (1,) * dims
    if norm == "layer":
        gain = cell.preactivation.gain
        projections = [g.view(shape) * normalize(p, norm) for g, p in zip(gain, projections, strict=True)]
    a = sum(projections) + cell.preactivation.bias.view(shape)
    for ours, needed in zip(cell(x, (h, c), d), gates(a, c), strict=True):
        torch.testing.assert_close(ours, needed)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ConvLSTMCell(3, 4, 3, dims=4), ValueError, "dims: got 4"),
        (lambda: ConvLSTMCell(3, 4, (3, 3, 3)), ValueError, r"kernel_size: got \(3, 3, 3\)"),
        (lambda: ConvLSTMCell(3, 4, 3, stride=0), ValueError, "stride: got 0"),
        (lambda: ConvLSTMCell(3, 4, 3)(torch.rand(2, 3, 4)), ValueError, r"input: .* needs \(N, 3, S1, S2\)"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
