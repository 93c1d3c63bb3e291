"""Gaussians merged, drawn from and compared: right by densities on a grid and by torch.distributions, and at limits."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from fastladder import ops, reference
from tests.ops.contract import evaluate, gaussian_kl, gaussian_merge, merge_sample_kl

pytestmark = pytest.mark.usefixtures("fused")


@pytest.fixture
def gaussians(device):
    """gaussians(count) has mean and variance of so many, each (4, 5, 3) in float32; variances from 0.02 to 50."""
    generator = torch.Generator().manual_seed(11)

    def draw(count):
        numbers = torch.randn(count, 2, 4, 5, 3, generator=generator)
        return [x.to(device) for mean, log in 1.3 * numbers for x in (mean, log.exp())]

    return draw


def double(tensors):
    return [x.cpu().double() for x in tensors]


def assert_close(got, truth, rtol=2e-6, atol=1e-6):
    torch.testing.assert_close(got.cpu().double(), truth, rtol=rtol, atol=atol)


def on_grid(mean, var, others=()):
    """Log densities of Gaussians with these means and variances at many points around each: (points), (..., points)."""
    points = torch.linspace(-60, 60, 60001, dtype=torch.float64)
    return points, [Normal(m[..., None], v[..., None].sqrt()).log_prob(points) for m, v in ((mean, var), *others)]


def test_merged_is_the_normalised_product_of_the_densities(gaussians):
    tensors = [x[:1, :, 0] for x in gaussians(2)]
    mean_a, var_a, mean_b, var_b = double(tensors)
    points, logs = on_grid(mean_a, var_a, [(mean_b, var_b)])
    weights = sum(logs).softmax(-1)
    truth = (weights * points).sum(-1)
    mean, var = ops.gaussian_merge(*tensors)
    assert_close(mean, truth)
    assert_close(var, (weights * (points - truth[..., None]).square()).sum(-1))


def test_merging_is_symmetric_and_adds_precisions(gaussians):
    a, b = gaussians(1), gaussians(1)
    mean, var = ops.gaussian_merge(*a, *b)
    for x, y in zip(ops.gaussian_merge(*b, *a), (mean, var), strict=True):
        torch.testing.assert_close(x, y)
    (mean_a, var_a), (mean_b, var_b) = double(a), double(b)
    assert_close(1 / var, 1 / var_a + 1 / var_b)
    assert_close(mean, (mean_a / var_a + mean_b / var_b) / (1 / var_a + 1 / var_b))


@pytest.mark.parametrize(
    ("var_a", "var_b"),
    [(1e-30, 1e-30), (1e-30, 3e-30), (2e-30, 1.0), (1.0, 2e-30), (1e-25, 1e-19), (1e-10, 1e10), (1e20, 3e20)],
)
def test_merging_is_exact_whatever_the_variances(var_a, var_b, device):
    """In values and in gradients, relative to each of them: the product of two variances of 1e-20 is 0 in float32."""
    generator = torch.Generator().manual_seed(2)
    mean_a, mean_b, of_mean, of_var = (torch.randn(3, 20, generator=generator).to(device) for _ in range(4))
    of_var /= min(var_a, var_b)  # so that variances matter to their own gradients as means do
    leaves = [mean_a, torch.full_like(mean_a, var_a), mean_b, torch.full_like(mean_a, var_b)]
    leaves = [x.requires_grad_() for x in leaves]
    merged = ops.gaussian_merge(*leaves)
    gradients = torch.autograd.grad(merged, leaves, [of_mean, of_var])
    a, v_a, b, v_b, of_mean, of_var = double([x.detach() for x in (*leaves, of_mean, of_var)])
    share_a, share_b, slope = v_a / (v_a + v_b), v_b / (v_a + v_b), of_mean * (b - a) / (v_a + v_b)
    truth = [share_b * a + share_a * b, share_a * v_b]
    truth += [share_b * of_mean, share_b * (share_b * of_var + slope)]
    truth += [share_a * of_mean, share_a * (share_a * of_var - slope)]
    for got, expected in zip((*merged, *gradients), truth, strict=True):
        assert_close(got, expected, rtol=1e-6, atol=1e-6 * expected.abs().mean().item())


def test_divergence_is_that_of_torch(gaussians):
    tensors = gaussians(2)
    m_q, v_q, m_p, v_p = double(tensors)
    truth = kl_divergence(Independent(Normal(m_q, v_q.sqrt()), 2), Independent(Normal(m_p, v_p.sqrt()), 2))
    assert_close(ops.gaussian_kl(*tensors), truth)


def test_divergence_is_the_mean_difference_of_log_densities(gaussians):
    tensors = [x[:, :1, 0] for x in gaussians(2)]
    mean_q, var_q, mean_p, var_p = double(tensors)
    points, (log_q, log_p) = on_grid(mean_q, var_q, [(mean_p, var_p)])
    truth = torch.trapezoid(log_q.exp() * (log_q - log_p), points)[:, 0]
    assert_close(ops.gaussian_kl(*tensors), truth, atol=2e-6)


def test_divergence_of_equals_is_zero_and_so_are_its_gradients(gaussians):
    mean, var = gaussians(1)
    leaves = [x.clone().requires_grad_() for x in (mean, var, mean, var)]
    kl = ops.gaussian_kl(*leaves)
    assert kl.abs().max() < 1e-5  # 15 terms, of which each may be off by a rounding of its parts
    for gradient in torch.autograd.grad(kl.sum(), leaves):
        assert gradient.abs().max() <= 1e-6 * (1 / var).max()


def test_divergence_of_single_units(gaussians):
    """As `merge_sample_kl` says: by units as samples of one element."""
    tensors = gaussians(2)
    units = ops.gaussian_kl(*(x.reshape(-1, 1) for x in tensors)).view(4, 15)
    torch.testing.assert_close(units.sum(1), ops.gaussian_kl(*tensors))
    assert (units > -1e-6).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_is_composed_of_its_parts(gaussians, dtype):
    """In values and gradients; parts are composed in float32, as the layer rounds its results only."""
    *narrow, noise = (x.to(dtype) for x in [*gaussians(3), gaussians(1)[0]])
    wide = [x.float() for x in (*narrow, noise)]
    mean, var = ops.gaussian_merge(*wide[:4])
    composed = mean + var.sqrt() * wide[6], mean, var, ops.gaussian_kl(mean, var, *wide[4:6])
    fused = ops.merge_sample_kl(*narrow, noise)
    assert [x.dtype for x in fused] == [dtype, dtype, dtype, torch.float32]
    for got, truth in zip(fused, composed, strict=True):
        torch.testing.assert_close(got, truth.to(got.dtype))


def test_gradients_of_a_layer_are_those_of_its_parts(gaussians):
    *inputs, noise = [*gaussians(3), gaussians(1)[0]]
    cotangents = [*gaussians(1), noise.flip(0), torch.tensor([1.0, -2.0, 0.5, 3.0], device=noise.device)]

    def composed(mean_d, var_d, mean_t, var_t, mean_p, var_p, noise):
        mean, var = ops.gaussian_merge(mean_d, var_d, mean_t, var_t)
        return mean + var.sqrt() * noise, mean, var, ops.gaussian_kl(mean, var, mean_p, var_p)

    results = []
    for function in (ops.merge_sample_kl, composed):
        leaves = [x.clone().requires_grad_() for x in (*inputs, noise)]
        results.append(torch.autograd.grad(function(*leaves), leaves, cotangents))
    for got, truth in zip(*results, strict=True):
        torch.testing.assert_close(got, truth, rtol=1e-5, atol=1e-5 * truth.abs().max().item())


def test_samples_are_distributed_as_the_mean_and_variance_say(device):
    generator = torch.Generator().manual_seed(1)
    mean, var = torch.tensor([[0.5, -2.0]]), torch.tensor([[0.3, 4.0]])
    noise = torch.randn(40000, 2, generator=generator).to(device)
    given = [x.expand(40000, 2).to(device) for x in (mean, 2 * var, mean, 2 * var, mean, var)]
    z, _, _, kl = ops.merge_sample_kl(*given, noise)  # two Gaussians alike have half the variance of each
    assert_close(z.mean(0), mean[0].double(), rtol=0, atol=0.04)
    assert_close(z.var(0), var[0].double(), rtol=0.04, atol=0)
    assert kl.abs().max() < 1e-5


@pytest.mark.parametrize("row", [gaussian_merge(), gaussian_kl(), merge_sample_kl()], ids=lambda row: row.name)
def test_zero_and_negative_and_extreme_variances(row, device):
    """Infinity and NaN come where the reference has them."""
    for value in (0.0, -0.0, -1.0, -1e-30, 1e-30, 1e30, math.inf, -math.inf, math.nan):
        for name in row.arguments:
            if not name.startswith("var"):
                continue
            inputs = dict(zip(row.arguments, row.inputs((3, 5), device=device), strict=True))
            inputs[name][1, 2] = value
            outputs, truth = row.call(*inputs.values()), row.call(*inputs.values(), where=reference)
            for got, expected in zip(outputs, truth, strict=True):
                torch.testing.assert_close(got, expected, equal_nan=True, msg=f"{name} {value}")


def test_divergences_of_variances_that_are_none(device):
    """As the operator's description says."""
    var_q, var_p = torch.tensor([[0.0, 1.0, -1.0, 1.0], [1.0, 0.0, 1.0, -1.0]], device=device)[..., None]
    kl = ops.gaussian_kl(torch.ones_like(var_q), var_q, torch.zeros_like(var_q), var_p).cpu()
    assert kl[0] == math.inf
    assert kl[1:].isnan().all()


