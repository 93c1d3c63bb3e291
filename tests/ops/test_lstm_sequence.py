"""lstm_sequence beyond the contract: sequences of several lengths, what it keeps, compilation, and errors."""

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


def arguments(steps=T, batch=N, channels=C, dtype=torch.float32, device="cpu"):
    """Projections, hidden, cell, weight, gain and bias."""
    generator = torch.Generator().manual_seed(3)
    shapes = [(steps, batch, 4 * channels), (batch, channels), (batch, channels), (4 * channels, channels)]
    shapes += [(2, 4 * channels), (4 * channels,)]
    tensors = [0.5 * torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    tensors[3] /= channels**0.5  # else errors grow from step to step
    return [x.to(device, dtype) for x in tensors]


def results(tensors, where=ops, **options):
    """Outputs and gradients."""
    leaves = [x.detach().requires_grad_() for x in tensors]
    outputs = where.lstm_sequence(*leaves[:4], gain=leaves[4], bias=leaves[5], **options)
    generator = torch.Generator().manual_seed(4)
    weights = [torch.randn(y.shape, generator=generator).to(y) for y in outputs]
    gradients = torch.autograd.grad(outputs, leaves, weights, allow_unused=True)  # where there is no step
    return [*outputs, *(torch.zeros_like(x) if g is None else g for x, g in zip(leaves, gradients, strict=True))]


def assert_same(got, expected, **tolerance):
    for x, y in zip(got, expected, strict=True):
        torch.testing.assert_close(x, y, **tolerance)


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_lengths(lengths, as_tensor, norm, device):
    numbers = torch.tensor(LENGTHS[lengths]) if as_tensor else LENGTHS[lengths]
    tensors = arguments(device=device)
    expected = results(tensors, where=reference, norm=norm, lengths=numbers)
    assert_same(results(tensors, norm=norm, lengths=numbers), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("where", [ops, reference], ids=["fused", "reference"])
@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("lengths", ["sorted", "unsorted"])
def test_each_sample_is_as_if_alone(where, norm, lengths, device):
    projections, hidden, cell, weight, gain, bias = arguments(device=device)
    options = {"gain": gain, "bias": bias, "norm": norm}
    outputs, *final = where.lstm_sequence(projections, hidden, cell, weight, lengths=LENGTHS[lengths], **options)
    for n, length in enumerate(LENGTHS[lengths]):
        own = slice(n, n + 1)
        alone, *alone_final = where.lstm_sequence(projections[:length, own], hidden[own], cell[own], weight, **options)
        torch.testing.assert_close(outputs[:length, own], alone)
        assert outputs[length:, n].eq(0).all()
        assert_same([state[own] for state in final], alone_final)


@pytest.mark.parametrize("where", [ops, reference], ids=["fused", "reference"])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_what_lies_after_a_length_gets_no_gradient_and_may_be_anything(where, norm, device):
    tensors, lengths = arguments(device=device), [3, 7, 0, 1, 7]
    clean = results(tensors, where=where, norm=norm, lengths=lengths)
    for n, length in enumerate(lengths):
        tensors[0][length:, n] = torch.nan
        assert clean[3][length:, n].eq(0).all()
    assert_same(results(tensors, where=where, norm=norm, lengths=lengths), clean, rtol=0, atol=0)


@pytest.mark.parametrize("steps", [0, 1, 20])
@pytest.mark.parametrize("batch", [0, 1, 3, 6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_any_number_of_steps_and_samples(steps, batch, dtype, device):
    tensors = arguments(steps, batch, 37, dtype, device)
    norm, tolerance = {torch.float32: ("layer", 1e-4), torch.bfloat16: ("none", 0.1)}[dtype]
    expected = results([x.double() for x in tensors], where=reference, norm=norm)
    for got, true in zip(results(tensors, norm=norm), expected, strict=True):
        assert distance(got, true) < tolerance


def test_states_are_fresh_where_there_is_no_step(device):
    projections, hidden, cell, weight, *_ = arguments(0, device=device)
    _, new_hidden, new_cell = ops.lstm_sequence(projections, hidden, cell, weight)
    assert torch.equal(new_hidden, hidden)
    assert torch.equal(new_cell, cell)
    assert new_hidden.data_ptr() != hidden.data_ptr()
    assert new_cell.data_ptr() != cell.data_ptr()


def test_keeps_the_projections_of_hidden_states_only_for_a_backward_pass(device, backend):
    tensors = [x.requires_grad_() for x in arguments(device=device)]
    seen = []

    class Recorder(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if "lstm_sequence" in str(function):
                seen.append(result[4].shape[0])
            return result

    with Recorder():
        ops.lstm_sequence(*tensors[:4])
        with torch.no_grad():
            ops.lstm_sequence(*tensors[:4])
    assert seen == [T, 0]


@pytest.mark.parametrize("with_lengths", [False, True])
def test_compiles_once_for_all_batch_sizes_and_durations(with_lengths, device):
    torch._dynamo.reset()

    def run(lengths, *tensors):
        return ops.lstm_sequence(*tensors[:4], gain=tensors[4], bias=tensors[5], norm="layer", lengths=lengths)

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
    projections, hidden, cell, weight, *_ = arguments(device=device)

    def run(x):
        return ops.lstm_sequence(x, hidden, cell, weight, lengths=LENGTHS["unsorted"])[0].square().sum()

    (slope,) = torch.autograd.grad(run(projections.requires_grad_()), projections)
    torch.testing.assert_close(torch.func.grad(run)(projections), slope)
    v = torch.randn_like(projections)
    torch.testing.assert_close(torch.func.jvp(run, (projections,), (v,))[1], (slope * v).sum())
    (first,) = torch.autograd.grad(run(projections), projections, create_graph=True)
    torch.testing.assert_close(first, slope)
    assert torch.autograd.grad((first * v).sum(), projections)[0].any()


@pytest.mark.parametrize("lengths", [[2, 7, 7, 7, 7], [8, 7, 7, 7, 7], [7, 7, 7, 7, -1], [7, 7]])
def test_registered_operator_checks_lengths(lengths, device, backend):
    if backend != "native":
        pytest.skip("the Triton operators leave the checks to the public function")
    with pytest.raises(RuntimeError, match="lengths: "):
        namespace(backend).lstm_sequence(
            *arguments(device=device)[:4], torch.tensor(lengths), None, None, "none", 1e-5, True
        )


def test_a_backward_pass_needs_what_the_forward_pass_has_kept(device, backend):
    if backend != "native":
        pytest.skip("the Triton operators leave the checks to the public function")
    operators, (*tensors, _, _) = namespace(backend), arguments(device=device)
    options = (None, None, None, "none", 1e-5)
    outputs, _, _, *kept = operators.lstm_sequence(*tensors, *options, False)
    with pytest.raises(RuntimeError, match="hidden_projections: needs what the forward pass has kept"):
        operators.lstm_sequence_backward(outputs, None, None, *tensors, *options, False, outputs, *kept)


X, H, W = torch.zeros(4, 2, 12), torch.zeros(2, 3), torch.zeros(12, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.lstm_sequence([X], H, H, W), TypeError, "projections: got list, needs a tensor"),
        (lambda: ops.lstm_sequence(X[0], H, H, W), ValueError, r"projections: got shape \(2, 12\), needs \(T, N, 4C\)"),
        (lambda: ops.lstm_sequence(X[..., :7], H, H, W), ValueError, r"projections: .* needs \(T, N, 4C\)"),
        (lambda: ops.lstm_sequence(X.int(), H, H, W), TypeError, "projections: got dtype torch.int32"),
        (lambda: ops.lstm_sequence(X, H[:1], H, W), ValueError, r"hidden: got shape \(1, 3\), needs \(2, 3\)"),
        (lambda: ops.lstm_sequence(X, None, H, W), TypeError, "hidden: got NoneType, needs a tensor"),
        (lambda: ops.lstm_sequence(X, H, H.double(), W), TypeError, "cell: got dtype torch.float64"),
        (lambda: ops.lstm_sequence(X, H, H, W.t()), ValueError, r"weight: got shape \(3, 12\), needs \(12, 3\)"),
        (lambda: ops.lstm_sequence(X, H, H, W.bfloat16()), TypeError, "weight: got dtype torch.bfloat16"),
        (lambda: ops.lstm_sequence(X, H, H, W, gain=W[:1]), ValueError, r"gain: got shape .* needs \(2, 12\)"),
        (lambda: ops.lstm_sequence(X, H, H, W, bias=H), ValueError, r"bias: got shape .* needs \(12,\)"),
        (lambda: ops.lstm_sequence(X, H, H, W, norm="group"), ValueError, "norm: got 'group'"),
        (lambda: ops.lstm_sequence(X, H, H, W, eps=0.0), ValueError, "eps: got 0.0"),
        (lambda: ops.lstm_sequence(X, H, H, W, lengths=[4]), ValueError, r"lengths: got \[4\], needs \(2,\) integers"),
        (lambda: ops.lstm_sequence(X, H, H, W, lengths=[4.0, 1]), ValueError, r"lengths: .* needs \(2,\) integers"),
        (lambda: ops.lstm_sequence(X, H, H, W, lengths=[5, 1]), ValueError, "lengths: got 1 to 5, needs 0 to 4"),
        (lambda: ops.lstm_sequence(X, H, H, W, lengths=H), ValueError, "lengths: got torch.float32 of shape"),
        (lambda: ops.lstm_sequence(X, H, H, W, lengths=[4, 1], norm="batch"), ValueError, "lengths: .* norm 'batch'"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()
