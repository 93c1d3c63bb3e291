"""Optimisers that torch has not."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class NesterovRMSprop(Optimizer):
    r"""RMSprop with Nesterov's momentum, as in "Variational inference of latent state sequences" (2014) and its code.

    .. math::
        r \leftarrow \gamma r + (1 - \gamma) g^2, \qquad
        u \leftarrow \beta u + \frac{\alpha g}{\sqrt{r + 10^{-8}}}, \qquad \theta \leftarrow \theta - u

    with the gradient g at :math:`\theta - \beta u`, where the step of momentum alone would lead, and r = 1 at first.
    Between steps the parameters are at that place, so that a gradient is one of the parameters as they stand, and it
    may be clipped as any other. `torch.optim.RMSprop` has the gradient at :math:`\theta`, and r = 0 at first.

    Args:
        params: to be optimised.
        lr: :math:`\alpha`.
        decay: :math:`\gamma`, of the mean square of the gradient.
        momentum: :math:`\beta`.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, decay: float = 0.9, momentum: float = 0.9) -> None:
        for name, value in {"decay": decay, "momentum": momentum}.items():
            if not 0 <= value < 1:
                raise ValueError(f"{name}: got {value}, needs 0 or more and less than 1")
        if not 0 < lr < float("inf"):
            raise ValueError(f"lr: got {lr}, needs a number above 0")
        super().__init__(params, {"lr": lr, "decay": decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step. A closure, which computes the cost and its gradient, is called first."""
        cost = None
        if closure is not None:
            with torch.enable_grad():
                cost = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return cost

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["square"], state["update"] = torch.ones_like(parameter), torch.zeros_like(parameter)
        square, update, beta = state["square"], state["update"], group["momentum"]
        square.lerp_(gradient * gradient, 1 - group["decay"])
        parameter.add_(update, alpha=beta)  # back from where momentum led
        update.mul_(beta).addcdiv_(gradient, (square + 1e-8).sqrt(), value=group["lr"])
        parameter.sub_(update).sub_(update, alpha=beta)
