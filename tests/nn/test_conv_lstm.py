"""ConvLSTM over sequences."""

import copy

import numpy as np
import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from fastladder.nn import ConvLSTM


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(11)


def one_position(theirs, dims=2):
    """A ConvLSTM with kernel 1 and the weights of a `torch.nn.LSTM`."""
    ours = ConvLSTM(
        theirs.input_size,
        theirs.hidden_size,
        1,
        theirs.num_layers,
        bidirectional=theirs.bidirectional,
        batch_first=theirs.batch_first,
        dims=dims,
    )
    with torch.no_grad():
        for name, cell in ours.named_children():
            weights = {
                key: getattr(theirs, f"{key}_{name}") for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            }
            for projection, key in ((cell.input_projection, "weight_ih"), (cell.hidden_projection, "weight_hh")):
                projection.weight.copy_(weights[key].view(*weights[key].shape, *[1] * dims))
            cell.preactivation.bias.copy_(weights["bias_ih"] + weights["bias_hh"])
    return ours


def widen(tensor, dims=2):
    return tensor.view(*tensor.shape, *[1] * dims)


def assert_same(ours, theirs):
    (output, state), (needed_output, needed_state) = ours, theirs
    torch.testing.assert_close(output.flatten(2), needed_output)
    for a, b in zip(state, needed_state, strict=True):
        torch.testing.assert_close(a.flatten(2), b)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_one_position_is_torch_lstm(num_layers, bidirectional, batch_first, dims):
    theirs = torch.nn.LSTM(3, 4, num_layers, bidirectional=bidirectional, batch_first=batch_first)
    ours = one_position(theirs, dims)
    x = torch.randn(5, 2, 3)
    batch = 5 if batch_first else 2
    state = [torch.randn(num_layers * (1 + bidirectional), batch, 4) for _ in range(2)]
    assert_same(ours(widen(x, dims)), theirs(x))
    assert_same(ours(widen(x, dims), tuple(widen(s, dims) for s in state)), theirs(x, tuple(state)))


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_packed_sequence_is_treated_as_torch_lstm_does(with_state, enforce_sorted):
    theirs = torch.nn.LSTM(3, 4, 2, bidirectional=True)
    ours = one_position(theirs)
    lengths = [5, 4, 4, 1] if enforce_sorted else [4, 1, 5, 4]
    x = torch.randn(5, 4, 3)
    state = tuple(torch.randn(4, 4, 4) for _ in range(2)) if with_state else None
    packed = [pack_padded_sequence(y, lengths, enforce_sorted=enforce_sorted) for y in (x, widen(x))]
    output, needed_state = theirs(packed[0], state)
    ours_output, ours_state = ours(packed[1], tuple(map(widen, state)) if with_state else None)
    assert isinstance(ours_output, PackedSequence)
    assert_same((pad_packed_sequence(ours_output)[0], ours_state), (pad_packed_sequence(output)[0], needed_state))


@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_lengths_run_each_sample_as_if_alone(norm, batch_first, as_tensor, with_state):
    network = ConvLSTM(2, 3, 3, 2, bidirectional=True, batch_first=batch_first, norm=norm, stride=2)
    lengths = [2, 5, 1, 3]
    x = torch.randn(6, 4, 2, 5, 4)  # one step longer than the longest sample
    state = tuple(torch.randn(4, 4, 3, 3, 2) for _ in range(2)) if with_state else None
    time_first = (lambda y: y.transpose(0, 1)) if batch_first else (lambda y: y)
    output, final = network(time_first(x), state, torch.tensor(lengths) if as_tensor else lengths)
    output = time_first(output)
    assert output.shape == (6, 4, 6, 3, 2)
    for n, length in enumerate(lengths):
        own = slice(n, n + 1)
        alone, alone_final = network(
            time_first(x[:length, own]), None if state is None else tuple(s[:, own] for s in state)
        )
        torch.testing.assert_close(output[:length, own], time_first(alone))
        assert output[length:, n].eq(0).all()
        for a, b in zip(final, alone_final, strict=True):
            torch.testing.assert_close(a[:, own], b)


