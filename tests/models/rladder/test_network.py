"""RLadder: its wiring, its switches, copies, precisions, and the errors of wrong arguments."""

import copy
import io
import pickle

import pytest
import torch

from fastladder.models import Level, RLadder, RowState, rladder_occluded_digits, rladder_small_digits
from fastladder.models.rladder import G1, LSTM, AvgPool, Broadcast, Conv, ConvG3, ConvLSTM
from tests.models.rladder.tiny import SHAPE, TINY, assert_same, frames, tiny

SWITCHES = {
    "all": {},
    "no feedback": dict(feedback=False),
    "no decoder": dict(decoder=False),
    "no prediction": dict(predict=False),
    "no prediction, no feedback": dict(predict=False, feedback=False),
    "no classes": dict(classify=False),
    "same": dict(alignment="same"),
    "same, no classes": dict(alignment="same", classify=False),
    "same, no prediction": dict(alignment="same", predict=False),
}


def normalized(x, norm):
    return torch.nn.functional.batch_norm(x, None, None, norm.weight, norm.bias, training=True)


def test_two_steps_written_out():
    # In float64, as a network of float32 chooses its layout, in which convolutions add up in another order.
    network, x = tiny().double(), frames(2).double()
    e, d, h = network.encoder, network.decoder, None
    feedback = {1: None, 4: None, 6: None}
    state = {1: None, 4: None, 6: None}
    predictions, logits = [], []
    for t in range(2):
        h = {0: x[:, t]}
        state[1] = e[0](h[0], state[1], feedback[1])
        h[1] = state[1][0]
        h[2] = torch.nn.functional.conv2d(h[1], e[1].convolution.weight, padding=1)
        h[2] = normalized(h[2], e[1].norm).relu()
        h[3] = normalized(torch.nn.functional.max_pool2d(h[2], 2), e[2].norm)
        state[4] = e[3](h[3], state[4], feedback[4])
        h[4] = state[4][0]
        h[5] = normalized(torch.nn.functional.avg_pool2d(h[4], 2), e[4].norm)
        state[6] = e[5](h[5], state[6], feedback[6])
        h[6] = state[6][0]
        logits.append(normalized(h[6] @ e[6].linear.weight.t(), e[6].norm))
        feedback[6] = h[6]
        d5 = d["5"](h[6], h[5])
        feedback[4] = d["4"](d5, h[4])
        d3 = d["3"](feedback[4], h[3])
        d2 = d["2"](d3, h[2])
        feedback[1] = d["1"](d2, h[1])
        predictions.append(d["0"](feedback[1], h[0]))
    output = network(x)
    torch.testing.assert_close(output.prediction, torch.stack(predictions, 1))
    torch.testing.assert_close(output.logits, torch.stack(logits, 1))
    assert_same(output.state, [(*state[n], feedback[n]) for n in (1, 4, 6)])


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_the_same_alignment_decodes_every_level_with_the_cell_of_its_row():
    network, x = tiny(alignment="same"), frames(1)[:, 0]
    cells = [network.decoder[str(number)] for number in range(6)]
    kinds = ["ConvG3", "ConvG3", "ConvG2", "ConvG3", "ConvG1", "FlatG1"]  # level 0 has the cell of row 1
    assert [type(cell).__name__ for cell in cells] == kinds
    assert [(cell.top_size, cell.lateral_size) for cell in cells] == [(3, 2), (4, 3), (4, 4), (5, 4), (5, 5), (6, 20)]
    assert cells[2].top_projection.stride == (2, 2)
    output = network.step(x)
    assert output.prediction.shape == x.shape
    assert [row.decoded.shape[1:] for row in output.state] == [(3, 8, 8), (5, 4, 4), (6,)]


@pytest.mark.parametrize("switches", SWITCHES)
def test_shapes_and_gradients_under_every_switch(switches):
    network, x = tiny(**SWITCHES[switches]), frames()
    output = network(x)
    assert (output.prediction is None) == ("no prediction" in switches or "no decoder" in switches)
    assert (output.logits is None) == ("no classes" in switches)
    if output.prediction is not None:
        assert output.prediction.shape == x.shape
    if output.logits is not None:
        assert output.logits.shape == (4, 3, 7)
    with_feedback = not {"no feedback", "no decoder", "no prediction, no feedback"} & {switches}
    assert all((row.decoded is not None) == with_feedback for row in output.state)
    results = [y for y in output[:2] if y is not None]
    torch.autograd.backward(results, [torch.randn_like(y) for y in results])
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_feedback_is_the_only_way_from_the_decoder_to_the_classes():
    x = frames()
    for feedback in (True, False):
        network = tiny(feedback=feedback)
        before = network(x).logits
        with torch.no_grad():
            for parameter in network.decoder.parameters():
                parameter.mul_(-2)
        after = network(x).logits
        torch.testing.assert_close(after[:, 0], before[:, 0])
        assert after[:, 1:].equal(before[:, 1:]) is not feedback


