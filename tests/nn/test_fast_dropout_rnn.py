"""Recurrent fast dropout against its equations step by step, masks that are drawn, and `torch.nn.RNN`."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from fastladder.nn import FastDropoutLinear, FastDropoutRNN
from fastladder.nn.moments import moments_of


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(11)


def units(*shape, dtype=torch.float32):
    """Mean and variance of units."""
    return torch.randn(*shape, dtype=dtype), torch.rand(*shape, dtype=dtype)


def assert_same(ours, needed, **tolerance):
    for a, b in zip(torch.utils._pytree.tree_leaves(ours), torch.utils._pytree.tree_leaves(needed), strict=True):
        torch.testing.assert_close(a, b, **tolerance)


def written_out(layer, mean, var, state, moments):
    """The equations of Bayer and Osendorfer's appendix, where d are probabilities of keeping, with W transposed."""
    w_in, w_rec, bias = layer.input_projection.weight, layer.hidden_projection.weight, layer.input_projection.bias
    d_x, d_h = 1 - layer.input_projection.rates(), 1 - layer.hidden_projection.rates()
    (h, s), means, variances = state, [], []
    for x, v in zip(mean, var, strict=True):
        expected = (d_x * x) @ w_in.t() + (d_h * h) @ w_rec.t() + bias
        variance = ((1 - d_x) * d_x * x**2 + d_x * v) @ w_in.t() ** 2
        variance = variance + ((1 - d_h) * d_h * h**2 + d_h * s) @ w_rec.t() ** 2
        h, s = moments(expected, variance)
        means.append(h)
        variances.append(s)
    return (torch.stack(means), torch.stack(variances)), (h, s)


@pytest.mark.parametrize("nonlinearity", ["none", "tanh", "sigmoid", "relu"])
@pytest.mark.parametrize("moments", ["erf3", "wang_manning", "breze"])
@pytest.mark.parametrize("learned_rate", [False, True])
def test_it_computes_the_equations_of_the_paper(nonlinearity, moments, learned_rate):
    options = {"nonlinearity": nonlinearity, "moments": moments, "rate": 0.2, "learned_rate": learned_rate}
    network = FastDropoutRNN(3, 4, 2, bidirectional=True, dtype=torch.float64, **options)
    (mean, var), state = units(5, 2, 3, dtype=torch.float64), units(4, 2, 4, dtype=torch.float64)
    needed, finals = (mean, var), []
    for layer in range(2):
        outputs = []
        for index, name in ((2 * layer, f"l{layer}"), (2 * layer + 1, f"l{layer}_reverse")):
            flip = (lambda x: x.flip(0)) if name.endswith("_reverse") else (lambda x: x)
            initial = [part[index] for part in state]
            output, final = written_out(
                network.get_submodule(name), *map(flip, needed), initial, moments_of(nonlinearity, moments)
            )
            outputs.append([flip(moment) for moment in output])
            finals.append(final)
        needed = [torch.cat(both, dim=-1) for both in zip(*outputs, strict=True)]
    assert_same(network(mean, var, state), (needed, [torch.stack(parts) for parts in zip(*finals, strict=True)]))


@torch.no_grad()
def test_moments_are_those_of_masks():
    """Exact where units are independent: one hidden unit without a nonlinearity."""
    network = FastDropoutRNN(3, 1, nonlinearity="none", rate=0.3, dtype=torch.float64)
    (mean, var), (h, s) = units(4, 1, 3, dtype=torch.float64), units(1, 1, 1, dtype=torch.float64)
    (expected, variance), _ = network(mean, var, (h, s))
    count = 200_000
    hidden, layer = h[0] + s[0].sqrt() * torch.randn(count, 1, dtype=torch.float64), network.l0
    for t in range(4):
        x = mean[t] + var[t].sqrt() * torch.randn(count, 3, dtype=torch.float64)
        x, hidden = x * (torch.rand_like(x) >= 0.3), hidden * (torch.rand_like(hidden) >= 0.3)
        hidden = nn.functional.linear(
            x, layer.input_projection.weight, layer.input_projection.bias
        ) + nn.functional.linear(hidden, layer.hidden_projection.weight)
        errors = hidden.std() / math.sqrt(count), (hidden - hidden.mean()).square().std() / math.sqrt(count)
        assert abs(expected[t] - hidden.mean()) < 4.5 * errors[0]
        assert abs(variance[t] - hidden.var()) < 4.5 * errors[1]