def test_lengths_under_transforms_and_on_meta_and_fake_tensors():
    network, lengths = ConvLSTM(2, 3, 3, bidirectional=True), [2, 4, 1]
    x, v = torch.randn(4, 3, 2, 5, 5), torch.randn(4, 3, 2, 5, 5)

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
        output, state = ConvLSTM(2, 3, 3, bidirectional=True)(torch.randn(4, 3, 2, 5, 5), lengths=lengths)
    assert [y.shape for y in (output, *state)] == shapes


@pytest.mark.parametrize("lengths", [[], torch.zeros(0, dtype=torch.int64)])
def test_lengths_of_no_samples(lengths):
    assert ConvLSTM(2, 3, 3)(torch.zeros(4, 0, 2, 5, 5), lengths=lengths)[0].shape == (4, 0, 3, 5, 5)


def test_padding_gets_no_gradient_and_may_be_anything():
    network = ConvLSTM(1, 2, 3, bidirectional=True)
    x = torch.randn(4, 2, 1, 3, 3)
    x[2:, 1] = torch.nan
    x.requires_grad_()
    output, (hidden, cell) = network(x, lengths=[4, 2])
    assert output.isfinite().all()
    (output.square().sum() + hidden.sum() + cell.sum()).backward()
    assert x.grad[2:, 1].eq(0).all()
    assert x.grad[:2, 1].ne(0).all()


