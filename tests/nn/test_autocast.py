"""Recurrent states under autocast: float32 beside bfloat16 projections, since they are long sums."""

import pytest
import torch

from fastladder.models import RLadder, rladder_small_digits
from fastladder.nn import LSTM, ConvGRUCell, ConvLSTM, ConvLSTMCell, LSTMCell

STEPS = 500
MAKE = {
    "LSTMCell": (lambda: LSTMCell(1, 2), (2, 1)),
    "LSTMCell with layer norm": (lambda: LSTMCell(1, 2, norm="layer"), (2, 1)),
    "ConvLSTMCell": (lambda: ConvLSTMCell(1, 2, 1), (2, 1, 3, 3)),
}


def hold_gates(cell):
    """i = 0.0067, f = 0.9997, g = 0.995: bfloat16 does not resolve what a step adds to a cell above 2."""
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        for gate, value in zip(cell.preactivation.bias.chunk(4), (-5.0, 8.0, 3.0, 0.0), strict=True):
            gate.fill_(value)
    return cell


@pytest.mark.parametrize("name", MAKE)
@torch.no_grad()
def test_a_cell_keeps_adding_up(name):
    make, shape = MAKE[name]
    cell, x = hold_gates(make()), torch.zeros(shape)
    finals = []
    for enabled in (False, True):
        state = None
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            for _ in range(STEPS):
                state = cell(x, state)
        finals.append(state[1])
        assert state[0].dtype == (torch.bfloat16 if enabled else torch.float32)
    assert finals[0].min() > 3
    torch.testing.assert_close(finals[1], finals[0])


@pytest.mark.parametrize("lengths", [None, [STEPS, STEPS - 1]])
@pytest.mark.parametrize("dims", [0, 2])
@torch.no_grad()
def test_layers_keep_adding_up(dims, lengths):
    network = ConvLSTM(1, 1, 1, 2, bidirectional=True) if dims else LSTM(1, 1, 2, bidirectional=True)
    x = torch.zeros(STEPS, 2, 1, *[1] * dims)
    for cell in network.children():
        hold_gates(cell)
    _, (_, expected) = network(x, lengths=lengths)
    with torch.autocast("cpu", torch.bfloat16):
        output, (hidden, cell) = network(x, lengths=lengths)
    assert output.dtype == hidden.dtype == torch.bfloat16
    torch.testing.assert_close(cell, expected)


@pytest.mark.parametrize("dims", [0, 2])
def test_gradients_flow_through_a_state_of_float32(dims):
    torch.manual_seed(4)
    network = ConvLSTM(2, 3, 3, norm="layer") if dims else LSTM(2, 16, norm="layer")
    x = torch.randn(6, 2, 2, *[5] * dims)
    gradients = []
    for enabled in (False, True):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            _, (_, cell) = network(x)
        cell.square().mean().backward()
        gradients.append([p.grad for p in network.parameters()])
    for narrow, wide in zip(*reversed(gradients), strict=True):
        assert narrow.dtype == torch.float32
        torch.testing.assert_close(narrow, wide, rtol=0.1, atol=0.05 * wide.abs().max().item())


@torch.no_grad()
def test_the_state_of_a_gru_is_float32():
    torch.manual_seed(4)
    cell, x = ConvGRUCell(1, 2, 3), torch.randn(2, 1, 4, 4)
    state, expected = None, None
    for _ in range(20):
        with torch.autocast("cpu", torch.bfloat16):
            state = cell(x, state)
        expected = cell(x, expected)
    assert state.dtype == torch.float32
    torch.testing.assert_close(state, expected, rtol=0.02, atol=0.02)


@torch.no_grad()
def test_the_cells_of_an_rladder_are_float32():
    torch.manual_seed(4)
    network, frames = RLadder(rladder_small_digits(4, 4, 5), (1, 20, 20)).eval(), torch.rand(2, 3, 1, 20, 20)
    with torch.autocast("cpu", torch.bfloat16):
        first = network(frames[:, :2])
        second = network(frames[:, 2:], first.state)
        whole = network(frames)
    assert {row.cell.dtype for row in second.state} == {torch.float32}
    for ours, needed in zip(second.state, whole.state, strict=True):
        assert torch.equal(ours.cell, needed.cell)
