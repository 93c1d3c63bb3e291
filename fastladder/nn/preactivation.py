"""The normalised sum of projections with which every cell begins."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastladder.nn.batch_statistics import Moments, RunningStatistics, move_statistics
from fastladder.nn.checks import check_size
from fastladder.nn.reset import fill
from fastladder.ops.batch_statistics import BatchStatistics
from fastladder.ops.checks import NORMS, check_eps, check_option

Result = TypeVar("Result")


class Preactivation(RunningStatistics):
    r"""The parameters of :math:`a = \sum_j \mathrm{gain}_j \, \mathrm{norm}(p_j) + \mathrm{bias}` for J projections.

    The fused operators compute the sum; this module has their other arguments and calls them. With norm
    "batch" it also keeps running statistics: training normalises by the statistics of the batch, evaluation by the
    running ones, which are folded into gain and bias.

    `torch.nn.SyncBatchNorm` and `torch.optim.swa_utils.update_bn` do not know it: use
    `fastladder.nn.synchronize_batch_norm` and `update_batch_norm`.

    The projection of a state of zeros is zero, also normalised. None stands for it, and nothing is computed.

    Args:
        projections: J.
        channels: C, the channels of every projection.
        norm: "none", "layer" or "batch".
        bias: whether there is a bias.
        initial_gains: of every projection, where norm is not "none"; missing means 1 for all.
        steps: the number of time steps with running statistics of their own; later steps share those of the last.
        eps: added to the variance.
        momentum: the weight of a new batch in the running statistics; None: they are the plain average of all batches.

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
        initial_gains: Sequence[float] | None = None,
        steps: int = 1,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_option("norm", norm, NORMS)
        steps = check_size("steps", steps)
        check_eps(eps)
        self.norm, self.steps, self.eps, self.momentum = norm, steps, eps, momentum
        options: dict[str, Any] = {"device": device, "dtype": dtype}
        shape = (projections, channels)
        self.initial_gains = [1.0] * projections if initial_gains is None else list(initial_gains)
        self.gain = None if norm == "none" else nn.Parameter(torch.empty(shape, **options))
        self.bias = nn.Parameter(torch.empty(channels, **options)) if bias else None
        self.register_running_statistics(steps, *shape, present=norm == "batch", **options)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Gains become `initial_gains`, running variances 1, bias and running means 0."""
        if self.gain is not None:
            fill(self.gain, torch.tensor(self.initial_gains)[:, None].expand(self.gain.shape))
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        self.reset_running_stats()

    def forward(self, projections: Sequence[Tensor | None], operator: Callable[..., Result], step: int = 0) -> Result:
        """Calls an operator with the gain and the bias of the projections that are present.

        Args:
            projections: J tensors (N, C, *S), or None for those that are zero.
            operator: is called with the keyword arguments gain, (J', C) for the J' projections that are present, bias,
                (C,), norm and eps, and in training with norm "batch" statistics, which it may fill in.
            step: the time step, for the running statistics.

        Returns:
            What the operator returns.
        """
        gain: Tensor | None = self.gain
        bias: Tensor | None = self.bias
        norm, tracked = self.norm, False
        if self.norm == "batch":
            index = step_index(step, self.steps)
            if not self.training:
                norm, (gain, bias) = "none", self._fold(*self._running(index))
            elif self.shares_statistics:
                norm, (gain, bias) = "none", self._fold(*self._track_shared(projections, index))
            else:
                tracked = True
        if gain is not None and any(p is None for p in projections):
            gain = torch.stack([row for row, p in zip(gain, projections, strict=True) if p is not None])
        if not tracked:
            return operator(gain=gain, bias=bias, norm=norm, eps=self.eps)
        statistics = BatchStatistics()
        result = operator(gain=gain, bias=bias, norm=norm, eps=self.eps, statistics=statistics)
        self._track(projections, index, statistics)
        return result

    def _running(self, index: int) -> tuple[Tensor, Tensor]:
        assert self.running_mean is not None
        assert self.running_var is not None
        return self.running_mean[index], self.running_var[index]

    @torch.no_grad()
    def _track(self, projections: Sequence[Tensor | None], index: int, statistics: BatchStatistics) -> None:
        """Moves the running statistics at `index` to those of a batch: what is filled in, else they are computed."""
        weight = self.weight_of_batch(index)
        running_mean, running_var = self._running(index)
        present = {j: p for j, p in enumerate(projections) if p is not None}
        leader = next(iter(present.values()))
        elements = leader.numel() // leader.shape[1]
        if statistics.mean is not None and elements > 1:
            var = statistics.variance(self.eps) * (elements / (elements - 1))
            rows = slice(None) if len(present) == len(projections) else list(present)
            for running, found in ((running_mean, statistics.mean), (running_var, var)):
                running.mul_(1 - weight)
                running[rows] += weight * found
            return
        for mean, var, p in zip(running_mean, running_var, projections, strict=True):
            if p is None:
                mean.mul_(1 - weight)
                var.mul_(1 - weight)
            else:
                functional.batch_norm(p, mean, var, training=True, momentum=weight)

    def _track_shared(self, projections: Sequence[Tensor | None], index: int) -> tuple[Tensor, Tensor]:
        """Moves the running statistics at `index`; returns mean and variance of the batches of all processes."""
        weight = self.weight_of_batch(index)
        running = list(zip(*self._running(index), strict=True))
        found = [
            Moments.of_zeros(mean) if p is None else self.moments(p)
            for (mean, _), p in zip(running, projections, strict=True)
        ]
        for (mean, var), moments in zip(running, found, strict=True):
            move_statistics(mean, var, moments, weight)
        return torch.stack([moments.mean for moments in found]), torch.stack([moments.var for moments in found])

    def _fold(self, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
        """The gain (J, C) and the bias (C,) that include the normalisation by mean and variance, (J, C) each."""
        assert self.gain is not None
        gain = self.gain * (var + self.eps).rsqrt()
        shift = (gain * mean).sum(0)
        return gain, -shift if self.bias is None else self.bias - shift

    def extra_repr(self) -> str:
        return f"norm={self.norm!r}" + (f", steps={self.steps}" if self.norm == "batch" else "")


def step_index(step: int, steps: int) -> int:
    """The index of a time step's running statistics, which are those of the last step for all later ones."""
    if steps == 1:
        return 0
    if step < 0:
        raise ValueError(f"step: got {step}, needs a number from 0 on")
    return min(step, steps - 1)
