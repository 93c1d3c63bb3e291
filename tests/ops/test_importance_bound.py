"""The bound by weighted samples: the logarithm of their mean, which grows with their number and stays a bound."""

import math

import pytest
import torch
from torch.distributions import Normal

from fastladder import ops

pytestmark = pytest.mark.usefixtures("fused")


def test_it_is_the_logarithm_of_the_mean_weight(random):
    log_weights = random(7, 3, 5)
    for dim in (0, 1, 2, -1):
        truth = log_weights.double().exp().mean(dim).log().float()
        torch.testing.assert_close(ops.importance_bound(log_weights, dim), truth)
    torch.testing.assert_close(ops.importance_bound(log_weights), ops.importance_bound(log_weights, dim=0))


@pytest.mark.parametrize("samples", [1, 2, 5000])
def test_equal_weights_are_worth_one_of_them(samples, device):
    """Without 1 / K it would be too large by the logarithm of 5000, which is 8.5."""
    log_weights = torch.tensor([-90.0, 0.0, 3.5], device=device).expand(samples, 3)
    torch.testing.assert_close(ops.importance_bound(log_weights), log_weights[0])


def test_it_grows_with_the_samples_and_never_exceeds_the_likelihood(device):
    """Of x = 1 under z from N(0, 1) and x from N(z, 1), drawn from a q which is not the posterior N(1/2, 1/2)."""
    generator = torch.Generator().manual_seed(0)
    prior, q, x = Normal(0.0, 1.0), Normal(0.0, 1.2), torch.tensor(1.0)
    z = 1.2 * torch.randn(1000, 2000, generator=generator)
    log_weights = (prior.log_prob(z) + Normal(z, 1.0).log_prob(x) - q.log_prob(z)).to(device)
    truth = Normal(0.0, math.sqrt(2)).log_prob(x).item()
    bounds = [ops.importance_bound(log_weights[:k]).mean().item() for k in (1, 5, 50, 1000)]
    assert bounds == sorted(bounds)
    assert bounds[0] < truth - 0.2
    assert bounds[-1] == pytest.approx(truth, abs=2e-3)
    assert bounds[-1] < truth + 1e-3  # the average over 2000 of them varies by that much


def test_far_weights_neither_overflow_nor_vanish(device):
    log_weights = torch.tensor([[-1000.0, 1000.0, -math.inf], [-1001.0, 0.0, -2.0]], device=device)
    truth = torch.tensor([-1000 + math.log1p(math.exp(-1)) - math.log(2), 1000 - math.log(2), -2 - math.log(2)])
    torch.testing.assert_close(ops.importance_bound(log_weights).cpu(), truth)


def test_no_weight_at_all_and_what_is_no_number(device):
    log_weights = torch.tensor([[-math.inf, math.nan, math.inf], [-math.inf, 0.0, 0.0]], device=device)
    bound = ops.importance_bound(log_weights).cpu()
    assert bound[0] == -math.inf
    assert bound[1].isnan()
    assert bound[2] == math.inf


def test_gradients_are_the_normalised_weights(random):
    log_weights, cotangent = random(6, 4).requires_grad_(), random(4)
    (gradient,) = torch.autograd.grad(ops.importance_bound(log_weights), log_weights, cotangent)
    torch.testing.assert_close(gradient, log_weights.softmax(0) * cotangent)


def test_samples_without_a_weight_have_no_gradient(device):
    log_weights = torch.tensor([-math.inf, 0.5, -math.inf], device=device, requires_grad=True)
    (gradient,) = torch.autograd.grad(ops.importance_bound(log_weights), log_weights)
    torch.testing.assert_close(gradient.cpu(), torch.tensor([0.0, 1.0, 0.0]))


def test_no_data_gives_no_bounds(device):
    assert ops.importance_bound(torch.ones(3, 0, device=device)).shape == (0,)


def test_bounds_are_float32(random, device):
    """Autocast does not touch the weights, which are sums: -90.3 in bfloat16 is -90.5."""
    log_weights = random(5, 3) - 90
    narrow = log_weights.bfloat16()
    assert ops.importance_bound(narrow).dtype == torch.float32
    torch.testing.assert_close(ops.importance_bound(narrow), ops.importance_bound(narrow.float()))
    with torch.autocast(device.type, dtype=torch.bfloat16):
        assert torch.equal(ops.importance_bound(log_weights), ops.importance_bound(log_weights.clone()))
    assert (ops.importance_bound(log_weights) - ops.importance_bound(narrow)).abs().max() > 1e-3


def test_compiles_for_any_number_of_samples(random):
    torch._dynamo.reset()
    compiled = torch.compile(ops.importance_bound, fullgraph=True, backend="aot_eager", dynamic=True)
    for samples, batch in ((11, 5), (13, 5), (13, 7)):
        log_weights = random(samples, batch)
        with torch._dynamo.config.patch(error_on_recompile=True):
            torch.testing.assert_close(compiled(log_weights), ops.importance_bound(log_weights))


def test_bad_arguments_are_refused():
    log_weights = torch.zeros(4, 3)
    with pytest.raises(
        ValueError, match=r"log_weights: got shape \(0, 3\), needs at least one sample along dimension 0"
    ):
        ops.importance_bound(log_weights[:0])
    with pytest.raises(ValueError, match="dim: got 2, needs a dimension of log_weights, which has 2"):
        ops.importance_bound(log_weights, 2)
    with pytest.raises(ValueError, match="dim: got 0, needs a dimension of log_weights, which has 0"):
        ops.importance_bound(log_weights[0, 0])
    with pytest.raises(TypeError, match="dim: got bool, needs an int"):
        ops.importance_bound(log_weights, True)
    with pytest.raises(TypeError, match=r"log_weights: got dtype torch.int64, needs one of torch.float32"):
        ops.importance_bound(log_weights.long())
    with pytest.raises(TypeError, match="log_weights: got list, needs a tensor"):
        ops.importance_bound([0.0])
