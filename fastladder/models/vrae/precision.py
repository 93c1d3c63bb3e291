"""Where autocast stops: log-likelihoods and divergences are computed in float32, or float64."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from fastladder.ops.checks import autocast_dtype


def without_autocast(tensor: Tensor) -> AbstractContextManager[None]:
    """Turns autocast off on the device of a tensor.

    A probability of 0.9995, the largest that there is here, would be 1 in bfloat16, and that of the opposite 0.
    """
    if autocast_dtype(tensor.device) is None:
        return nullcontext()
    return torch.autocast(tensor.device.type, enabled=False)