@pytest.mark.parametrize(("nonlinearity", "tolerance"), [("relu", 1e-6), ("tanh", 2e-4)])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_without_dropout_and_variance_it_is_torch_rnn(
    nonlinearity, tolerance, num_layers, bidirectional, batch_first, bias
):
    options = {"nonlinearity": nonlinearity, "bidirectional": bidirectional, "batch_first": batch_first, "bias": bias}
    theirs = nn.RNN(3, 4, num_layers, **options)
    ours = FastDropoutRNN(3, 4, num_layers, rate=0, **options)
    with torch.no_grad():
        for name, layer in ours.named_children():
            layer.input_projection.weight.copy_(getattr(theirs, f"weight_ih_{name}"))
            layer.hidden_projection.weight.copy_(getattr(theirs, f"weight_hh_{name}"))
            if bias:
                layer.input_projection.bias.copy_(
                    getattr(theirs, f"bias_ih_{name}") + getattr(theirs, f"bias_hh_{name}")
                )
    x, h = torch.randn(5, 2, 3), torch.rand(num_layers * (1 + bidirectional), 5 if batch_first else 2, 4)
    for ours_state, theirs_state in ((None, None), ((h, torch.zeros_like(h)), h)):
        (mean, var), (final_mean, final_var) = ours(x, state=ours_state)
        assert_same((mean, final_mean), theirs(x, theirs_state), rtol=0, atol=tolerance)
        # The variance of tanh is off by up to 4e-4 at every step, and adds up over steps and layers.
        assert max(var.max(), final_var.max()) < (1e-12 if nonlinearity == "relu" else 1e-3)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_lengths_run_each_sample_as_if_alone(bidirectional, batch_first, as_tensor, with_state):
    network = FastDropoutRNN(2, 3, 2, bidirectional=bidirectional, batch_first=batch_first, learned_rate=True)
    lengths = [2, 5, 1, 3]
    pair = units(6, 4, 2)  # one step longer than the longest sample
    state = units(4 if bidirectional else 2, 4, 3) if with_state else None
    time_first = (lambda y: y.transpose(0, 1)) if batch_first else (lambda y: y)
    output, final = network(*map(time_first, pair), state, torch.tensor(lengths) if as_tensor else lengths)
    output = [time_first(moment) for moment in output]
    for n, length in enumerate(lengths):
        own = slice(n, n + 1)
        alone, alone_final = network(
            *(time_first(moment[:length, own]) for moment in pair),
            None if state is None else tuple(part[:, own] for part in state),
        )
        assert_same([moment[:length, own] for moment in output], [time_first(moment) for moment in alone])
        assert all(moment[length:, n].eq(0).all() for moment in output)
        assert_same([part[:, own] for part in final], alone_final)


def test_the_second_direction_runs_from_the_end():
    both, one = FastDropoutRNN(2, 3, bidirectional=True), FastDropoutRNN(2, 3)
    one.l0.load_state_dict(both.l0_reverse.state_dict())
    pair = units(5, 4, 2)
    (mean, var), (final_mean, final_var) = both(*pair)
    (needed_mean, needed_var), needed_final = one(*(moment.flip(0) for moment in pair))
    assert_same((mean[..., 3:], var[..., 3:]), (needed_mean.flip(0), needed_var.flip(0)))
    assert_same((final_mean[1:], final_var[1:]), needed_final)


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_state_continues_a_sequence(batch_first):
    network, pair = FastDropoutRNN(2, 3, 2, batch_first=batch_first), units(6, 6, 2)
    whole, final = network(*pair)
    time = 1 if batch_first else 0
    first, state = network(*(moment.narrow(time, 0, 2) for moment in pair))
    second, continued = network(*(moment.narrow(time, 2, 4) for moment in pair), state)
    assert_same([torch.cat(halves, dim=time) for halves in zip(first, second, strict=True)], whole)
    assert_same(continued, final)


def test_missing_variance_and_state_are_zero_and_evaluation_is_training():
    network, x, zeros = FastDropoutRNN(2, 3, 2), torch.randn(4, 2, 2), torch.zeros(2, 2, 3)
    needed = network(x, torch.zeros_like(x), (zeros, zeros))
    for results in (network(x), network(x, None, (None, None)), network.eval()(x, state=[zeros, zeros])):
        assert_same(results, needed, rtol=0, atol=0)