def test_detached_feedback_is_the_same_without_its_gradient():
    x = frames()
    network, detached = tiny(), tiny(detach_feedback=True)
    detached.load_state_dict(network.state_dict())
    for each in (network, detached):
        each.eval()(x).logits[:, -1].sum().backward()
    assert detached(x).logits.equal(network(x).logits)
    assert any(parameter.grad is not None for parameter in network.decoder.parameters())
    assert all(parameter.grad is None for parameter in detached.decoder.parameters())
    detached(x).prediction[:, -1].sum().backward()  # by the prediction a decoder learns as before
    assert all(parameter.grad is not None for parameter in detached.decoder.parameters())


def test_without_the_decoder_the_encoder_is_the_same():
    network, x = tiny(feedback=False), frames()
    alone = RLadder(TINY, SHAPE, decoder=False)
    alone.load_state_dict({name: p for name, p in network.state_dict().items() if not name.startswith("decoder")})
    assert len(alone.decoder) == 0
    torch.testing.assert_close(alone(x).logits, network(x).logits)


def test_without_prediction_the_classes_are_the_same():
    network, x = tiny(), frames()
    alone = RLadder(TINY, SHAPE, predict=False)
    alone.load_state_dict({name: p for name, p in network.state_dict().items() if not name.startswith("decoder.0.")})
    torch.testing.assert_close(alone(x).logits, network(x).logits)


def test_init_reaches_the_decoder():
    network = RLadder(TINY, SHAPE, init="ladder")
    assert network.decoder["3"].gate.equal(network.decoder["5"].content[:, :1].expand(5, 4))
    assert network.decoder["3"].gate[0].eq(0).all()
    assert network.decoder["1"].weights[2, 0].eq(0).all()
    assert RLadder(TINY, SHAPE).decoder["3"].gate[0].eq(1).all()


def test_reset_forgets_everything():
    network, fresh = tiny(), RLadder(TINY, SHAPE).state_dict()
    before = copy.deepcopy(network.state_dict())
    network(frames())
    network.reset_parameters()
    for name, value in network.state_dict().items():
        drawn = value.dim() > 1 and name.endswith("weight")
        assert value.equal(fresh[name]) is not drawn, name
        assert not drawn or not value.equal(before[name])


def test_cells_start_with_small_gains_of_hidden_state_and_feedback():
    for network, gains in ((RLadder(TINY, SHAPE), [1, 0.1, 0.1]), (RLadder(TINY, SHAPE, feedback=False), [1, 0.1])):
        for row in (0, 3):
            torch.testing.assert_close(network.encoder[row].preactivation.gain[:, 0], torch.tensor(gains))
    level = Level(ConvLSTM(3, 3, hidden_gain=0.5, feedback_gain=0.2), ConvG3(3))
    (row,) = RLadder([level], SHAPE).encoder
    torch.testing.assert_close(row.preactivation.gain[:, 0], torch.tensor([1, 0.5, 0.2]))
    assert RLadder([Level(ConvLSTM(3, 3, norm="none"), ConvG3(3))], SHAPE).encoder[0].preactivation.gain is None
    (row,) = RLadder([Level(LSTM(3, norm="layer"), G1(norm="layer"))], SHAPE).encoder
    torch.testing.assert_close(row.preactivation.gain[:, 0], torch.tensor([1, 0.1, 0.1]))


def test_the_first_step_is_step_0():
    network, x = tiny(steps=2), frames(1)[:, 0]
    for step in (0, 1):
        network.step(torch.rand_like(x), step=step)  # each step has statistics of its own
    network.eval()
    assert_same(network.step(x), network.step(x, step=0))
    assert not torch.allclose(network.step(x).logits, network.step(x, step=1).logits)


def test_states_from_before_pools_were_normalised_are_refused_with_the_reason():
    network = tiny()
    old = {name: value for name, value in network.state_dict().items() if not name.startswith("encoder.2.norm")}
    reason = r"encoder.2.norm.weight \(networks saved before pools and dense rows had .* have to be trained anew\)"
    with pytest.raises(RuntimeError, match=f'Missing key.* "{reason}"'):
        network.load_state_dict(old)
    wrapped = {f"0.{name}": value for name, value in old.items()}
    with pytest.raises(RuntimeError, match=f'Missing key.* "0.{reason}"'):
        torch.nn.Sequential(network).load_state_dict(wrapped)
    network.load_state_dict(old, strict=False)


