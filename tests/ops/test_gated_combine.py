"""The gated combinators beyond the contract: f(u, w) by hand, gates that take one side, and errors."""

import math
from functools import partial

import pytest
import torch

from fastladder import ops
from tests.ops.contract import FLOOR, distance

N, C, S = 3, 4, (5, 2)
ZERO, ONE = (0.0, 0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0, 1.0)  # parameters w of f(u, w) = 0 and f(u, w) = 1
IDENTITY = (0.0, 0.0, 0.0, 1.0, 0.0)  # f(u, w) = u

LATERAL, WEIGHTS = torch.zeros(2, 3, 5), torch.zeros(10, 3)  # for errors, which name them
THIRDS, F = torch.zeros(2, 9, 5), torch.zeros(5, 3)
CALLS = {
    "combine_g1": {"projection": LATERAL, "lateral": LATERAL, "gate": F, "content": F},
    "combine_g2": {"top": THIRDS, "lateral": THIRDS, "weights": torch.zeros(3, 5, 3)},
    "combine_g3_hidden": {"top": LATERAL, "lateral": LATERAL},
    "combine_g3": {"projections": THIRDS},
}

pytestmark = pytest.mark.usefixtures("fused")


@pytest.fixture
def per_channel(device):
    """Parameters (5, C) that are the same for every channel."""
    return lambda w: torch.tensor(w, device=device)[:, None].repeat(1, C)


@pytest.mark.parametrize(
    ("w", "u", "expected"),
    [
        (ZERO, 3.0, 0.0),
        (IDENTITY, -2.5, -2.5),
        ((2.0, 0.0, 0.0, 0.0, 0.25), 7.0, 1.25),  # 2 sigmoid(0) + 0.25
        ((4.0, 1.0, 0.0, 0.0, 0.0), math.log(3), 3.0),  # 4 sigmoid(log 3) = 4 * 3/4
        ((4.0, 2.0, -math.log(9), 0.0, 0.0), math.log(9), 3.6),  # 4 sigmoid(2 log 9 - log 9) = 4 * 9/10
        ((4.0, 1.0, math.log(3), 0.5, -1.0), 0.0, 2.0),  # 4 * 3/4 + 0 - 1
        ((4.0, -1.0, 0.0, 0.5, 1.0), math.log(3), 2.0 + 0.5 * math.log(3)),  # 4 * 1/4 + log(3) / 2 + 1
    ],
)
def test_activation(w, u, expected, per_channel, device):
    """f(u, w) = w0 sigmoid(w1 u + w2) + w3 u + w4, as the content of G1 and the combinator, and as mu1 of G2."""
    top, lateral = torch.full((N, C, *S), u, device=device), torch.full((N, C, *S), 100.0, device=device)
    zero, one, own = map(per_channel, (ZERO, ONE, w))
    results = [
        ops.combine_g1(top, lateral, zero, own, norm="none"),
        ops.ladder_combine(lateral, top, torch.cat([own, zero])),
        ops.combine_g2(top.repeat(1, 3, 1, 1), 0 * top.repeat(1, 3, 1, 1), torch.stack([own, zero, one]), norm="none"),
    ]
    for y in results:
        assert distance(y, torch.full_like(y, expected)) <= FLOOR


def test_channels_have_parameters_of_their_own(random, device):
    u, slopes = random(N, C, *S), torch.arange(1.0, C + 1, device=device)
    content = torch.zeros(5, C, device=device)
    content[3] = slopes
    y = ops.combine_g1(u, random(N, C, *S), torch.zeros_like(content), content, norm="none")
    torch.testing.assert_close(y, u * slopes[:, None, None])


@pytest.mark.parametrize("squash_gate", [False, True])
def test_ladder_combine_is_g1_without_a_norm(squash_gate, random):
    """Parameters a1 to a5 are those of the content, a6 to a10 those of the gate."""
    inputs = {"lateral": random(N, C, *S), "top": random(N, C, *S), "weights": random(10, C)}
    cotangent = random(N, C, *S)

    def as_g1(lateral, top, weights):
        content, gate = weights.split(5)
        return ops.combine_g1(top, lateral, gate, content, norm="none", squash_gate=squash_gate)

    results = []
    for function in (partial(ops.ladder_combine, squash_gate=squash_gate), as_g1):
        leaves = {name: x.clone().requires_grad_() for name, x in inputs.items()}
        y = function(**leaves)
        results.append([y, *torch.autograd.grad(y, list(leaves.values()), cotangent)])
    assert all(torch.equal(x, y) for x, y in zip(*results, strict=True))
    assert all(x.abs().max() > 0.1 for x in results[0])


@pytest.mark.parametrize(("gate", "taken"), [(ONE, "lateral"), (ZERO, "content")])
@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
def test_g1_takes_the_side_that_its_gate_names(gate, taken, norm, random, per_channel):
    """A gate of 1 takes the lateral alone, and a gate of 0 the content."""
    lateral, content = random(N, C, *S), per_channel((0.0, 0.0, 0.0, 0.0, 0.5))
    y = ops.combine_g1(random(N, C, *S), lateral, per_channel(gate), content, norm=norm)
    assert torch.equal(y, lateral if taken == "lateral" else torch.full_like(lateral, 0.5))


