"""Small networks and data for the tests of latent sequences."""

import torch

from fastladder.models import VOSP, VRAE

NETWORKS = {"VRAE": VRAE, "VOSP": VOSP}
STEPS = torch.arange(1, 8, dtype=torch.float64)
KERNELS = {  # the covariance of every prior
    "decaying": (-(STEPS[:, None] - STEPS).abs() / 2).exp(),
    "smooth": (-(STEPS[:, None] - STEPS).square() / 3).exp() + 0.1 * torch.eye(7, dtype=torch.float64),
    "wiener": torch.minimum(STEPS[:, None], STEPS),
    "white": torch.eye(7, dtype=torch.float64),
}
PRIORS = {"wiener": "wiener", "white": "white", "decaying": KERNELS["decaying"], "smooth": KERNELS["smooth"]}


def make(name, features=3, latent_size=2, hidden_size=5, *, scale=1.5, **options):
    """A network whose weights are scaled up, so that everything depends on its input."""
    torch.manual_seed(4)
    network = NETWORKS[name](features, latent_size, hidden_size, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(scale)
    return network


def bits(*shape, seed=1, dtype=torch.float64):
    return torch.randint(2, shape, generator=generator(seed)).to(dtype)


def generator(seed=2):
    return torch.Generator().manual_seed(seed)


def widen(network):
    """Adds 2 to the variances of the posterior: one narrower than the prior has weights of infinite variance."""
    network.head.step.register_forward_hook(lambda layer, inputs, output: (output[0], output[1] + 2))
    return network
