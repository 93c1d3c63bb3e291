"""One level of a Ladder network's encoder."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastladder.models.ladder.rows import LadderRow
from fastladder.models.spatial import Shape
from fastladder.nn.batch_statistics import BatchNormalized, move_statistics
from fastladder.nn.reset import reset_children
from fastladder.tensors import compute_dtype_of, per_channel

ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": functional.relu,
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.1),
    "softmax": lambda x: x.softmax(1),
}


class LevelActivations(NamedTuple):
    """What a `LadderLayer` returns, each (N, C, *S)."""

    projection: Tensor  # p
    lateral: Tensor  # z
    preactivation: Tensor  # a
    hidden: Tensor  # h_l


class LadderLayer(BatchNormalized):
    r"""Computes the activations of a level from those of the level below it.

    .. math::
        p = W h_{l-1}, \qquad z = \mathrm{norm}(p) + n, \qquad a = \gamma (z + \beta), \qquad h_l = \phi(a)

    with noise n. Only a softmax has a gain :math:`\gamma`; a linear activation has no bias :math:`\beta`.

    Args:
        row: the declaration of W.
        shape: (C, \*S) of :math:`h_{l-1}`.
        activation: phi, one of `ACTIVATIONS`.
        norm: "batch" or "layer".
        eps: added to the variance.
        running: whether there are running statistics.
    """

    def __init__(
        self, row: LadderRow, shape: Shape, *, activation: str, norm: str, eps: float, running: bool, **factory: Any
    ) -> None:
        super().__init__()
        self.activation, self.norm, self.eps = activation, norm, eps
        self.projection: Any = row.build(shape, **factory)
        channels = row.output_shape(shape)[0]
        self.bias = None if activation == "linear" else nn.Parameter(torch.empty(channels, **factory))
        self.gain = nn.Parameter(torch.empty(channels, **factory)) if activation == "softmax" else None
        self.register_buffer("running_mean", torch.empty(channels, **factory) if running else None)
        self.register_buffer("running_var", torch.empty(channels, **factory) if running else None)
        self.reset_parameters()

    running_mean: Tensor | None
    running_var: Tensor | None

    def reset_parameters(self) -> None:
        """The projection as its row draws it, gain and running variance 1, bias and running mean 0."""
        reset_children(self)
        for tensor in (self.gain, self.running_var):
            if tensor is not None:
                nn.init.ones_(tensor)
        for tensor in (self.bias, self.running_mean):
            if tensor is not None:
                nn.init.zeros_(tensor)

    def forward(self, below: Tensor, *, running: bool = False, noise: float = 0.0) -> LevelActivations:
        """Runs the layer.

        Args:
            below: h_(l-1), (N, C', *S').
            running: whether to normalise by the running statistics, where there are any, instead of those of the batch.
            noise: the standard deviation of n.
        """
        projection = self.projection(below)
        lateral = corrupted(self._normalized(projection, running), noise)
        preactivation = lateral if self.bias is None else lateral + per_channel(self.bias, lateral)
        if self.gain is not None:
            preactivation = preactivation * per_channel(self.gain, lateral)
        return LevelActivations(projection, lateral, preactivation, ACTIVATIONS[self.activation](preactivation))

    def _normalized(self, projection: Tensor, running: bool) -> Tensor:
        if self.norm == "layer":
            return functional.layer_norm(projection, projection.shape[1:], eps=self.eps)
        if running and self.running_mean is not None:
            return functional.batch_norm(projection, self.running_mean, self.running_var, eps=self.eps)
        return self.normalize(projection, self.eps)

    def rescale(self, estimate: Tensor, projection: Tensor) -> Tensor:
        """Normalises an estimate of the lateral by the statistics of the projection, both (N, C, *S)."""
        if self.norm == "batch":
            return self.normalize(compute_dtype_of(estimate), self.eps, self.moments(projection))
        projection = compute_dtype_of(projection)
        var, mean = torch.var_mean(projection, tuple(range(1, projection.dim())), correction=0, keepdim=True)
        return (compute_dtype_of(estimate) - mean) * (var + self.eps).rsqrt()

    @torch.no_grad()
    def track(self, projection: Tensor, weight: Tensor | float) -> None:
        """Moves the running statistics by `weight` of the way to those of a projection."""
        assert self.running_mean is not None
        assert self.running_var is not None
        move_statistics(self.running_mean, self.running_var, self.moments(projection), weight)

    def extra_repr(self) -> str:
        return f"activation={self.activation!r}, norm={self.norm!r}, eps={self.eps}"


def corrupted(x: Tensor, noise: float) -> Tensor:
    """An activation with Gaussian noise of standard deviation `noise`."""
    return x + noise * torch.randn_like(x) if noise else x