@pytest.mark.parametrize("lengths", [None, [2, 3]])
@pytest.mark.parametrize("learned_rate", [False, True])
def test_gradients(lengths, learned_rate):
    network = FastDropoutRNN(2, 2, bidirectional=True, learned_rate=learned_rate, dtype=torch.float64)
    names = [name for name, _ in network.named_parameters()]

    def run(mean, var, h, s, *parameters):
        pairs = torch.func.functional_call(
            network, dict(zip(names, parameters, strict=True)), (mean, var, (h, s), lengths)
        )
        return tuple(torch.utils._pytree.tree_leaves(pairs))

    inputs = [*units(3, 2, 2, dtype=torch.float64), *units(2, 2, 2, dtype=torch.float64)]
    inputs += [p.detach().clone() for p in network.parameters()]
    assert torch.autograd.gradcheck(run, [x.requires_grad_() for x in inputs])


def test_gradients_with_random_cotangents_are_those_of_the_equations():
    network = FastDropoutRNN(3, 4, learned_rate=True, dtype=torch.float64)
    inputs = [*units(5, 2, 3, dtype=torch.float64), *units(1, 2, 4, dtype=torch.float64)]
    mean, var, h, s = (x.requires_grad_() for x in inputs)
    ours = network(mean, var, (h, s))
    needed = written_out(network.l0, mean, var, (h[0], s[0]), moments_of("tanh"))
    ours, needed = (torch.utils._pytree.tree_leaves(results) for results in (ours, needed))
    cotangents = [torch.randn_like(y) for y in ours]
    leaves = [*inputs, *network.parameters()]
    assert_same(
        torch.autograd.grad(ours, leaves, cotangents),
        torch.autograd.grad(needed, leaves, [c.view_as(y) for c, y in zip(cotangents, needed, strict=True)]),
    )


def test_padding_gets_no_gradient_and_may_be_anything():
    network = FastDropoutRNN(1, 2, bidirectional=True)
    mean, var = units(4, 2, 1)
    mean[2:, 1], var[2:, 1] = torch.nan, torch.inf
    outputs = torch.utils._pytree.tree_leaves(network(mean.requires_grad_(), var.requires_grad_(), lengths=[4, 2]))
    assert all(y.isfinite().all() for y in outputs)
    sum(y.square().sum() for y in outputs).backward()
    for moment in (mean, var):
        assert moment.grad[2:, 1].eq(0).all()
        assert moment.grad[:2, 1].ne(0).all()


def test_all_time_steps_run_in_one_operator():
    """Where this has the moments, also for samples of several lengths, and in reverse."""
    for options in ({}, {"nonlinearity": "sigmoid"}, {"nonlinearity": "relu", "moments": "breze"}):
        network = FastDropoutRNN(2, 3, bidirectional=True, **options)
        for lengths in (None, [2, 4, 1]):
            with torch.autograd.profiler.profile() as profile:
                network(*units(4, 3, 2), lengths=lengths)
            calls = [event.name for event in profile.function_events]
            assert calls.count("fastladder::moments_sequence") == 2


def test_products_with_weights_are_computed_once_a_call():
    network = FastDropoutRNN(2, 3, nonlinearity="none", learned_rate=True)
    counts = []
    for duration in (3, 30):
        with torch.autograd.profiler.profile() as profile:
            network(*units(duration, 2, 2))
        calls = [event.name for event in profile.function_events]
        counts.append((calls.count("aten::sigmoid"), calls.count("aten::linear"), calls.count("aten::addcmul")))
    assert counts == [(2, 2 + 2 * 3, 1 + 3), (2, 2 + 2 * 30, 1 + 30)]


class Wrapped(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *args, **kwargs):
        return self.inner(*args, **kwargs)


@pytest.mark.parametrize("lengths", [None, [2, 4]])
def test_a_hidden_projection_that_is_hooked_or_replaced_is_called_at_every_step(lengths):
    network, pair, seen = FastDropoutRNN(2, 3, 2, bidirectional=True), units(4, 2, 2), []
    needed = network(*pair, lengths=lengths)
    twin = copy.deepcopy(network)
    twin.l0.hidden_projection.register_forward_hook(lambda module, inputs, output: seen.append(output))
    twin.l1.hidden_projection = Wrapped(twin.l1.hidden_projection)
    twin.l0_reverse.input_projection = Wrapped(twin.l0_reverse.input_projection)
    twin.l1_reverse = Wrapped(twin.l1_reverse)
    assert_same(twin(*pair, lengths=lengths), needed)
    assert len(seen) == 4
    parametrizations.weight_norm(network.l0.hidden_projection)
    assert_same(network(*pair, lengths=lengths), needed)
    twin.reset_parameters()


