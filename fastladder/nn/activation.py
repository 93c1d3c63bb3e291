"""Initial parameters of f(u, w) = w0 sigmoid(w1 u + w2) + w3 u + w4, the activation of the decoder cells G1 and G2."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fastladder.ops.checks import check_option

INITS = ("default", "ladder")
GATE = (1.0, 1.0, 0.0, 0.0, 0.0)  # f(u) = sigmoid(u)
CONTENT = (0.0, 1.0, 0.0, 1.0, 0.0)  # f(u) = u
LADDER = (0.0, 1.0, 0.0, 0.0, 0.0)  # f(u) = 0, as in the Ladder network's own code


def check_init(init: str) -> None:
    check_option("init", init, INITS)


def activation_values(channels: int, init: str, default: Sequence[float]) -> Tensor:
    """The weights (5, C) that f starts from: `default` or, for init "ladder", those that make it 0."""
    values = default if init == "default" else LADDER
    return torch.tensor(values)[:, None].expand(5, channels)