@pytest.mark.parametrize("shape", [(2, 5001), (3, 7, 41, 43), (1000, 1), (70, 3)], ids=str)
def test_rows_of_any_length_keep_their_precision(shape, device):
    """Several threads, programs or vectors a row, and several rows in each of them."""
    row = merge_sample_kl()
    inputs = row.inputs(shape, device=device)
    truth = evaluate(row, double(inputs), where=reference)
    for got, expected in zip(evaluate(row, inputs), truth, strict=True):
        assert_close(got, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (4, 3, 0)], ids=["no-samples", "no-channels", "no-positions"])
def test_empty_tensors(shape, device):
    tensors = [torch.ones(shape, device=device, requires_grad=True) for _ in range(7)]
    kl = ops.gaussian_kl(*tensors[:4])
    assert torch.equal(kl, torch.zeros(shape[0], device=device))
    *activations, kl = ops.merge_sample_kl(*tensors)
    assert all(x.shape == shape for x in activations)
    assert torch.equal(kl, torch.zeros(shape[0], device=device))
    assert all(x.shape == shape for x in torch.autograd.grad(kl.sum(), tensors))


def test_bad_arguments_are_refused():
    x = torch.ones(4, 2, 3)
    with pytest.raises(ValueError, match=r"mean_a: got shape \(4,\), needs \(N, C, \*S\)"):
        ops.gaussian_merge(*[torch.ones(4)] * 4)
    with pytest.raises(ValueError, match=r"var_b: got shape \(4, 2, 1\), needs \(4, 2, 3\) to go with mean_a"):
        ops.gaussian_merge(x, x, x, x[..., :1])
    with pytest.raises(TypeError, match=r"var_q: got dtype torch.float64, needs torch.float32 like mean_q"):
        ops.gaussian_kl(x, x.double(), x, x)
    with pytest.raises(TypeError, match=r"mean_q: got dtype torch.int64, needs one of torch.float32"):
        ops.gaussian_kl(*[x.long()] * 4)
    with pytest.raises(TypeError, match="mean_d: got list, needs a tensor"):
        ops.merge_sample_kl([0.0], x, x, x, x, x, x)
    with pytest.raises(TypeError, match="noise: got float, needs a tensor"):
        ops.merge_sample_kl(x, x, x, x, x, x, 1.0)
    with pytest.raises(ValueError, match="mean_p: got device meta, needs cpu like mean_d"):
        ops.merge_sample_kl(x, x, x, x, x.to("meta"), x, x)
