"""moments_sequence beyond the contract: sequences of several lengths, what it keeps, compilation, and errors."""

import pytest
import torch
import torch._dynamo
from torch._subclasses import FakeTensorMode

from fastladder import ops, reference
from fastladder.ops.registration import namespace
from tests.ops.contract import distance

pytestmark = pytest.mark.usefixtures("fused")

T, N, C = 7, 5, 6
LENGTHS = {"sorted": [7, 5, 5, 2, 0], "unsorted": [3, 7, 0, 1, 7], "all": [7] * 5, "none": [0] * 5}
every_nonlinearity = pytest.mark.parametrize("nonlinearity", ["tanh", "sigmoid", "relu"])


def arguments(steps=T, batch=N, channels=C, dtype=torch.float32, device="cpu"):
    """Mean, var, hidden_mean, hidden_var, weight, weight_of_var and rate."""
    generator = torch.Generator().manual_seed(3)
    shapes = [(steps, batch, channels)] * 2 + [(batch, channels)] * 2 + [(channels, channels)] * 2 + [(channels,)]
    tensors = [0.5 * torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    for position in (1, 3):
        tensors[position] = tensors[position].exp()
    tensors[4] /= channels**0.5  # else errors grow from step to step
    tensors[5] = tensors[5].square() / channels
    tensors[6] = tensors[6].sigmoid()
    return [x.to(device, dtype) for x in tensors]


def results(tensors, where=ops, **options):
    """Outputs and gradients."""
    leaves = [x.detach().requires_grad_() for x in tensors]
    outputs = where.moments_sequence(*leaves, **options)
    generator = torch.Generator().manual_seed(4)
    weights = [torch.randn(y.shape, generator=generator).to(y) for y in outputs]
    gradients = torch.autograd.grad(outputs, leaves, weights, allow_unused=True)  # where there is no step
    return [*outputs, *(torch.zeros_like(x) if g is None else g for x, g in zip(leaves, gradients, strict=True))]


def assert_same(got, expected, **tolerance):
    for x, y in zip(got, expected, strict=True):
        torch.testing.assert_close(x, y, **tolerance)


@every_nonlinearity
def test_every_step_takes_the_moments_of_the_units_that_are_dropped(nonlinearity, device):
    """Written out with the weight U of the layer, from which both weights come."""
    mean, var, m, v, weight, _, rate = arguments(device=device)
    kept, moments = 1 - rate, getattr(ops, f"{nonlinearity}_moments")
    means, variances, *final = ops.moments_sequence(
        mean, var, m, v, kept * weight, kept * weight.square(), rate, nonlinearity=nonlinearity
    )
    for step in range(T):
        spread = kept * v + kept * (1 - kept) * m.square()
        m, v = moments(mean[step] + (kept * m) @ weight.t(), var[step] + spread @ weight.square().t())
        assert_same((means[step], variances[step]), (m, v), rtol=1e-4, atol=1e-5)
    assert_same(final, (means[-1], variances[-1]), rtol=0, atol=0)


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("as_tensor", [False, True])
@every_nonlinearity
def test_lengths(lengths, as_tensor, nonlinearity, device):
    numbers = torch.tensor(LENGTHS[lengths]) if as_tensor else LENGTHS[lengths]
    tensors = arguments(device=device)
    expected = results(tensors, where=reference, nonlinearity=nonlinearity, lengths=numbers)
    assert_same(results(tensors, nonlinearity=nonlinearity, lengths=numbers), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("where", [ops, reference], ids=["fused", "reference"])
@pytest.mark.parametrize("lengths", ["sorted", "unsorted"])
def test_each_sample_is_as_if_alone(where, lengths, device):
    mean, var, *state, weight, weight_of_var, rate = arguments(device=device)
    weights = weight, weight_of_var, rate
    *outputs, final_mean, final_var = where.moments_sequence(mean, var, *state, *weights, lengths=LENGTHS[lengths])
    for n, length in enumerate(LENGTHS[lengths]):
        own = slice(n, n + 1)
        own_state = [part[own] for part in state]
        *alone, alone_mean, alone_var = where.moments_sequence(
            mean[:length, own], var[:length, own], *own_state, *weights
        )
        assert_same([y[:length, own] for y in outputs], alone)
        assert all(y[length:, n].eq(0).all() for y in outputs)
        assert_same((final_mean[own], final_var[own]), (alone_mean, alone_var))


@pytest.mark.parametrize("where", [ops, reference], ids=["fused", "reference"])
@every_nonlinearity
def test_what_lies_after_a_length_gets_no_gradient_and_may_be_anything(where, nonlinearity, device):
    tensors, lengths = arguments(device=device), [3, 7, 0, 1, 7]
    clean = results(tensors, where=where, nonlinearity=nonlinearity, lengths=lengths)
    for n, length in enumerate(lengths):
        tensors[0][length:, n], tensors[1][length:, n] = torch.nan, torch.inf
        assert all(gradient[length:, n].eq(0).all() for gradient in clean[4:6])
    assert_same(results(tensors, where=where, nonlinearity=nonlinearity, lengths=lengths), clean, rtol=0, atol=0)


@pytest.mark.parametrize("steps", [0, 1, 20])
@pytest.mark.parametrize("batch", [0, 1, 3, 6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_any_number_of_steps_and_samples(steps, batch, dtype, device):
    tensors = arguments(steps, batch, 37, dtype, device)
    tolerance = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.02}[dtype]
    expected = results([x.double() for x in tensors], where=reference)
    for got, true in zip(results(tensors), expected, strict=True):
        assert distance(got, true) < tolerance


def test_states_are_fresh_where_there_is_no_step(device):
    mean, var, hidden_mean, hidden_var, *weights = arguments(0, device=device)
    _, _, *final = ops.moments_sequence(mean, var, hidden_mean, hidden_var, *weights)
    for new, old in zip(final, (hidden_mean, hidden_var), strict=True):
        assert torch.equal(new, old)
        assert new.data_ptr() != old.data_ptr()


def test_keeps_what_a_backward_pass_takes_only_for_one(device, backend):
    tensors = [x.requires_grad_() for x in arguments(device=device)]
    seen = []

    class Recorder(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if "moments_sequence" in str(function):
                seen.append([kept.shape[0] for kept in result[4:]])
            return result

    with Recorder():
        kept = ops.moments_sequence(*tensors)
        with torch.no_grad():
            fresh = ops.moments_sequence(*tensors)
    assert seen == [[T] * 3, [0] * 3]
    # Two loops, compiled apart: on an AMD EPYC one of them fuses a multiplication with an addition and one does not.
    assert_same(fresh, kept, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("with_lengths", [False, True])
def test_compiles_once_for_all_batch_sizes_and_durations(with_lengths, device):
    torch._dynamo.reset()

    def run(lengths, *tensors):
        return ops.moments_sequence(*tensors, lengths=lengths)

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager", dynamic=True)
    for steps, batch in ((11, 13), (17, 19), (23, 29)):
        tensors = [x.requires_grad_() for x in arguments(steps, batch, device=device)]
        lengths = torch.tensor([(7 * n) % (steps + 1) for n in range(batch)]) if with_lengths else None
        with torch._dynamo.config.patch(error_on_recompile=True):
            outputs = compiled(lengths, *tensors)
        expected = run(lengths, *tensors)
        assert_same(outputs, expected)
        cotangents = [torch.randn_like(y) for y in outputs]
        gradients = torch.autograd.grad(outputs, tensors, cotangents)
        assert_same(gradients, torch.autograd.grad(expected, tensors, cotangents))


def test_lengths_of_fake_tensors(device):
    shapes = [y.shape for y in results(arguments(device=device), lengths=LENGTHS["unsorted"])]
    with FakeTensorMode(allow_non_fake_inputs=True):
        fakes = results(arguments(device=device), lengths=torch.tensor(LENGTHS["unsorted"]))
    assert [y.shape for y in fakes] == shapes


def test_transforms_with_lengths(device):
    mean, *others = arguments(device=device)

    def run(x):
        return ops.moments_sequence(x, *others, lengths=LENGTHS["unsorted"])[0].square().sum()

    (slope,) = torch.autograd.grad(run(mean.requires_grad_()), mean)
    torch.testing.assert_close(torch.func.grad(run)(mean), slope)
    v = torch.randn_like(mean)
    torch.testing.assert_close(torch.func.jvp(run, (mean,), (v,))[1], (slope * v).sum())
    (first,) = torch.autograd.grad(run(mean), mean, create_graph=True)
    torch.testing.assert_close(first, slope)
    assert torch.autograd.grad((first * v).sum(), mean)[0].any()


@pytest.mark.parametrize("lengths", [[2, 7, 7, 7, 7], [8, 7, 7, 7, 7], [7, 7, 7, 7, -1], [7, 7]])
def test_registered_operator_checks_lengths(lengths, device, backend):
    if backend != "native":
        pytest.skip("the Triton operators leave the checks to the public function")
    with pytest.raises(RuntimeError, match="lengths: "):
        namespace(backend).moments_sequence(*arguments(device=device), torch.tensor(lengths), "tanh", True)


def test_a_backward_pass_needs_what_the_forward_pass_has_kept(device, backend):
    if backend != "native":
        pytest.skip("the Triton operators leave the checks to the public function")
    operators, tensors = namespace(backend), arguments(device=device)
    means, _, _, _, *kept = operators.moments_sequence(*tensors, None, "tanh", False)
    with pytest.raises(RuntimeError, match="spreads: needs what the forward pass has kept"):
        operators.moments_sequence_backward(means, None, None, None, *tensors, None, "tanh", False, means, *kept)


X, H, W, R = torch.zeros(4, 2, 3), torch.zeros(2, 3), torch.zeros(3, 3), torch.zeros(3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.moments_sequence([X], X, H, H, W, W, R), TypeError, "mean: got list, needs a tensor"),
        (lambda: ops.moments_sequence(H, X, H, H, W, W, R), ValueError, r"mean: got shape \(2, 3\), needs \(T, N, C\)"),
        (lambda: ops.moments_sequence(X.int(), X, H, H, W, W, R), TypeError, "mean: got dtype torch.int32"),
        (lambda: ops.moments_sequence(X, X[1:], H, H, W, W, R), ValueError, r"var: got shape \(3, 2, 3\), needs"),
        (lambda: ops.moments_sequence(X, X, H[1:], H, W, W, R), ValueError, r"hidden_mean: got shape \(1, 3\), needs"),
        (lambda: ops.moments_sequence(X, X, H, None, W, W, R), TypeError, "hidden_var: got NoneType, needs a tensor"),
        (lambda: ops.moments_sequence(X, X, H, H, H, W, R), ValueError, r"weight: got shape \(2, 3\), needs \(3, 3\)"),
        (lambda: ops.moments_sequence(X, X, H, H, W, W.double(), R), TypeError, "weight_of_var: got dtype"),
        (lambda: ops.moments_sequence(X, X, H, H, W, W, 0.1), TypeError, "rate: got float, needs a tensor"),
        (lambda: ops.moments_sequence(X, X, H, H, W, W, W), ValueError, r"rate: got shape \(3, 3\), needs \(3,\)"),
        (
            lambda: ops.moments_sequence(X, X, H, H, W, W, R, nonlinearity="none"),
            ValueError,
            "nonlinearity: got 'none'",
        ),
        (
            lambda: ops.moments_sequence(X, X, H, H, W, W, R, lengths=[4]),
            ValueError,
            r"lengths: got \[4\], needs \(2,\)",
        ),
        (lambda: ops.moments_sequence(X, X, H, H, W, W, R, lengths=[5, 1]), ValueError, "lengths: got 1 to 5, needs 0"),
        (lambda: ops.moments_sequence(X, X, H, H, W, W, R, lengths=H), ValueError, "lengths: got torch.float32 of"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()
