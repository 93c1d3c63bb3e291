"""LSTMCell, ConvLSTMCell and ConvGRUCell."""

import pytest
import torch
from torch.nn import functional

from fastladder.nn import ConvGRUCell, ConvLSTMCell, LSTMCell
from tests.shuffled import shuffled

SPATIAL = {1: (7,), 2: (6, 5), 3: (4, 3, 5)}


def convolve(x, weight, stride=1):
    """A convolution with the padding that the modules promise, by its definition rather than by name."""
    dims = x.dim() - 2
    convolution = (functional.conv1d, functional.conv2d, functional.conv3d)[dims - 1]
    return convolution(x, weight, stride=stride, padding=[(k - 1) // 2 for k in weight.shape[2:]])


def layer_norm(p):
    return functional.layer_norm(p, p.shape[1:])


def gates(a, cell):
    i, f, g, o = a.chunk(4, dim=1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


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
    a = bias + sum(g * layer_norm(y @ w.t()) for g, y, w in zip(gain, (x, h, d), weights, strict=True))
    for ours, needed in zip(cell(x, (h, c), d), gates(a, c), strict=True):
        torch.testing.assert_close(ours, needed)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 1), (3, 2), (4, 2)])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_conv_lstm_cell_follows_its_formula(dims, kernel_size, stride, norm):
    cell = shuffled(ConvLSTMCell(2, 3, kernel_size, stride=stride, norm=norm, feedback_size=5, dims=dims))
    small = (
        tuple((n - 1) // 2 + 1 if kernel_size % 2 else n // 2 for n in SPATIAL[dims]) if stride == 2 else SPATIAL[dims]
    )
    x, d = torch.randn(2, 2, *SPATIAL[dims]), torch.randn(2, 5, *small)
    h, c = torch.randn(2, 3, *small), torch.randn(2, 3, *small)
    assert cell.hidden_projection.weight.shape[2:] == cell.feedback_projection.weight.shape[2:] == (3,) * dims
    projections = [
        convolve(x, cell.input_projection.weight, stride),
        convolve(h, cell.hidden_projection.weight),
        convolve(d, cell.feedback_projection.weight),
    ]
    shape = (1, 12) + (1,) * dims
    if norm == "layer":
        gain = cell.preactivation.gain
        projections = [g.view(shape) * layer_norm(p) for g, p in zip(gain, projections, strict=True)]
    a = sum(projections) + cell.preactivation.bias.view(shape)
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


def test_missing_state_updates_running_statistics_as_zeros_do():
    cells = [ConvLSTMCell(3, 4, 3, norm="batch") for _ in range(2)]
    cells[1].load_state_dict(cells[0].state_dict())
    x, zeros = torch.randn(3, 3, 5, 5), torch.zeros(3, 4, 5, 5)
    cells[0](x, (zeros, zeros))
    cells[1](x)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(*(getattr(cell.preactivation, name) for cell in cells))
    assert cells[1].preactivation.running_var[0, 1].eq(0.9).all()


def test_batch_norm_trains_on_the_batch_and_evaluates_on_its_step():
    cell = shuffled(ConvLSTMCell(2, 3, 3, norm="batch", dims=1, steps=2))
    cell.preactivation.momentum = 1.0  # running statistics are those of the last batch
    batches = [torch.randn(64, 2, 9) * scale + scale for scale in (1, 3)]
    h, c = torch.randn(64, 3, 9), torch.randn(64, 3, 9)
    trained = [cell(x, (h, c), step=step)[0] for step, x in enumerate(batches)]
    cell.eval()
    for step in (0, 1):
        torch.testing.assert_close(cell(batches[step], (h, c), step=step)[0], trained[step], rtol=0, atol=0.01)
    torch.testing.assert_close(cell(batches[1], (h, c), step=5)[0], trained[1], rtol=0, atol=0.01)  # as the last step
    assert (cell(batches[1], (h, c), step=0)[0] - trained[1]).abs().max() > 0.1


def test_initial_parameters():
    for cell in (LSTMCell(5, 6, norm="layer", forget_bias=1.5), ConvLSTMCell(5, 6, 3, norm="layer", forget_bias=1.5)):
        for _ in range(2):
            bias = cell.preactivation.bias
            assert bias[6:12].eq(1.5).all()
            assert bias[:6].eq(0).all()
            assert bias[12:].eq(0).all()
            assert cell.preactivation.gain.eq(1).all()
            cell.reset_parameters()


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
    p = convolve(x, cell.input_projection.weight, 2) + cell.input_projection.bias.view(1, -1, 1, 1)
    q = convolve(h, cell.hidden_projection.weight) + cell.hidden_projection.bias.view(1, -1, 1, 1)
    r, z = (p[:, :3] + q[:, :3]).sigmoid(), (p[:, 3:6] + q[:, 3:6]).sigmoid()
    n = (p[:, 6:] + r * q[:, 6:]).tanh()
    torch.testing.assert_close(cell(x, h), (1 - z) * n + z * h)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: LSTMCell(0, 4), ValueError, "input_size: got 0"),
        (lambda: LSTMCell(3, 4.0), TypeError, "hidden_size: got 4.0"),
        (lambda: LSTMCell(3, 4, feedback_size=-1), ValueError, "feedback_size: got -1"),
        (lambda: LSTMCell(3, 4, norm="group"), ValueError, "norm: got 'group'"),
        (lambda: LSTMCell(3, 4, norm="batch", steps=0), ValueError, "steps: got 0"),
        (lambda: ConvLSTMCell(3, 4, 3, dims=4), ValueError, "dims: got 4"),
        (lambda: ConvLSTMCell(3, 4, (3, 3, 3)), ValueError, r"kernel_size: got \(3, 3, 3\)"),
        (lambda: ConvLSTMCell(3, 4, 3, stride=0), ValueError, "stride: got 0"),
        (lambda: ConvGRUCell(3, 4, 3)(torch.rand(2, 3, 4, 4), torch.rand(2, 4, 3, 4)), ValueError, "state: got shape"),
        (lambda: LSTMCell(3, 4)(torch.rand(2, 5)), ValueError, r"input: got shape \(2, 5\), needs \(N, 3\)"),
        (lambda: LSTMCell(3, 4)([1.0]), TypeError, "input: got list"),
        (
            lambda: LSTMCell(3, 4)(torch.rand(2, 3).double()),
            TypeError,
            "input: got dtype torch.float64, needs torch.float32",
        ),
        (lambda: LSTMCell(3, 4)(torch.rand(2, 3, device="meta")), ValueError, "input: got device meta, needs cpu"),
        (lambda: ConvLSTMCell(3, 4, 3)(torch.rand(2, 3, 4)), ValueError, r"input: .* needs \(N, 3, S1, S2\)"),
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
        (
            lambda: ConvGRUCell(3, 4, 3)(torch.rand(2, 3, 5, 5), torch.rand(3, 4, 5, 5)),
            ValueError,
            r"state: got shape \(3, 4, 5, 5\), needs \(2, 4, 5, 5\)",
        ),
        (lambda: ConvGRUCell(3, 4, 3)(torch.rand(2, 3, 5, 5), (1, 2)), TypeError, "state: got tuple, needs a tensor"),
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
