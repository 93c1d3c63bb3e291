"""Initial weights of recurrent networks, in the manner of `torch.nn.init`."""

import torch
from torch import Tensor, nn

from fastladder.nn.checks import check_size


@torch.no_grad()
def sparse_normal_(weight: Tensor, std: float, connections: int) -> Tensor:
    """Fills a weight with numbers from N(0, std^2), of which each unit keeps some incoming ones; the rest becomes 0.

    So fast-dropout RNNs begin (Bayer and Osendorfer, 2014, appendix; after Sutskever et al., 2013).

    Args:
        weight: (out_features, in_features).
        std: the standard deviation of what is not 0.
        connections: the most incoming connections of a unit, in random places.

    Returns:
        weight.

    Raises:
        ValueError, TypeError: an argument is not as said; the message names it.
    """
    if weight.dim() != 2:
        raise ValueError(f"weight: got shape {tuple(weight.shape)}, needs (out_features, in_features)")
    inputs = weight.shape[1]
    zeros = max(inputs - check_size("connections", connections), 0)
    # It rounds the number of zeros in a column up, which for half a zero fewer is the number itself, however it rounds.
    nn.init.sparse_(weight.t(), (zeros - 0.5) / inputs, std)
    return weight


@torch.no_grad()
def spectral_radius_(weight: Tensor, radius: float) -> Tensor:
    """Scales a recurrent weight such that the largest absolute value of its eigenvalues is `radius`.

    The sources are those of :func:`sparse_normal_`.

    Args:
        weight: (hidden_size, hidden_size).
        radius: from 0.

    Returns:
        weight.

    Raises:
        ValueError: an argument is not as said, or all eigenvalues are 0; the message names it.
    """
    if weight.dim() != 2 or weight.shape[0] != weight.shape[1]:
        raise ValueError(f"weight: got shape {tuple(weight.shape)}, needs (hidden_size, hidden_size)")
    if radius < 0:
        raise ValueError(f"radius: got {radius}, needs a number from 0")
    largest = torch.linalg.eigvals(weight.double()).abs().max()
    if largest == 0:
        raise ValueError("weight: got a matrix whose eigenvalues are all 0, needs another eigenvalue")
    return weight.mul_((radius / largest).to(weight.dtype))
