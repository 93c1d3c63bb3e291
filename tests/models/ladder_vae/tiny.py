"""Networks small enough to integrate over their latent variables."""

import torch

from fastladder.models import HierarchicalVAE, LadderVAE

KINDS = [HierarchicalVAE, LadderVAE]
PIXELS = 3


def tiny(kind, latents=(1, 1), seed=0, **options):
    """A network of float64 in evaluation mode, whose variances are of the order of 1."""
    torch.manual_seed(seed)
    hidden = options.pop("hidden", (4,) * len(latents))
    network = kind(options.pop("input_shape", PIXELS), latents, hidden, dtype=torch.float64, **options)
    return network.eval()


def bits(n=4, shape=(PIXELS,), seed=1):
    """Zeros and ones, (n, *shape)."""
    return torch.randint(2, (n, *shape), generator=torch.Generator().manual_seed(seed)).double()


def generator(seed=2):
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def integrated_log_likelihood(network, x, points=401, width=8.0):
    """log p(x) of a network with two layers of one unit each, (N,), summed over a grid of z_1 and z_2."""
    grid = torch.linspace(-width, width, points, dtype=torch.float64)
    step = grid[1] - grid[0]
    normal = torch.distributions.Normal
    log_p2 = normal(0.0, 1.0).log_prob(grid)
    mean, var = network.priors[0](grid[:, None])
    log_p1 = normal(mean, var.sqrt()).log_prob(grid)  # (z_2, z_1)
    log_p1 = torch.logsumexp(log_p1 + log_p2[:, None], 0) + step.log()  # of z_1 alone
    output = network.writer(grid[:, None])
    given = [network.observation.log_likelihood(each.expand(points, -1), output) for each in x]
    return torch.stack([torch.logsumexp(log_p1 + likelihood, 0) + step.log() for likelihood in given])
