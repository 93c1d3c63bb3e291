"""LSTMCell against its formula, and what it shares with ConvLSTMCell."""

import pytest
import torch

from fastladder.nn import LSTM, ConvLSTM, ConvLSTMCell, LSTMCell
from tests.nn.formulas import gates, normalize
from tests.shuffled import shuffled


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(7)


@pytest.mark.parametrize("bias", [True, False])
def test_lstm_cell_computes_what_torch_computes(bias):
    theirs = torch.nn.LSTMCell(5, 6, bias=bias)
    ours = LSTMCell(5, 6, bias=bias)
    with torch.no_grad():
        ours.input_projection.weight.copy_(theirs.weight_ih)
        ours.hidden_projection.weight.copy_(theirs.weight_hh)
        if bias:
            ours.preactivation.bias.copy_(theirs.bias_ih + theirs.bias_hh)
    x, state = torch.randn(3, 5), (torch.randn(3, 6), torch.randn(3, 6))
    for given in (state, None):
        for a, b in zip(ours(x, given), theirs(x, given), strict=True):
            torch.testing.assert_close(a, b)


def test_lstm_cell_with_layer_norm_and_feedback():
    cell = shuffled(LSTMCell(5, 6, norm="layer", feedback_size=4))
    x, h, c, d = torch.randn(3, 5), torch.randn(3, 6), torch.randn(3, 6), torch.randn(3, 4)
    gain, bias = cell.preactivation.gain, cell.preactivation.bias
    weights = [p.weight for p in (cell.input_projection, cell.hidden_projection, cell.feedback_projection)]
    a = bias + sum(g * normalize(y @ w.t(), "layer") for g, y, w in zip(gain, (x, h, d), weights, strict=True))
    for ours, needed in zip(cell(x, (h, c), d), gates(a, c), strict=True):
        torch.testing.assert_close(ours, needed)


@pytest.mark.parametrize("make", [
    lambda norm: LSTMCell(3, 4, norm=norm, feedback_size=2, steps=2),
    lambda norm: ConvLSTMCell(3, 4, 3, dims=1, norm=norm, feedback_size=2, steps=2),
])  # fmt: skip
@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("missing", ["state", "feedback", "both"])
def test_what_is_missing_is_zero(make, norm, training, missing):
    cell = shuffled(make(norm)).train(training)
    spatial = (5,) * cell.dims
    x, d = torch.randn(3, 3, *spatial), torch.randn(3, 2, *spatial)
    h, c = torch.randn(3, 4, *spatial), torch.randn(3, 4, *spatial)
    if norm == "batch" and not training:
        cell.preactivation.running_mean.normal_()
        cell.preactivation.running_var.uniform_(0.5, 2)
    if missing == "state":
        given, absent = ((torch.zeros_like(h), torch.zeros_like(c)), d), (None, d)
    elif missing == "feedback":
        given, absent = ((h, c), torch.zeros_like(d)), ((h, c), None)
    else:
        given, absent = ((torch.zeros_like(h), torch.zeros_like(c)), torch.zeros_like(d)), (None, None)
    for a, b in zip(cell(x, *given), cell(x, *absent), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_initial_parameters():
    for cell in (LSTMCell(5, 6, norm="layer", forget_bias=1.5), ConvLSTMCell(5, 6, 3, norm="layer", forget_bias=1.5)):
        for _ in range(2):
            bias = cell.preactivation.bias
            assert bias[6:12].eq(1.5).all()
            assert bias[:6].eq(0).all()
            assert bias[12:].eq(0).all()
            assert cell.preactivation.gain.eq(1).all()
            cell.reset_parameters()
    gains = dict(norm="layer", feedback_size=2, hidden_gain=0.1, feedback_gain=0.5)
    for cell in (LSTMCell(5, 6, **gains), ConvLSTMCell(5, 6, 3, **gains)):
        needed = torch.tensor([1, 0.1, 0.5])[:, None].expand(3, 24)
        torch.testing.assert_close(cell.preactivation.gain.data, needed)
    for network in (LSTM(5, 6, 2, norm="layer", hidden_gain=0.1), ConvLSTM(5, 6, 3, 2, norm="batch", hidden_gain=0.1)):
        for cell in (network.l0, network.l1):
            torch.testing.assert_close(cell.preactivation.gain[:, 0], torch.tensor([1, 0.1]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: LSTMCell(0, 4), ValueError, "input_size: got 0"),
        (lambda: LSTMCell(3, 4.0), TypeError, "hidden_size: got 4.0"),
        (lambda: LSTMCell(3, 4, feedback_size=-1), ValueError, "feedback_size: got -1"),
        (lambda: LSTMCell(3, 4, norm="group"), ValueError, "norm: got 'group'"),
        (lambda: LSTMCell(3, 4, norm="batch", steps=0), ValueError, "steps: got 0"),
        (lambda: LSTMCell(3, 4, hidden_gain=0.1), ValueError, "hidden_gain: got 0.1, needs 1 with norm 'none'"),
        (lambda: LSTMCell(3, 4, norm="layer", feedback_gain=0.1), ValueError, "feedback_gain: got 0.1, needs 1 where"),
        (lambda: LSTMCell(3, 4)(torch.rand(2, 5)), ValueError, r"input: got shape \(2, 5\), needs \(N, 3\)"),
        (lambda: LSTMCell(3, 4)([1.0]), TypeError, "input: got list"),
        (
            lambda: LSTMCell(3, 4)(torch.rand(2, 3).double()),
            TypeError,
            "input: got dtype torch.float64, needs torch.float32",
        ),
        (lambda: LSTMCell(3, 4)(torch.rand(2, 3, device="meta")), ValueError, "input: got device meta, needs cpu"),
        (lambda: LSTMCell(3, 4)(torch.rand(2, 3), (torch.rand(2, 5),) * 2), ValueError, r"state\[0\]: got shape"),
        (
            lambda: LSTMCell(3, 4)(torch.rand(2, 3), (torch.rand(2, 4), torch.rand(2, 5))),
            ValueError,
            r"state\[1\]: got",
        ),
        (lambda: LSTMCell(3, 4)(torch.rand(2, 3), torch.rand(2, 4)), TypeError, "state: got Tensor, needs hidden and"),
        (lambda: LSTMCell(3, 4)(torch.rand(2, 3), (torch.rand(2, 4),) * 3), ValueError, "state: got 3 parts"),
        (
            lambda: LSTMCell(3, 4)(torch.rand(2, 3), (torch.rand(1, 4), torch.rand(2, 4))),
            ValueError,
            r"state\[0\]: got shape \(1, 4\), needs \(2, 4\)",
        ),
        (lambda: LSTMCell(3, 4)(torch.rand(2, 3), None, torch.rand(2, 4)), ValueError, "feedback: got a tensor"),
        (
            lambda: LSTMCell(3, 4, feedback_size=2)(torch.rand(2, 3), None, torch.rand(2, 4)),
            ValueError,
            "feedback: got",
        ),
        (lambda: LSTMCell(3, 4, norm="batch", steps=2)(torch.rand(2, 3), step=-1), ValueError, "step: got -1"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
