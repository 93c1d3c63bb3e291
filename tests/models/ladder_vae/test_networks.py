"""Both networks beyond their bounds: sizes, samples, images, batch normalisation, and errors."""

import pytest
import torch
from torch.optim.swa_utils import update_bn

from fastladder.models import HierarchicalVAE, LadderVAE
from fastladder.models.ladder_vae.gaussians import GaussianHead, Style
from tests.models.ladder_vae.tiny import KINDS, PIXELS, bits, generator, tiny


def parameters_of_mapping(inputs, hidden, outputs):
    """Of an MLP of two layers and two heads, each with gain and bias of batch normalisation."""
    layers = [(inputs, hidden), (hidden, hidden), (hidden, outputs), (hidden, outputs)]
    return sum(a * b + 2 * b for a, b in layers)


def mlp(inputs, hidden):
    return parameters_of_mapping(inputs, hidden, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_networks_of_the_paper(kind):
    latents, hidden = (64, 32, 16, 8, 4), (512, 256, 128, 64, 32)
    network = kind((1, 28, 28))
    between = list(zip(latents, latents[1:], hidden[1:], strict=False))
    down = sum(parameters_of_mapping(above, units, here) for here, above, units in between)
    expected = mlp(64, 512) + 512 * 784 + 784 + down
    if kind is HierarchicalVAE:
        expected += parameters_of_mapping(784, 512, 64)
        expected += sum(parameters_of_mapping(here, units, above) for here, above, units in between)
    else:
        expected += mlp(784, 512) + sum(mlp(here, units) for here, _, units in between)
        expected += sum(2 * (units * size + 2 * size) for units, size in zip(hidden, latents, strict=True)) + down
    assert sum(p.numel() for p in network.parameters()) == expected


def test_mean_and_variance_start_as_layers_of_their_own():
    torch.manual_seed(0)
    head = GaussianHead(300, 200, Style("batch", "leaky_relu", 1e-5))
    for weight in head.mean_and_var.linear.weight.chunk(2):
        assert weight.std().item() == pytest.approx((2 / 500) ** 0.5, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("channels", [(), (4,), (4, 6)])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_images(kind, likelihood, channels, norm):
    shape = (2, 8, 4)
    network = tiny(kind, (3, 2), input_shape=shape, channels=channels, likelihood=likelihood, norm=norm)
    x = bits(5, shape)
    assert network.reconstruct(x, generator=generator()).shape == x.shape
    assert network.sample(7, generator=generator()).shape == (7, *shape)
    network.train()(x, 2, 3, generator=generator()).objective.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_samples_follow_the_prior_from_any_layer(kind):
    network = tiny(kind, (3, 2, 2))
    draws = torch.Generator().manual_seed(5)
    z = torch.randn(6, 2, generator=draws, dtype=torch.float64)
    for prior in (network.priors[1], network.priors[0]):
        mean, var = prior(z)
        z = mean + var.sqrt() * torch.randn(mean.shape, generator=draws, dtype=torch.float64)
    expected = network.writer(z).squeeze(1).sigmoid()
    torch.testing.assert_close(network.sample(6, generator=generator(5)), expected)
    torch.testing.assert_close(network.sample(6, layer=3, generator=generator(5)), expected)
    z = torch.randn(6, 3, generator=generator(5), dtype=torch.float64)
    expected = network.writer(z).squeeze(1).sigmoid()
    torch.testing.assert_close(network.sample(6, layer=1, generator=generator(5)), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_that_are_collected_anew_are_those_of_the_data(kind):
    network, data = tiny(kind, (3, 2)), bits(64)
    network.train()
    for _ in range(3):
        network(data + 5.0)  # far from the data
    update_bn([data[:32], data[32:]], network)
    first = next(m for m in network.reader.modules() if isinstance(m, torch.nn.BatchNorm1d))
    linear = next(m for m in network.reader.modules() if isinstance(m, torch.nn.Linear))
    torch.testing.assert_close(first.running_mean, linear(data).mean(0))


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns(kind):
    """Two clusters of images: their likelihood comes close to what a coin and three certain bits have."""
    torch.manual_seed(0)
    network = kind(PIXELS, (2, 1), (16, 8))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    data = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]).repeat(32, 1)
    for step in range(300):
        optimizer.zero_grad()
        network(data, beta=min(1.0, step / 100), generator=generator(step)).objective.backward()
        optimizer.step()
    update_bn([data] * 10, network)
    network.eval()
    likelihood = network.log_likelihood(data[:2], 200, generator=generator())
    assert (likelihood > -1.0).all()  # log 1/2 = -0.69, and -2.1 of independent bits


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_under_autocast_the_bound_is_float32(kind, dtype):
    torch.manual_seed(0)
    network = kind(PIXELS, (3, 2), (8, 8))
    x = bits(8).float()
    with torch.autocast("cpu", dtype):
        bound = network(x, generator=generator())
    assert bound.objective.dtype == bound.reconstruction.dtype == bound.kl[0].dtype == torch.float32
    torch.testing.assert_close(bound.objective, network(x, generator=generator()).objective, rtol=0.05, atol=0.05)


ERRORS = [
    ({"latents": (3, 2), "hidden": (8,)}, r"hidden: got \(8,\) for latents \(3, 2\), needs one size for each layer"),
    ({"latents": (), "hidden": ()}, "hidden: got"),
    ({"latents": (3, 0), "hidden": (8, 8)}, "latents: got 0, needs a number above 0"),
    ({"likelihood": "poisson"}, "likelihood: got 'poisson'"),
    ({"norm": "layer"}, "norm: got 'layer'"),
    ({"nonlinearity": "gelu"}, "nonlinearity: got 'gelu'"),
    ({"variance_floor": -1.0}, "variance_floor: got -1.0, needs a number from 0"),
    ({"channels": (4,)}, r"input_shape: got \(3,\), needs \(C, H, W\)"),
    ({"channels": (4,), "input_shape": (1, 6, 7)}, r"input_shape: got \(1, 6, 7\), needs .* that 2 divides"),
]


@pytest.mark.parametrize(("options", "message"), ERRORS)
def test_bad_declarations(options, message):
    declaration = {"input_shape": PIXELS, "latents": (3, 2), "hidden": (8, 8), **options}
    with pytest.raises(ValueError, match=message):
        LadderVAE(**declaration)


BAD_CALLS = [
    (lambda network, x: network(x[:, :2]), ValueError, r"x: got shape \(4, 2\), needs \(N, 3\)"),
    (lambda network, x: network(x.float()), ValueError, "x: got torch.float32"),
    (lambda network, x: network([1.0]), TypeError, "x: got list, needs a tensor"),
    (lambda network, x: network(x, importance=0), ValueError, "importance: got 0, needs a number above 0"),
    (lambda network, x: network(x, samples=0), ValueError, "samples: got 0"),
    (lambda network, x: network(x, beta=-0.1), ValueError, "beta, free_bits: got -0.1"),
    (lambda network, x: network(x, importance=2, free_bits=1.0), ValueError, "free_bits: got 1.0 with 2"),
    (lambda network, x: network.log_likelihood(x, 0), ValueError, "samples: got 0, needs a number above 0"),
    (lambda network, x: network.sample(3, layer=3), ValueError, "layer: got 3, needs 1 to 2"),
    (lambda network, x: network.sample(0), ValueError, "n: got 0"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_bad_calls(call, error, message):
    with pytest.raises(error, match=message):
        call(tiny(LadderVAE, (3, 2)), bits())