def test_copies_and_stored_states_compute_the_same():
    network, x = tiny(steps=2).eval(), frames()
    stored = io.BytesIO()
    torch.save(network.state_dict(), stored)
    stored.seek(0)
    loaded = RLadder(TINY, SHAPE, steps=2).eval()
    loaded.load_state_dict(torch.load(stored, weights_only=True))
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), loaded):
        assert_same(twin(x), network(x))
    assert "predict=True" in str(network)


def test_channels_last_gives_the_same_numbers():
    network, x = tiny(), frames()
    needed = network(x)
    last = network.to(memory_format=torch.channels_last)
    x = x.flatten(0, 1).to(memory_format=torch.channels_last).unflatten(0, (4, 3))
    assert_same(last(x), needed, rtol=1e-3, atol=1e-3)


def test_double_and_bfloat16():
    assert tiny(dtype=torch.float64)(frames().double()).prediction.dtype == torch.float64
    network, x = tiny(), frames()
    needed = network(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert_same([y.float() for y in network(x)[:2]], needed[:2], rtol=0.1, atol=0.2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: RLadder(TINY, SHAPE, alignment="above"), ValueError, "alignment: got 'above'"),
        (lambda: RLadder(TINY, SHAPE, init="zeros"), ValueError, "init: got 'zeros'"),
        (lambda: RLadder(TINY, SHAPE, feedback=1), TypeError, "feedback: got 1"),
        (lambda: tiny(detach_feedback=True, predict=False), ValueError, "detach_feedback: got True, needs a dec"),
        (lambda: RLadder(TINY, SHAPE, steps=0), ValueError, "steps: got 0"),
        (lambda: RLadder(rladder_occluded_digits, SHAPE), TypeError, "levels: got <function"),
        (lambda: RLadder([], SHAPE), TypeError, r"levels: got \[\]"),
        (lambda: RLadder([ConvLSTM(3, 3)], SHAPE), TypeError, r"levels: got \[ConvLSTM"),
        (lambda: RLadder(TINY, (2,)), ValueError, r"input_shape: got \(2,\)"),
        (lambda: RLadder(TINY, (2, 2, 2)), ValueError, r"levels\[4\].encoder: AvgPool.* leaves nothing"),
        (lambda: RLadder(TINY, SHAPE, predict=False, classify=False), ValueError, "predict, classify: got no task"),
        (lambda: RLadder(TINY[:-1], SHAPE, decoder=False), ValueError, "predict, classify: got no task"),
        (lambda: RLadder([Level(LSTM(4))], SHAPE), ValueError, "predict, classify: got no task"),
        (lambda: RLadder([Level(LSTM(4), G1()), Level(Conv(4, 3))], SHAPE), ValueError, r"levels\[1\].encoder: got"),
        (lambda: RLadder([Level(LSTM(4), ConvG3(3))], SHAPE), ValueError, r"levels\[0\].decoder: got \(4,\) and "),
        (lambda: RLadder([Level(AvgPool(4), Broadcast())], SHAPE), ValueError, r"levels\[0\].decoder: Broadcast: got"),
        (lambda: tiny()(torch.rand(4, *SHAPE)), ValueError, r"frames: got shape .* needs \(N, T, 2, 8, 8\)"),
        (lambda: tiny()(frames(0)), ValueError, "frames: got shape"),
        (lambda: tiny()(None), TypeError, "frames: got NoneType"),
        (lambda: tiny().step(frames()), ValueError, r"frame: got shape .* needs \(N, 2, 8, 8\)"),
        (lambda: tiny()(frames(), tiny().initial_state(4)[:2]), ValueError, "state: got 2 rows, needs 3"),
        (lambda: tiny()(frames(), tiny().initial_state(3)), ValueError, "got shape"),
        (lambda: tiny()(frames(), torch.rand(4, 3)), TypeError, "state: got Tensor, needs the state of an earlier"),
        (lambda: RLadder(rladder_small_digits(), (1, 20, 20), alignment="same"), ValueError,
         r"levels\[4\].decoder: top: got spatial size \(2, 2\), .* does not take to the \(5, 5\) of lateral"),
        (lambda: tiny()(frames(), ((1, 2),) * 3), TypeError, "state: got a row of type tuple, needs hidden, cell and"),
        (lambda: tiny()(frames(), [RowState(None, torch.rand(4, 3), None)] * 3), TypeError, r"state\[0\]: got None"),
        (lambda: RLadder(TINY, 8), ValueError, r"input_shape: got \(8,\), needs \(C, \*S\)"),
        (lambda: tiny()(frames().double()), TypeError, "input: got dtype torch.float64"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
