"""RLadder over time: single steps, states that are passed on, statistics of every step, and what it learns."""

import copy

import pytest
import torch

from fastladder.models import Level, RLadder, RowState
from fastladder.models.rladder import G1, LSTM, AvgPool, Conv, ConvG3, ConvLSTM, Dense, MaxPool
from fastladder.nn.layout import channels_last
from tests.models.rladder.tiny import assert_same, flat, frames, tiny


@pytest.mark.parametrize("training", [True, False])
def test_steps_make_the_sequence(training):
    network, x = tiny(steps=3).train(training), frames(4)
    whole = network(x)
    for state in (None, network.initial_state(4)):
        outputs = []
        for t in range(4):
            outputs.append(network.step(x[:, t], state, t))
            state = outputs[-1].state
        torch.testing.assert_close(torch.stack([o.prediction for o in outputs], 1), whole.prediction)
        torch.testing.assert_close(torch.stack([o.logits for o in outputs], 1), whole.logits)
        assert_same(state, whole.state)


def test_a_sequence_can_be_cut_and_its_state_passed_on():
    network, x = tiny(steps=4).eval(), frames(4)
    whole = network(x)
    first = network(x[:, :2])
    second = network(x[:, 2:], first.state, step=2)
    torch.testing.assert_close(torch.cat([first.prediction, second.prediction], 1), whole.prediction)
    assert_same(second.state, whole.state)


def test_initial_state():
    state = tiny().initial_state(5)
    assert [tuple(row.hidden.shape) for row in state] == [(5, 3, 8, 8), (5, 5, 4, 4), (5, 6)]
    assert all(isinstance(row, RowState) and row.decoded.shape == row.cell.shape == row.hidden.shape for row in state)
    assert not any(t.any() for t in flat(state))
    assert all(row.decoded is None for row in tiny(feedback=False).initial_state(5))


def test_running_statistics_are_kept_for_every_step():
    network = tiny(steps=5)
    network(frames(3, batch=8))
    for norm in (network.encoder[1].norm, network.decoder["3"].preactivation, network.decoder["5"].preactivation):
        assert norm.running_mean.shape[0] == 5
        assert norm.running_mean[:3].ne(0).any(-1).all()
        assert norm.running_mean[3:].eq(0).all()
        assert len({row.flatten()[0].item() for row in norm.running_mean[:3]}) == 3
    with torch.no_grad():
        network.encoder[1].norm.running_mean[2] += 1
    x = frames(3)
    before = network.eval()(x)
    with torch.no_grad():
        network.encoder[1].norm.running_mean[2] -= 1
    after = network(x)
    assert after.logits[:, :2].equal(before.logits[:, :2])
    assert not after.logits[:, 2].equal(before.logits[:, 2])


def test_step_compiles_without_a_graph_break():
    # Code that is compiled keeps the layout that it is given, here the one that is otherwise chosen.
    network, x = tiny(steps=2), channels_last(frames(1)[:, 0])
    reference, state = copy.deepcopy(network), tiny().initial_state(4)
    torch.compiler.reset()
    step = torch.compile(network.step, fullgraph=True, backend="aot_eager")
    assert_same(step(x, state, 1), reference.step(x, state, 1))
    for name, buffer in network.named_buffers():
        torch.testing.assert_close(buffer, reference.get_buffer(name))


def test_it_learns():
    """The next frame of a dot that moves right, and which of two rows it moves in."""
    levels = (
        Level(ConvLSTM(6, 3), ConvG3(3)),
        Level(MaxPool(2), ConvG3(4)),
        Level(Conv(6, 3), ConvG3(3)),
        Level(AvgPool(2), G1()),
        Level(LSTM(8), G1()),
        Level(Dense(2)),
    )
    network = RLadder(levels, (1, 4, 8), steps=4)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    rows, columns = torch.arange(16) % 2, torch.arange(16) // 4
    x = torch.zeros(16, 5, 1, 4, 8)
    for t in range(5):
        x[range(16), t, 0, 2 * rows, columns + t] = 1
    for _ in range(60):
        output = network(x[:, :4])
        error = (output.prediction - x[:, 1:]).square().sum((2, 3, 4)).mean()
        loss = error + torch.nn.functional.cross_entropy(output.logits[:, -1], rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert error < 0.2  # a prediction of zeros has error 1, a copy of the last frame 2
    assert output.logits[:, -1].argmax(1).equal(rows)
