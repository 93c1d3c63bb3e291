"""LSTM over sequences."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from fastladder.nn import LSTM, LSTMCell


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(11)


def loaded(theirs, **options):
    """An LSTM with the weights of a `torch.nn.LSTM`."""
    ours = LSTM(
        theirs.input_size,
        theirs.hidden_size,
        theirs.num_layers,
        bidirectional=theirs.bidirectional,
        batch_first=theirs.batch_first,
        bias=theirs.bias,
        **options,
    )
    ours.load_state_dict(theirs.state_dict())
    return ours


def assert_same(ours, theirs):
    (output, state), (needed_output, needed_state) = ours, theirs
    torch.testing.assert_close(output, needed_output)
    for a, b in zip(state, needed_state, strict=True):
        torch.testing.assert_close(a, b)


def stepwise(network):
    """A copy whose cells are called at every time step."""
    twin = copy.deepcopy(network)
    for cell in twin.children():
        cell.register_forward_hook(lambda *_: None)
    return twin


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_the_state_dict_of_torch_lstm_gives_its_numbers(num_layers, bidirectional, batch_first, bias):
    theirs = nn.LSTM(3, 4, num_layers, bidirectional=bidirectional, batch_first=batch_first, bias=bias)
    ours = loaded(theirs)
    x = torch.randn(5, 2, 3)
    batch = 5 if batch_first else 2
    state = tuple(torch.randn(num_layers * (1 + bidirectional), batch, 4) for _ in range(2))
    assert_same(ours(x), theirs(x))
    assert_same(ours(x, state), theirs(x, state))


def test_gradients_are_those_of_torch_lstm():
    theirs = nn.LSTM(3, 4, 2, bidirectional=True)
    ours, x = loaded(theirs), torch.randn(5, 2, 3)
    gradients = []
    for network in (ours, theirs):
        leaf = x.clone().requires_grad_()
        output, (hidden, cell) = network(leaf)
        (output.square().sum() + hidden.sin().sum() + cell.sin().sum()).backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)
    for name, cell in ours.named_children():
        for own, key in (
            (cell.input_projection.weight, "weight_ih"),
            (cell.hidden_projection.weight, "weight_hh"),
            (cell.preactivation.bias, "bias_ih"),
        ):
            torch.testing.assert_close(own.grad, getattr(theirs, f"{key}_{name}").grad)


def test_the_state_dict_of_torch_lstm_within_a_larger_module_and_on_the_meta_device():
    theirs = nn.Sequential(nn.Linear(3, 3), nn.LSTM(3, 4))
    for device, options in (("cpu", {}), ("meta", {"assign": True})):
        ours = nn.Sequential(nn.Linear(3, 3), LSTM(3, 4, device=device))
        ours.load_state_dict(theirs.state_dict(), **options)
        x = torch.randn(5, 2, 3)
        assert_same(ours(x), theirs(x))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LSTM(3, 4, norm="layer"), ValueError, "state_dict: got weight_ih_l0 .* needs .* norm 'layer'"),
        (lambda: LSTM(3, 4, 2), RuntimeError, "Missing key.*l1.input_projection.weight"),
        (lambda: LSTM(3, 4, bias=False), RuntimeError, "Unexpected key.*l0.preactivation.bias"),
        (lambda: LSTM(3, 5), RuntimeError, "size mismatch for l0.input_projection.weight"),
    ],
)
def test_a_state_dict_of_torch_lstm_that_does_not_fit(make, error, message):
    with pytest.raises(error, match=message):
        make().load_state_dict(nn.LSTM(3, 4).state_dict())


def test_projections_of_the_state_are_refused():
    with pytest.raises(RuntimeError, match=r"Unexpected key.*weight_hr_l0"):
        LSTM(3, 4).load_state_dict(nn.LSTM(3, 4, proj_size=2).state_dict(), strict=True)


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_packed_sequence_is_treated_as_torch_lstm_does(with_state, enforce_sorted):
    theirs = nn.LSTM(3, 4, 2, bidirectional=True)
    ours = loaded(theirs)
    lengths = [5, 4, 4, 1] if enforce_sorted else [4, 1, 5, 4]
    state = tuple(torch.randn(4, 4, 4) for _ in range(2)) if with_state else None
    packed = pack_padded_sequence(torch.randn(5, 4, 3), lengths, enforce_sorted=enforce_sorted)
    (output, needed_state), (ours_output, ours_state) = theirs(packed, state), ours(packed, state)
    assert isinstance(ours_output, PackedSequence)
    assert_same((pad_packed_sequence(ours_output)[0], ours_state), (pad_packed_sequence(output)[0], needed_state))


@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_lengths_run_each_sample_as_if_alone(norm, batch_first, as_tensor, with_state):
    network = LSTM(2, 3, 2, bidirectional=True, batch_first=batch_first, norm=norm)
    lengths = [2, 5, 1, 3]
    x = torch.randn(6, 4, 2)  # one step longer than the longest sample
    state = tuple(torch.randn(4, 4, 3) for _ in range(2)) if with_state else None
    time_first = (lambda y: y.transpose(0, 1)) if batch_first else (lambda y: y)
    output, final = network(time_first(x), state, torch.tensor(lengths) if as_tensor else lengths)
    output = time_first(output)
    for n, length in enumerate(lengths):
        own = slice(n, n + 1)
        alone, alone_final = network(
            time_first(x[:length, own]), None if state is None else tuple(s[:, own] for s in state)
        )
        torch.testing.assert_close(output[:length, own], time_first(alone))
        assert output[length:, n].eq(0).all()
        for a, b in zip(final, alone_final, strict=True):
            torch.testing.assert_close(a[:, own], b)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_input_without_a_batch(batch_first, bidirectional):
    theirs = nn.LSTM(3, 4, 2, batch_first=batch_first, bidirectional=bidirectional)
    ours, x = loaded(theirs), torch.randn(5, 3)
    state = tuple(torch.randn(4 if bidirectional else 2, 4) for _ in range(2))
    assert_same(ours(x), theirs(x))
    assert_same(ours(x, state), theirs(x, state))


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("lengths", [None, [3, 5, 1]])
@pytest.mark.parametrize("bias", [False, True])
def test_one_operator_computes_what_the_cell_computes_step_by_step(norm, lengths, bias):
    """In float64: a norm over 12 numbers and five steps make much of the roundings of float32."""
    network = LSTM(2, 3, 2, norm=norm, bidirectional=True, bias=bias, dtype=torch.float64).eval()
    if norm == "batch":
        for cell in network.children():
            for buffer in (cell.preactivation.running_mean, cell.preactivation.running_var):
                buffer.uniform_(0.5, 2)
    x, twin = torch.randn(5, 3, 2, dtype=torch.float64), stepwise(network)
    results = []
    for each in (network, twin):
        leaf = x.clone().requires_grad_()
        output, state = each(leaf, lengths=lengths)
        torch.autograd.backward([output.square().sum(), state[0].sin().sum(), state[1].sin().sum()])
        results.append([output, *state, leaf.grad, *(p.grad for p in each.parameters())])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


def test_batch_statistics_of_every_step_are_tracked_in_training():
    network = LSTM(2, 3, norm="batch", steps=3)
    x, state, outputs = torch.randn(3, 4, 2), None, []
    network.l0.preactivation.momentum = 0.5
    output, _ = network(x)
    statistics = network.l0.preactivation.running_var.clone()
    network.l0.preactivation.reset_running_stats()
    with torch.no_grad():
        for t in range(3):
            state = network.l0(x[t], state, step=t)
            outputs.append(state[0])
    torch.testing.assert_close(torch.stack(outputs), output)
    torch.testing.assert_close(network.l0.preactivation.running_var, statistics)
    evaluated = network.eval()(x)
    assert_same(evaluated, stepwise(network)(x))


def way_of(network, x):
    """Whether a call of the network runs one operator for the "sequence", or its "steps" one by one."""
    with torch.autograd.profiler.profile() as profile:
        network(x)
    called = {event.name for event in profile.function_events}
    return "sequence" if "fastladder::lstm_sequence" in called else "steps"


def replace(name, make):
    def change(network):
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, make(network.get_submodule(name)))

    return change


class Wrapped(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *args, **kwargs):
        return self.inner(*args, **kwargs)


class OtherCell(LSTMCell):
    pass


CHANGES = {
    "nothing": (lambda network: None, "sequence"),
    "a hook of the cell": (lambda network: network.l0.register_forward_hook(lambda *_: None), "steps"),
    "a hook of a projection": (
        lambda network: network.l0.hidden_projection.register_forward_pre_hook(lambda *_: None),
        "steps",
    ),
    "a backward hook": (lambda network: network.l0.preactivation.register_full_backward_hook(lambda *_: None), "steps"),
    "a wrapped cell": (replace("l0", Wrapped), "steps"),
    "a wrapped projection": (replace("l0.hidden_projection", Wrapped), "steps"),
    "another cell": (replace("l0", lambda _: OtherCell(2, 3)), "steps"),
    "a parametrization": (lambda network: parametrizations.weight_norm(network.l0.hidden_projection), "steps"),
    "a bias of a projection": (replace("l0.hidden_projection", lambda _: nn.Linear(3, 12)), "steps"),
    "another forward": (lambda network: setattr(network.l0, "forward", network.l0.forward), "steps"),
    "a compiled cell": (lambda network: network.l0.compile(backend="eager"), "steps"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_only_a_plain_cell_runs_as_one_operator(change):
    apply, expected = CHANGES[change]
    network, x = LSTM(2, 3), torch.randn(4, 2, 2)
    apply(network)
    assert way_of(network, x) == expected
    cell, state, outputs = network.l0, None, []
    for t in range(4):
        state = cell(x[t], state)
        outputs.append(state[0])
    torch.testing.assert_close(network(x)[0], torch.stack(outputs))


def test_lengths_under_transforms_and_on_meta_and_fake_tensors():
    network, lengths = LSTM(2, 3, bidirectional=True), [2, 4, 1]
    x, v = torch.randn(4, 3, 2), torch.randn(4, 3, 2)

    def run(x):
        return network(x, lengths=lengths)[0].square().sum()

    (slope,) = torch.autograd.grad(run(x.requires_grad_()), x)
    torch.testing.assert_close(torch.func.grad(run)(x), slope)
    torch.testing.assert_close(torch.func.jvp(run, (x,), (v,))[1], (slope * v).sum())
    torch.testing.assert_close(torch.vmap(run)(torch.stack([x, v])), torch.stack([run(x), run(v)]))
    shapes = [y.shape for y in (network(x)[0], *network(x)[1])]
    meta = copy.deepcopy(network).to("meta")(x.to("meta"), lengths=lengths)
    assert [y.shape for y in (meta[0], *meta[1])] == shapes
    with FakeTensorMode():
        output, state = LSTM(2, 3, bidirectional=True)(torch.randn(4, 3, 2), lengths=lengths)
    assert [y.shape for y in (output, *state)] == shapes


@pytest.mark.parametrize("lengths", [[], torch.zeros(0, dtype=torch.int64)])
def test_lengths_of_no_samples(lengths):
    assert LSTM(2, 3)(torch.zeros(4, 0, 2), lengths=lengths)[0].shape == (4, 0, 3)


def test_padding_gets_no_gradient_and_may_be_anything():
    network = LSTM(1, 2, bidirectional=True)
    x = torch.randn(4, 2, 1)
    x[2:, 1] = torch.nan
    x.requires_grad_()
    output, (hidden, cell) = network(x, lengths=[4, 2])
    assert output.isfinite().all()
    (output.square().sum() + hidden.sum() + cell.sum()).backward()
    assert x.grad[2:, 1].eq(0).all()
    assert x.grad[:2, 1].ne(0).all()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_missing_state_is_zero(bidirectional):
    network = LSTM(2, 3, 2, norm="layer", bidirectional=bidirectional)
    x, zeros = torch.randn(3, 2, 2), torch.zeros(4 if bidirectional else 2, 2, 3)
    for state in (None, (None, None), [zeros, zeros]):
        torch.testing.assert_close(network(x, state)[0], network(x, (zeros, zeros))[0])


def test_dropout_acts_between_layers_in_training():
    network, x = LSTM(2, 3, 2, dropout=1.0), torch.randn(3, 2, 2)
    silent = network.l1(torch.zeros(2, 3))[0]
    torch.testing.assert_close(network(x)[0][0], silent)
    assert not torch.allclose(network.eval()(x)[0][0], silent)


@pytest.mark.parametrize("lengths", [None, [70, 9]])
def test_a_cell_state_stays_float32_under_autocast(lengths):
    network, x = LSTM(2, 3), torch.randn(70, 2, 2)
    needed, _ = network(x, lengths=lengths)
    with torch.autocast("cpu", torch.bfloat16):
        output, (hidden, cell) = network(x, lengths=lengths)
        resumed, _ = network(x, (hidden, cell))
    assert (output.dtype, hidden.dtype, cell.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)
    assert resumed.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), needed, rtol=0.05, atol=0.1)


def test_initial_values():
    network = LSTM(2, 64, 2, norm="layer", forget_bias=2.0)
    for cell in network.children():
        for weight in (cell.input_projection.weight, cell.hidden_projection.weight):
            assert weight.abs().max() <= 1 / 8
            assert weight.abs().max() > 0.9 / 8
        assert cell.preactivation.bias.view(4, 64).unique(dim=1).flatten().tolist() == [0, 2, 0, 0]


def test_copies_of_every_kind_still_take_the_weights_of_torch_lstm():
    theirs, network = nn.LSTM(3, 4), LSTM(3, 4)
    x = torch.randn(5, 2, 3)
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        twin.load_state_dict(theirs.state_dict())
        assert_same(twin(x), theirs(x))


def test_sizes_of_any_integer_type():
    network = LSTM(*np.int64([2, 3, 2]))
    assert [type(size) for size in (network.input_size, network.hidden_size, network.num_layers)] == [int] * 3


X, H = torch.rand(4, 2, 2), torch.rand(1, 2, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: LSTM(2, 3, 0), ValueError, "num_layers: got 0"),
        (lambda: LSTM(2, 3, dropout=2), ValueError, "dropout: got 2"),
        (lambda: LSTM(2, 3, batch_first=1), TypeError, "batch_first: got 1"),
        (lambda: LSTM(2, 3, norm="group"), ValueError, "norm: got 'group'"),
        (lambda: LSTM(2, 3)(X[:, :, :1]), ValueError, r"input: got shape .* needs \(T, N, 2\) with T above 0$"),
        (lambda: LSTM(2, 3, batch_first=True)(X[0, 0]), ValueError, r"input: got shape .* needs \(N, T, 2\)"),
        (lambda: LSTM(2, 3)(X[:0]), ValueError, "input: got shape"),
        (lambda: LSTM(2, 3)([X]), TypeError, "input: got list"),
        (lambda: LSTM(2, 3)(X.double()), TypeError, "input: got dtype torch.float64, needs torch.float32"),
        (lambda: LSTM(2, 3)(X, lengths=[4, 5]), ValueError, "lengths: got 4 to 5, needs 1 to 4"),
        (lambda: LSTM(2, 3)(X[:, 0], lengths=[4]), ValueError, "lengths: got a value, needs None with an input"),
        (lambda: LSTM(2, 3)(X, (torch.rand(2, 2, 3),) * 2), ValueError, r"state\[0\]: .* needs \(1, 2, 3\)$"),
        (lambda: LSTM(2, 3)(X, X[0]), TypeError, r"state: got Tensor, needs hidden and cell, \(h, c\)"),
        (
            lambda: LSTM(2, 3)(X, (H.double(), H)),
            TypeError,
            r"state\[0\]: got dtype torch.float64, needs torch.float32",
        ),
        (lambda: LSTM(2, 3)(X, (H, H.double())), TypeError, "cell: got dtype torch.float64, needs torch.float32"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
