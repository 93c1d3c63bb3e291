"""The normalised sum of projections that every cell begins with."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastladder.nn.checks import check_size
from fastladder.ops.checks import NORMS, check_eps, check_option


class Preactivation(nn.Module):
    r"""The parameters of :math:`a = \sum_j \mathrm{gain}_j \, \mathrm{norm}(p_j) + \mathrm{bias}` for J projections.

    The fused operators compute the sum; this module holds what they take beside the projections. With norm "batch" it
    also keeps running statistics: training normalises by the statistics of the batch, evaluation by the running ones,
    which are folded into gain and bias.

    A projection of a state that is zero is zero, and so is its norm; it can be left out by passing None.

    Args:
        projections: J.
        channels: C, the channels of every projection.
        norm: "none", "layer" or "batch".
        bias: whether there is a bias.
        steps: the number of time steps with running statistics of their own; later steps share those of the last.
        eps: added to the variance.
        momentum: the weight of a new batch in the running statistics.

    Attributes:
        gain: (J, C), present where norm is not "none".
        bias: (C,).
        running_mean, running_var: (steps, J, C), present where norm is "batch".
    """

    def __init__(
        self,
        projections: int,
        channels: int,
        *,
        norm: str,
        bias: bool = True,
        steps: int = 1,
        eps: float = 1e-5,
        momentum: float = 0.1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_option("norm", norm, NORMS)
        check_size("steps", steps)
        check_eps(eps)
        self.norm, self.steps, self.eps, self.momentum = norm, steps, eps, momentum
        options: dict[str, Any] = {"device": device, "dtype": dtype}
        shape = (projections, channels)
        self.gain = None if norm == "none" else nn.Parameter(torch.empty(shape, **options))
        self.bias = nn.Parameter(torch.empty(channels, **options)) if bias else None
        running = torch.empty(steps, *shape, **options) if norm == "batch" else None
        self.register_buffer("running_mean", running)
        self.register_buffer("running_var", None if running is None else torch.empty_like(running))
        self.reset_parameters()

    running_mean: Tensor | None
    running_var: Tensor | None

    def reset_parameters(self) -> None:
        """Gain and running variance become 1, bias and running mean 0."""
        for tensor in (self.gain, self.running_var):
            if tensor is not None:
                nn.init.ones_(tensor)
        for tensor in (self.bias, self.running_mean):
            if tensor is not None:
                nn.init.zeros_(tensor)

    def forward(self, projections: Sequence[Tensor | None], step: int = 0) -> dict[str, Any]:
        """The keyword arguments gain, bias, norm and eps with which an operator takes the projections that are there.

        Args:
            projections: J tensors (N, C, *S), or None for those that are zero.
            step: the time step, for the running statistics.
        """
        norm = self.norm
        gain: Tensor | None = self.gain
        bias: Tensor | None = self.bias
        if norm == "batch" and self.training:
            self._update(projections, step)
        elif norm == "batch":
            gain, bias = self._fold(step)
            norm = "none"
        if gain is not None and None in projections:
            gain = torch.stack([row for row, p in zip(gain, projections, strict=True) if p is not None])
        return {"gain": gain, "bias": bias, "norm": norm, "eps": self.eps}

    @torch.no_grad()
    def _update(self, projections: Sequence[Tensor | None], step: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        index = step_index(step, self.steps)
        for mean, var, p in zip(self.running_mean[index], self.running_var[index], projections, strict=True):
            if p is None:
                mean.mul_(1 - self.momentum)
                var.mul_(1 - self.momentum)
            else:
                functional.batch_norm(p, mean, var, training=True, momentum=self.momentum)

    def _fold(self, step: int) -> tuple[Tensor, Tensor]:
        assert self.gain is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        index = step_index(step, self.steps)
        gain = self.gain * (self.running_var[index] + self.eps).rsqrt()
        shift = (gain * self.running_mean[index]).sum(0)
        return gain, -shift if self.bias is None else self.bias - shift

    def extra_repr(self) -> str:
        return f"norm={self.norm!r}" + (f", steps={self.steps}" if self.norm == "batch" else "")


def step_index(step: int, steps: int) -> int:
    """Where the running statistics of a time step are: its own, or those of the last step that has its own."""
    if steps == 1:
        return 0
    if step < 0:
        raise ValueError(f"step: got {step}, needs a number from 0 on")
    return min(step, steps - 1)
