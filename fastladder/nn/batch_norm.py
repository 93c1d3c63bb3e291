"""Batch normalisation for layers that are applied once in every time step."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastladder.nn.batch_statistics import RunningStatistics, move_statistics
from fastladder.nn.checks import check_size
from fastladder.nn.preactivation import step_index
from fastladder.tensors import per_channel


class StepBatchNorm(RunningStatistics):
    """Batch normalisation whose running statistics are kept for every time step on its own.

    A recurrent network starts from zeros, so the first steps are distributed differently from later ones (Cooijmans et
    al., 2017, Recurrent Batch Normalization). Weight and bias are shared by all steps. Training normalises by the
    statistics of the batch, evaluation by the running statistics of the step.

    `torch.nn.SyncBatchNorm` and `torch.optim.swa_utils.update_bn` do not know it: use
    `fastladder.nn.synchronize_batch_norm` and `update_batch_norm`.

    Args:
        num_features: C.
        steps: the number of time steps with statistics of their own; later steps share those of the last.
        eps: added to the variance.
        momentum: the weight of a new batch in the running statistics; None: they are the plain average of all batches.

    Shape:
        input and output: (N, C, *S).
    """

    def __init__(
        self,
        num_features: int,
        *,
        steps: int = 1,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_features, self.steps = check_size("num_features", num_features), check_size("steps", steps)
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.empty(num_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(num_features, device=device, dtype=dtype))
        self.register_running_statistics(steps, num_features, present=True, device=device, dtype=dtype)
        self.reset_parameters()

    running_mean: Tensor
    running_var: Tensor

    def reset_parameters(self) -> None:
        """Weight and running variance become 1, bias and running mean 0."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)
        self.reset_running_stats()

    def forward(self, input: Tensor, step: int = 0) -> Tensor:
        """Normalises `input` as time step `step`.

        Raises:
            ValueError: `input` has another number of channels, or `step` is negative.
        """
        if input.dim() < 2 or input.shape[1] != self.num_features:
            raise ValueError(f"input: got shape {tuple(input.shape)}, needs (N, {self.num_features}, *S)")
        index = step_index(step, self.steps)
        mean, var = self.running_mean[index], self.running_var[index]
        if not self.training:
            return functional.batch_norm(input, mean, var, self.weight, self.bias, eps=self.eps)
        weight = self.weight_of_batch(index)
        if not self.shares_statistics:
            return functional.batch_norm(input, mean, var, self.weight, self.bias, True, weight, self.eps)
        moments = self.moments(input)
        move_statistics(mean, var, moments, weight)
        normalized = self.normalize(input, self.eps, moments)
        return normalized * per_channel(self.weight, input) + per_channel(self.bias, input)

    def extra_repr(self) -> str:
        return f"{self.num_features}, steps={self.steps}, eps={self.eps}, momentum={self.momentum}"
