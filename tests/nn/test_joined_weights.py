"""LSTM cells take over the weights of cells that project input and hidden state together."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from fastladder.nn import ConvLSTM, ConvLSTMCell, LSTMCell
from tests.nn.formulas import convolve

HIDDEN = 3
SIZES = {0: (), 1: (7,), 2: (6, 5), 3: (4, 3, 5)}  # spatial sizes by their number


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(5)


def make_cell(dims, input_size=2, **options):
    """A cell with convolutions in `dims` dimensions, or a dense cell for 0."""
    options = {"dtype": torch.float64} | options
    if dims == 0:
        return LSTMCell(input_size, HIDDEN, **options)
    return ConvLSTMCell(input_size, HIDDEN, 3, dims=dims, **options)


def random_weights(dims, input_size=2):
    """The weight and the bias of a cell that projects input and hidden state together."""
    weight = torch.randn(4 * HIDDEN, input_size + HIDDEN, *[3] * dims, dtype=torch.float64) / 4
    return weight.requires_grad_(), torch.randn(4 * HIDDEN, dtype=torch.float64, requires_grad=True)


def joined_step(x, state, weight, bias, gates):
    """One step of such a cell. Gates lie in the order `gates`."""
    hidden, cell = state
    project = nn.functional.linear if x.dim() == 2 else convolve
    parts = project(torch.cat([x, hidden], dim=1), weight, bias).split(HIDDEN, dim=1)
    i, f, g, o = (parts[gates.index(gate)] for gate in "ifgo")
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def random_state(dims):
    return tuple(torch.randn(2, HIDDEN, *SIZES[dims], dtype=torch.float64) for _ in range(2))


def random_input(dims):
    return torch.randn(2, 2, *SIZES[dims], dtype=torch.float64)


@pytest.mark.parametrize("gates", ["ifgo", "ifog", "fiog", "gofi", "oigf"])
@pytest.mark.parametrize("dims", [0, 1, 2, 3])
def test_a_cell_computes_what_the_joined_weights_do(gates, dims):
    weight, bias = random_weights(dims)
    cell = make_cell(dims)
    assert cell.load_joined_weights(weight, bias, gates=gates) is None
    x, state = random_input(dims), random_state(dims)
    leaves = [t.requires_grad_() for t in (x, *state)]
    ours, theirs = cell(x, state), joined_step(x, state, weight, bias, gates)
    torch.testing.assert_close(ours, theirs)
    cotangents = [torch.randn_like(y) for y in theirs]
    own = [cell.input_projection.weight, cell.hidden_projection.weight, cell.preactivation.bias]
    of_ours = torch.autograd.grad(ours, leaves + own, cotangents)
    of_theirs = torch.autograd.grad(theirs, [*leaves, weight, bias], cotangents)
    torch.testing.assert_close(of_ours[:3], of_theirs[:3])
    quarters = [gates.index(gate) for gate in "ifgo"]
    of_weight, of_bias = (t.unflatten(0, (4, HIDDEN))[quarters].flatten(0, 1) for t in of_theirs[3:])
    torch.testing.assert_close(torch.cat(of_ours[3:5], dim=1), of_weight)
    torch.testing.assert_close(of_ours[5], of_bias)


def test_every_layer_of_a_conv_lstm():
    network = ConvLSTM(2, HIDDEN, 3, 2, dtype=torch.float64)
    layers = [random_weights(2), random_weights(2, HIDDEN)]
    for cell, (weight, bias) in zip(network.children(), layers, strict=True):
        cell.load_joined_weights(weight, bias, gates="ifog")
    frames = torch.randn(3, 2, 2, 6, 5, dtype=torch.float64)
    output, finals = frames, []
    for weight, bias in layers:
        state = (torch.zeros(2, HIDDEN, 6, 5, dtype=torch.float64),) * 2
        hidden = []
        for frame in output:
            state = joined_step(frame, state, weight, bias, "ifog")
            hidden.append(state[0])
        output = torch.stack(hidden)
        finals.append(state)
    hidden, cell = (torch.stack(parts) for parts in zip(*finals, strict=True))
    torch.testing.assert_close(network(frames), (output, (hidden, cell)))


def test_a_cell_of_torch():
    theirs, ours = nn.LSTMCell(2, HIDDEN), make_cell(0, dtype=torch.float32)
    weight = torch.cat([theirs.weight_ih, theirs.weight_hh], dim=1)
    ours.load_joined_weights(weight, theirs.bias_ih + theirs.bias_hh, gates="ifgo")
    x, state = torch.randn(2, 2), (torch.randn(2, HIDDEN), torch.randn(2, HIDDEN))
    torch.testing.assert_close(ours(x, state), theirs(x, state))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dims", [0, 2])
def test_a_missing_bias_is_zero_also_that_of_forget_gates(bias, dims):
    cell, (weight, _) = make_cell(dims, bias=bias, forget_bias=2.0), random_weights(dims)
    cell.load_joined_weights(weight, gates="ifog")
    x, state = random_input(dims), random_state(dims)
    torch.testing.assert_close(cell(x, state), joined_step(x, state, weight, None, "ifog"))


def test_parameters_stay_what_they_are_but_for_their_values():
    cell = make_cell(2, dtype=torch.float32).to(memory_format=torch.channels_last)
    before = list(cell.parameters())
    weight, bias = random_weights(2)
    cell.load_joined_weights(weight, bias, gates="fiog")
    assert all(a is b for a, b in zip(cell.parameters(), before, strict=True))
    assert all(p.requires_grad and p.grad_fn is None and p.dtype == torch.float32 for p in before)
    assert cell.input_projection.weight.is_contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        weight.zero_()
    assert cell.input_projection.weight.abs().min() > 0


def changed(change):
    cell = make_cell(2)
    change(cell)
    return cell


W, B = torch.zeros(12, 5, 3, 3), torch.zeros(12)


@pytest.mark.parametrize(
    ("cell", "arguments", "error", "message"),
    [
        (lambda: make_cell(2), (W, B, "ifoo"), ValueError, "gates: got 'ifoo', needs the letters i, f, g and o"),
        (lambda: make_cell(2), (W, B, "ifogg"), ValueError, "gates: got 'ifogg'"),
        (lambda: make_cell(2), (W, B, None), ValueError, "gates: got None"),
        (lambda: make_cell(2), (W.tolist(), B, "ifog"), TypeError, "weight: got list, needs a tensor"),
        (
            lambda: make_cell(2),
            (W[:, :4], B, "ifog"),
            ValueError,
            r"weight: got shape \(12, 4, 3, 3\), needs \(12, 5, 3, 3\)",
        ),
        (lambda: make_cell(2), (W[0], B, "ifog"), ValueError, r"weight: got shape .* needs \(12, 5, 3, 3\)"),
        (lambda: make_cell(0), (W, B, "ifog"), ValueError, r"weight: got shape .* needs \(12, 5\)"),
        (lambda: make_cell(2), (W, B[:3], "ifog"), ValueError, r"bias: got shape \(3,\), needs \(12,\)"),
        (lambda: make_cell(2), (W, 0, "ifog"), TypeError, "bias: got int, needs a tensor"),
        (lambda: make_cell(2, bias=False), (W, B, "ifog"), ValueError, "bias: got a tensor, needs None since the cell"),
        (lambda: make_cell(2, norm="layer"), (W, B, "ifog"), ValueError, "norm: got a cell with 'layer'.* 'none'"),
        (lambda: make_cell(0, norm="batch"), (W, B, "ifog"), ValueError, "norm: got a cell with 'batch'.* 'none'"),
        (lambda: make_cell(2, feedback_size=1), (W, B, "ifog"), ValueError, "feedback_size: got a cell with 1"),
        (lambda: make_cell(2, stride=2), (W, B, "ifog"), ValueError, r"stride: got a cell with \(2, 2\), needs .* 1"),
        (
            lambda: ConvLSTMCell(2, HIDDEN, (3, 4)),
            (W, B, "ifog"),
            ValueError,
            r"kernel_size: got a cell with \(3, 4\) for the input and \(3, 3\) for the hidden state",
        ),
        (
            lambda: changed(lambda cell: setattr(cell, "hidden_projection", nn.Identity())),
            (W, B, "ifog"),
            TypeError,
            "hidden_projection: got Identity, needs the Conv2d",
        ),
        (
            lambda: changed(lambda cell: parametrizations.weight_norm(cell.hidden_projection)),
            (W, B, "ifog"),
            RuntimeError,
            "hidden_projection.weight",
        ),
    ],
)
def test_what_does_not_fit_is_named(cell, arguments, error, message):
    weight, bias, gates = arguments
    with pytest.raises(error, match=message):
        cell().load_joined_weights(weight, bias, gates=gates)
