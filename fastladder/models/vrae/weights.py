"""The initial weights of the paper's networks."""

import torch
from torch import nn

from fastladder.models.vrae.bernoulli import BernoulliOutput
from fastladder.nn.fast_dropout_linear import FastDropoutLinear
from fastladder.nn.fast_dropout_rnn import FastDropoutRecurrence
from fastladder.nn.init import sparse_normal_, spectral_radius_


@torch.no_grad()
def sparse_fast_dropout_(
    network: nn.Module,
    *,
    std: float = 0.1,
    connections: int = 15,
    spectral_radius: float = 1.1,
    output_bias: float = -0.8,
) -> None:
    """Draws the weights of an `FDRNN`, `VRAE` or `VOSP` as Bayer and Osendorfer (2014, appendix) do.

    A network is first drawn as `torch.nn` draws its layers. The paper searched over the first three numbers here; the
    defaults are of its ranges. Learned rates stay as they are.

    Args:
        network: whose layers with fast dropout are drawn anew.
        std: of the incoming connections of a unit.
        connections: how many incoming connections of a unit are not 0, at most.
        spectral_radius: to which recurrent weights are then scaled.
        output_bias: of the bits, which are rarely 1 in music; all other biases are 0.

    Raises:
        ValueError, TypeError: an argument is out of range; the message names it.
    """
    layers = list(network.modules())
    for layer in layers:
        if isinstance(layer, FastDropoutLinear):
            sparse_normal_(layer.weight, std, connections)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for layer in layers:
        if isinstance(layer, FastDropoutRecurrence):
            spectral_radius_(layer.hidden_projection.weight, spectral_radius)
        elif isinstance(layer, BernoulliOutput) and layer.linear.bias is not None:
            nn.init.constant_(layer.linear.bias, output_bias)