def test_lengths_under_transforms_and_of_no_samples():
    network, lengths = FastDropoutRNN(2, 3, bidirectional=True), [2, 4, 1]
    x, v = torch.randn(4, 3, 2), torch.randn(4, 3, 2)

    def run(x):
        return sum(moment.square().sum() for moment in network(x, lengths=lengths)[0])

    (slope,) = torch.autograd.grad(run(x.requires_grad_()), x)
    torch.testing.assert_close(torch.func.grad(run)(x), slope)
    torch.testing.assert_close(torch.func.jvp(run, (x,), (v,))[1], (slope * v).sum())
    torch.testing.assert_close(torch.vmap(run)(torch.stack([x, v])), torch.stack([run(x), run(v)]))
    assert network(torch.zeros(4, 0, 2), lengths=[])[0][1].shape == (4, 0, 6)


def test_autocast():
    network, pair = FastDropoutRNN(3, 4, 2, learned_rate=True), units(20, 2, 3)
    needed = network(*pair)
    with torch.autocast("cpu", torch.bfloat16):
        output, state = network(*pair)
        resumed, _ = network(*pair, state)
        _, started = network(*pair, units(2, 2, 4))  # float32
    assert {y.dtype for y in (*output, *state, *resumed, *started)} == {torch.bfloat16}
    assert_same([y.float() for y in (*output, *state)], needed, rtol=0.05, atol=0.05)


def test_initial_values_and_names():
    network = FastDropoutRNN(2, 64, 2, learned_rate=True)
    endings = ["input_projection.weight", "input_projection.bias", "input_projection.rate_logit"]
    endings += ["hidden_projection.weight", "hidden_projection.rate_logit"]
    assert list(network.state_dict()) == [f"l{layer}.{ending}" for layer in range(2) for ending in endings]
    for name, parameter in network.named_parameters():
        if "rate" in name:
            assert parameter.abs().max() > 0.5
        else:
            assert 0.9 / 8 < parameter.abs().max() <= 1 / 8
    assert [type(part) for part in network.l1.children()] == [FastDropoutLinear] * 2


X, H = torch.rand(4, 2, 2), torch.rand(1, 2, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: FastDropoutRNN(2, 3, 0), ValueError, "num_layers: got 0"),
        (lambda: FastDropoutRNN(2, 3, rate=-0.1), ValueError, "rate: got -0.1, needs a probability from 0 to 1"),
        (lambda: FastDropoutRNN(2, 3, batch_first=1), TypeError, "batch_first: got 1"),
        (lambda: FastDropoutRNN(2, 3, bidirectional=1), TypeError, "bidirectional: got 1"),
        (lambda: FastDropoutRNN(2, 3, bias=None), TypeError, "bias: got None"),
        (lambda: FastDropoutRNN(2, 3, nonlinearity="gelu"), ValueError, "nonlinearity: got 'gelu', needs one of"),
        (lambda: FastDropoutRNN(2, 3, moments="delta"), ValueError, "moments: got 'delta', needs one of 'erf3'"),
        (lambda: FastDropoutRNN(2, 3)(X[:, :, :1]), ValueError, r"mean: got shape .* needs \(T, N, 2\)"),
        (
            lambda: FastDropoutRNN(2, 3, batch_first=True)(X[0]),
            ValueError,
            r"mean: got shape \(2, 2\), needs \(N, T, 2\) with T above 0",
        ),
        (lambda: FastDropoutRNN(2, 3)(X[:0]), ValueError, r"mean: got shape \(0, 2, 2\), needs .* T above 0"),
        (lambda: FastDropoutRNN(2, 3)([X]), TypeError, "mean: got list, needs a tensor"),
        (lambda: FastDropoutRNN(2, 3)(X, X[:1]), ValueError, r"var: got shape \(1, 2, 2\), needs \(4, 2, 2\)"),
        (lambda: FastDropoutRNN(2, 3)(X, (H, H)), TypeError, "var: got tuple, needs a tensor"),
        (lambda: FastDropoutRNN(2, 3)(X.double()), TypeError, "mean: got dtype torch.float64, needs torch.float32"),
        (lambda: FastDropoutRNN(2, 3)(X, lengths=[4, 5]), ValueError, "lengths: got 4 to 5, needs 1 to 4"),
        (lambda: FastDropoutRNN(2, 3)(X, state=(H, H[:, :1])), ValueError, r"state\[1\]: .* needs \(1, 2, 3\)"),
        (lambda: FastDropoutRNN(2, 3)(X, state=H), TypeError, "state: got Tensor, needs mean and variance"),
        (lambda: FastDropoutRNN(2, 3)(X, state=(H,)), ValueError, "state: got 1 parts, needs mean and variance"),
        (lambda: FastDropoutRNN(2, 3)(X, state=(H, H.double())), TypeError, r"state\[1\]: got dtype torch.float64"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
