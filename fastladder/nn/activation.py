"""Initial parameters of f(u, w) = w0 sigmoid(w1 u + w2) + w3 u + w4, the activation of the decoder cells G1 and G2."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fastladder.ops.checks import check_option

INITS = ("default", "ladder")
GATE = (1.0, 1.0, 0.0, 0.0, 0.0)  # f(u) = sigmoid(u)
CONTENT = (0.0, 1.0, 0.0, 1.0, 0.0)  # f(u) = u
LADDER = (0.0, 1.0, 0.0, 0.0, 0.0)  # f(u) = 0, as in the Ladder network's own code


def check_init(init: str) -> None:
    check_option("init", init, INITS)


def fill_activation(weights: Tensor, init: str, default: Sequence[float]) -> None:
    """Fills weights (5, C) with `default` or, for init "ladder", so that f starts at 0."""
    values = default if init == "default" else LADDER
    with torch.no_grad():
        for row, value in zip(weights, values, strict=True):
            nn.init.constant_(row, value)
