"""The combinator of the Ladder network against its formula, written out."""

import copy

import pytest
import torch

from fastladder.nn import LadderCombinator
from tests.shuffled import shuffled

SIZES = [(), (5,), (4, 3), (2, 3, 4)]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(6)


def make(**options):
    return shuffled(LadderCombinator(3, **options), scale=0.5)


def normalize(x, norm, eps):
    if norm == "none":
        return x
    dims = tuple(range(1, x.dim())) if norm == "layer" else (0, *range(2, x.dim()))
    return (x - x.mean(dims, keepdim=True)) / (x.var(dims, correction=0, keepdim=True) + eps).sqrt()


def written_out(weight, lateral, top, norm, squash_gate, eps):
    a = [None, *(row.view(-1, *[1] * (lateral.dim() - 2)) for row in weight)]
    u = normalize(top, norm, eps)
    mu = a[1] * torch.sigmoid(a[2] * u + a[3]) + a[4] * u + a[5]
    v = a[6] * torch.sigmoid(a[7] * u + a[8]) + a[9] * u + a[10]
    if squash_gate:
        v = torch.sigmoid(v)
    return (lateral - mu) * v + mu


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("squash_gate", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_output_and_gradients(norm, squash_gate, size):
    combinator = make(norm=norm, squash_gate=squash_gate, eps=0.1, dtype=torch.float64)
    arguments = [torch.randn(4, 3, *size, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    output = combinator(*arguments)
    needed = written_out(combinator.weight, *arguments, norm, squash_gate, 0.1)
    torch.testing.assert_close(output, needed)
    cotangent = torch.randn_like(output)
    leaves = [combinator.weight, *arguments]
    ours, theirs = (torch.autograd.grad(y, leaves, cotangent) for y in (output, needed))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_at_first_it_returns_zero_or_half_the_lateral(norm):
    lateral, top = torch.randn(4, 3, 5), torch.randn(4, 3, 5)
    assert LadderCombinator(3, norm=norm)(lateral, top).eq(0).all()
    assert LadderCombinator(3, norm=norm, squash_gate=True)(lateral, top).equal(lateral / 2)
    combinator = make(norm=norm)
    combinator.reset_parameters()
    assert combinator.weight.t().tolist() == [[0, 1, 0, 0, 0, 0, 1, 0, 0, 0]] * 3


def test_the_batch_is_normalised_by_its_own_statistics_in_evaluation_too():
    combinator, arguments = make(norm="batch"), (torch.randn(4, 3), torch.randn(4, 3))
    assert copy.deepcopy(combinator).eval()(*arguments).equal(combinator(*arguments))
    assert list(combinator.state_dict()) == ["weight"]


def test_without_its_norm_it_takes_a_normalised_top():
    combinator, lateral, top = make(norm="batch", eps=1e-3), torch.randn(6, 3), torch.randn(6, 3) * 4 + 1
    plain = LadderCombinator(3)
    plain.load_state_dict(combinator.state_dict())
    torch.testing.assert_close(plain(lateral, normalize(top, "batch", 1e-3)), combinator(lateral, top))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_narrow_dtypes_and_autocast(dtype, norm):
    combinator, arguments = make(norm=norm), (torch.randn(16, 3), torch.randn(16, 3))
    needed = combinator(*arguments)
    narrow = copy.deepcopy(combinator).to(dtype)(*(a.to(dtype) for a in arguments))
    assert narrow.dtype == dtype
    torch.testing.assert_close(narrow.float(), needed, rtol=0.05, atol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(combinator(*arguments).float(), needed, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_compiles_without_a_graph_break(norm):
    combinator, arguments = make(norm=norm), (torch.randn(4, 3, 5), torch.randn(4, 3, 5))
    torch.compiler.reset()
    compiled = torch.compile(combinator, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*arguments), combinator(*arguments))


def test_meta_device_and_name():
    assert LadderCombinator(3, device="meta").weight.is_meta
    assert str(LadderCombinator(3, squash_gate=True)) == "LadderCombinator(3, norm='none', squash_gate=True, eps=1e-05)"


LATERAL = torch.rand(2, 3, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: LadderCombinator(0), ValueError, "channels: got 0"),
        (lambda: LadderCombinator(3, norm="instance"), ValueError, "norm: got 'instance'"),
        (lambda: LadderCombinator(3, squash_gate=1), TypeError, "squash_gate: got 1"),
        (lambda: LadderCombinator(3, eps=0), ValueError, "eps: got 0"),
        (lambda: LadderCombinator(4)(LATERAL, LATERAL), ValueError, r"lateral: got shape \(2, 3, 4\), needs \(N, 4, "),
        (lambda: LadderCombinator(3)(LATERAL, LATERAL[..., 0]), ValueError, r"top: got shape \(2, 3\), needs \(2, 3, "),
        (lambda: LadderCombinator(3)(LATERAL, LATERAL.double()), TypeError, "top: got dtype torch.float64"),
        (lambda: LadderCombinator(3)([1.0], LATERAL), TypeError, "lateral: got list"),
        (lambda: LadderCombinator(3)(LATERAL, None), TypeError, "top: got NoneType"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