def test_a_sequence_can_be_cut_and_its_state_passed_on():
    network = ConvLSTM(2, 3, 3, 2, norm="layer")
    x = torch.randn(5, 2, 2, 4, 4)
    whole, final = network(x)
    first, state = network(x[:2])
    second, last = network(x[2:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    for a, b in zip(last, final, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_missing_state_is_zero(bidirectional):
    network = ConvLSTM(2, 3, 3, 2, norm="layer", bidirectional=bidirectional)
    x = torch.randn(3, 2, 2, 4, 4)
    zeros = torch.zeros(4 if bidirectional else 2, 2, 3, 4, 4)
    torch.testing.assert_close(network(x, (zeros, zeros))[0], network(x)[0])


def test_the_network_is_its_cell_repeated():
    network = ConvLSTM(2, 3, 4, stride=2, norm="batch", steps=3)
    x, state, outputs = torch.randn(3, 4, 2, 6, 8), None, []
    network.l0.preactivation.momentum = 0.5
    output, _ = network(x)
    statistics = network.l0.preactivation.running_var.clone()
    network.l0.preactivation.reset_parameters()
    with torch.no_grad():
        network.l0.preactivation.bias[3:6] = 1
        for t in range(3):
            state = network.l0(x[t], state, step=t)
            outputs.append(state[0])
    torch.testing.assert_close(torch.stack(outputs), output)
    torch.testing.assert_close(network.l0.preactivation.running_var, statistics)


def test_dropout_acts_between_layers_in_training():
    network = ConvLSTM(2, 3, 3, 2, dropout=1.0)
    x = torch.randn(3, 2, 2, 4, 4)
    silent = network.l1(torch.zeros(2, 3, 4, 4))[0]
    torch.testing.assert_close(network(x)[0][0], silent)
    assert not torch.allclose(network.eval()(x)[0][0], silent)


def test_channels_last_gives_the_same_numbers():
    network = ConvLSTM(4, 4, 3, norm="layer")
    x = torch.randn(3, 2, 4, 6, 6)
    needed, _ = network(x)
    x_last = x.flatten(0, 1).to(memory_format=torch.channels_last).unflatten(0, (3, 2))
    output, _ = network.to(memory_format=torch.channels_last)(x_last)
    torch.testing.assert_close(output, needed)


def test_sizes_of_any_integer_type_and_states_in_a_list():
    sizes = np.int64([2, 3, 3, 2])
    network = ConvLSTM(*sizes, stride=np.uint8(1))
    assert [type(size) for size in (network.input_size, network.hidden_size, network.num_layers)] == [int] * 3
    assert network.l0.input_projection.kernel_size == (3, 3)
    x, h = torch.randn(3, 2, 2, 4, 4), torch.zeros(2, 2, 3, 4, 4)
    for state in (None, (None, None), [h, h]):
        torch.testing.assert_close(network(x, state)[0], network(x, (h, h))[0])


def network(kernel_size=3, **options):
    return ConvLSTM(2, 3, kernel_size, **options)


X, H = torch.rand(4, 2, 2, 5, 5), torch.rand(1, 2, 3, 5, 5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: network(num_layers=0), ValueError, "num_layers: got 0"),
        (lambda: network(dropout=2), ValueError, "dropout: got 2"),
        (lambda: network(batch_first=1), TypeError, "batch_first: got 1"),
        (lambda: network()(X[:, :, :1]), ValueError, r"input: got shape .* needs \(T, N, 2, \*S\)"),
        (lambda: network(batch_first=True)(X[0]), ValueError, r"input: got shape .* needs \(N, T, 2, \*S\)"),
        (lambda: network()(X[:0]), ValueError, "input: got shape"),
        (lambda: network()([X]), TypeError, "input: got list"),
        (lambda: network()(X, lengths=[4, 5]), ValueError, "lengths: got 4 to 5, needs 1 to 4"),
        (lambda: network()(X, lengths=[0, 4]), ValueError, "lengths: got 0 to 4, needs 1 to 4"),
        (lambda: network()(X, lengths=[4]), ValueError, r"lengths: .* needs \(2,\) integers"),
        (lambda: network()(X, lengths=torch.ones(2)), ValueError, "lengths: got torch.float32"),
        (lambda: network()(X, (torch.rand(2, 2, 3, 5, 5),) * 2), ValueError, r"state\[0\]: .* needs \(1, 2, 3, \*S\)"),
        (lambda: network()(X, X[0]), TypeError, r"state: got Tensor, needs hidden and cell, \(h, c\)"),
        (lambda: network()(X, (H, None)), TypeError, r"state\[1\]: got NoneType, needs a tensor"),
        (lambda: network()(X, (H, H, H)), ValueError, "state: got 3 parts, needs hidden and cell"),
        (lambda: network()(X, (H, H.double())), TypeError, "cell: got dtype torch.float64, needs torch.float32"),
        (lambda: network()(X, (H[..., :4], H)), ValueError, r"state\[0\]: got .* needs \(2, 3, 5, 5\)"),
        (lambda: network(kernel_size=3.0), TypeError, "kernel_size: got 3.0, needs an integer"),
        (lambda: network(kernel_size="3"), TypeError, "kernel_size: got '3', needs an integer"),
        (lambda: network()(pack_padded_sequence(X, [4, 2]), lengths=[4, 2]), ValueError, "lengths: got a value"),
        (lambda: network()(pack_padded_sequence(X, [4, 2]), (H, H, H)), ValueError, "state: got 3 parts"),
        (
            lambda: network()(pack_padded_sequence(X, [4, 2]), (H[0], H[0])),
            ValueError,
            r"state\[0\]: .* needs \(1, 2, 3",
        ),
        (lambda: network()(X, (H[:, :1], H[:, :1]), lengths=[4, 2]), ValueError, r"state\[0\]: .* needs \(1, 2, 3"),
        (lambda: network()(X, lengths=["4", 2]), ValueError, r"lengths: got \['4', 2\], needs \(2,\) integers"),
        (lambda: network()(X, lengths=3), TypeError, r"lengths: got int, needs \(2,\) integers"),
        (lambda: network(dropout="a"), ValueError, "dropout: got a"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
