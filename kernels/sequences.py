"""What the operators over whole sequences share: samples are sorted by length, so that those of a step come first."""

import torch
from torch import Tensor


def samples_of_steps(duration: int, batch: int, lengths: Tensor | None) -> list[int]:
    """How many samples go on at each step."""
    if lengths is None:
        return [batch] * duration
    steps = torch.arange(duration, device=lengths.device)
    return (steps[:, None] < lengths).sum(1).tolist()


def states_before(initial: Tensor, states: Tensor) -> Tensor:
    """The states before every step, (T, N, C): the initial ones, (N, C), and those after every step but the last."""
    return torch.cat([initial[None], states])[: states.shape[0]]


def weight_gradient(grad_projections: Tensor, states: Tensor) -> Tensor:
    """That of a weight which projects (T, N, C) to (T, N, K): one product over all steps."""
    return grad_projections.flatten(0, 1).t() @ states.flatten(0, 1)