def test_squashed_gate_of_zero_takes_half_of_each(random, per_channel):
    top, lateral = random(N, C, *S), random(N, C, *S)
    zero, identity = per_channel(ZERO), per_channel(IDENTITY)
    y = ops.combine_g1(top, lateral, zero, identity, norm="none", squash_gate=True)
    torch.testing.assert_close(y, (top + lateral) / 2)
    y = ops.ladder_combine(lateral, top, torch.cat([identity, zero]), squash_gate=True)
    torch.testing.assert_close(y, (top + lateral) / 2)


@pytest.mark.parametrize(("gate", "taken"), [(ONE, 0), (ZERO, 1)])
def test_g2_takes_the_part_that_its_gate_names(gate, taken, random, per_channel):
    """A gate s of 1 takes mu1 alone, and a gate of 0 takes mu2: here the sums of the parts' projections."""
    top, lateral = random(N, 3 * C, *S), random(N, 3 * C, *S)
    identity = per_channel(IDENTITY)
    y = ops.combine_g2(top, lateral, torch.stack([identity, identity, per_channel(gate)]), norm="none")
    torch.testing.assert_close(y, (top + lateral).chunk(3, dim=1)[taken])


@pytest.mark.parametrize(("gate", "taken"), [(200.0, 1), (-200.0, 2)])
def test_g3_takes_the_part_that_its_gate_names(gate, taken, random):
    """A gate sigmoid(s) of 1 takes d alone, and a gate of 0 takes e."""
    projections = random(N, 3 * C, *S)
    projections[:, :C] = gate
    assert distance(ops.combine_g3(projections), projections.chunk(3, dim=1)[taken]) <= FLOOR


def test_hidden_layer_of_g3_is_the_positive_part_of_a_sum(random):
    top, lateral = random(N, C, *S), random(N, C, *S)
    gain, bias = random(2, C), 0.1 * random(C)
    y = ops.combine_g3_hidden(top, lateral, gain=gain, bias=bias, norm="none")
    g, h, b = gain[0][:, None, None], gain[1][:, None, None], bias[:, None, None]
    torch.testing.assert_close(y, (g * top + h * lateral + b).clamp(min=0))
    assert 0.2 < (y == 0).float().mean() < 0.8


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"lateral": [0.0]}, TypeError, "lateral: got list, needs a tensor"),
        ({"lateral": torch.zeros(3)}, ValueError, r"lateral: got shape \(3,\), needs \(N, C, \*S\)"),
        ({"lateral": LATERAL.int()}, TypeError, "lateral: got dtype torch.int32, needs one of torch.float32"),
        ({"top": LATERAL[:1]}, ValueError, r"top: got shape \(1, 3, 5\), needs \(2, 3, 5\) to go with lateral"),
        ({"top": LATERAL.double()}, TypeError, "top: got dtype torch.float64, needs torch.float32 like lateral"),
        ({"top": LATERAL.to("meta")}, ValueError, "top: got device meta, needs cpu like lateral"),
        ({"weights": WEIGHTS[:5]}, ValueError, r"weights: got shape \(5, 3\), needs \(10, 3\) to go with lateral"),
        ({"weights": WEIGHTS.to("meta")}, ValueError, "weights: got device meta, needs cpu like lateral"),
        ({"squash_gate": 1}, TypeError, "squash_gate: got 1, needs True or False"),
    ],
)
def test_errors_of_ladder_combine(changed, error, message):
    arguments = {"lateral": LATERAL, "top": LATERAL, "weights": WEIGHTS} | changed
    with pytest.raises(error, match=f"^{message}"):
        ops.ladder_combine(**arguments)


@pytest.mark.parametrize(
    ("operator", "changed", "message"),
    [
        ("combine_g1", {"lateral": LATERAL[:1]}, r"lateral: got shape \(1, 3, 5\), needs \(2, 3, 5\) to go with proj"),
        ("combine_g1", {"gate": F[:4]}, r"gate: got shape \(4, 3\), needs \(5, 3\) to go with projection"),
        ("combine_g1", {"content": WEIGHTS}, r"content: got shape \(10, 3\), needs \(5, 3\) to go with projection"),
        ("combine_g1", {"gain": F}, r"gain: got shape \(5, 3\), needs \(3,\) to go with projection"),
        ("combine_g2", {"top": THIRDS[:, :8]}, r"top: got shape \(2, 8, 5\), needs \(N, 3C, \*S\)"),
        ("combine_g2", {"lateral": LATERAL}, r"lateral: got shape \(2, 3, 5\), needs \(2, 9, 5\) to go with top"),
        ("combine_g2", {"weights": F}, r"weights: got shape \(5, 3\), needs \(3, 5, 3\) to go with top"),
        ("combine_g2", {"norm": "group"}, "norm: got 'group', needs one of 'none', 'layer', 'batch'"),
        ("combine_g3_hidden", {"gain": F}, r"gain: got shape \(5, 3\), needs \(2, 3\) to go with top"),
        ("combine_g3_hidden", {"bias": F}, r"bias: got shape \(5, 3\), needs \(3,\) to go with top"),
        ("combine_g3_hidden", {"eps": 0.0}, "eps: got 0.0, needs a number above 0"),
        ("combine_g3", {"projections": THIRDS[:, :7]}, r"projections: got shape \(2, 7, 5\), needs \(N, 3C, \*S\)"),
    ],
)
def test_errors_of_the_decoder_cells(operator, changed, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        getattr(ops, operator)(**CALLS[operator] | changed)
