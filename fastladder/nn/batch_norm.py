"""Batch normalisation for layers that are applied once in every time step."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastladder.nn.checks import check_size
from fastladder.nn.preactivation import step_index


class StepBatchNorm(nn.Module):
    """Batch normalisation whose running statistics are kept for every time step on its own.

    A recurrent network starts from zeros, so the first steps are distributed differently from later ones (Cooijmans et
    al., 2017, Recurrent Batch Normalization). Weight and bias are shared by all steps. Training normalises by the
    statistics of the batch, evaluation by the running statistics of the step.

    Args:
        num_features: C.
        steps: the number of time steps with statistics of their own; later steps share those of the last.
        eps: added to the variance.
        momentum: the weight of a new batch in the running statistics.

    Shape:
        input and output: (N, C, *S).
    """

    def __init__(
        self,
        num_features: int,
        *,
        steps: int = 1,
        eps: float = 1e-5,
        momentum: float = 0.1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_size("num_features", num_features)
        check_size("steps", steps)
        self.num_features, self.steps, self.eps, self.momentum = num_features, steps, eps, momentum
        self.weight = nn.Parameter(torch.empty(num_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(num_features, device=device, dtype=dtype))
        self.register_buffer("running_mean", torch.empty(steps, num_features, device=device, dtype=dtype))
        self.register_buffer("running_var", torch.empty(steps, num_features, device=device, dtype=dtype))
        self.reset_parameters()

    running_mean: Tensor
    running_var: Tensor

    def reset_parameters(self) -> None:
        """Weight and running variance become 1, bias and running mean 0."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)
        nn.init.zeros_(self.running_mean)
        nn.init.ones_(self.running_var)

    def forward(self, input: Tensor, step: int = 0) -> Tensor:
        """Normalises `input` as time step `step`.

        Raises:
            ValueError: `input` has another number of channels, or `step` is negative.
        """
        if input.dim() < 2 or input.shape[1] != self.num_features:
            raise ValueError(f"input: got shape {tuple(input.shape)}, needs (N, {self.num_features}, *S)")
        index = step_index(step, self.steps)
        return functional.batch_norm(
            input,
            self.running_mean[index],
            self.running_var[index],
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        return f"{self.num_features}, steps={self.steps}, eps={self.eps}, momentum={self.momentum}"
