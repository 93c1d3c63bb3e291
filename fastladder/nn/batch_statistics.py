"""Statistics of the batch: over several processes, and estimated anew for a trained network.

`torch.nn.SyncBatchNorm` and `torch.optim.swa_utils.update_bn` know torch's own batch normalisation only; these are
their counterparts for the modules of fastladder.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from fastladder.tensors import compute_dtype_of, per_channel

Module = TypeVar("Module", bound=nn.Module)


class Moments(NamedTuple):
    """Statistics of every channel of a batch (N, C, *S)."""

    mean: Tensor  # (C,)
    var: Tensor  # (C,), the biased variance
    elements: Tensor  # (), how many a channel has

    @classmethod
    def of_zeros(cls, like: Tensor) -> "Moments":
        """Of a batch of zeros, with channels like (C,)."""
        return cls(torch.zeros_like(like), torch.zeros_like(like), torch.ones_like(like[0]))

    @property
    def unbiased_var(self) -> Tensor:
        """(C,), what running statistics are made of; of a single element 0."""
        return self.var * (self.elements / (self.elements - 1).clamp(min=1))


class BatchNormalized(nn.Module):
    """What the modules share that normalise by statistics of the batch.

    Attributes:
        synchronized: whether these are in training the statistics of the batches of all processes together. See
            `synchronize_batch_norm`.
        process_group: of those processes; None: all.
    """

    synchronized = False
    process_group: Any = None

    @property
    def shares_statistics(self) -> bool:
        """Whether statistics are now computed with other processes."""
        return self.synchronized and self.training and distributed.is_available() and distributed.is_initialized()

    def moments(self, x: Tensor) -> Moments:
        """The statistics of a batch (N, C, *S), those of all processes together where they are shared."""
        x = compute_dtype_of(x)
        dims = [d for d in range(x.dim()) if d != 1]
        elements = self._total(torch.full_like(x[:0].sum(), x.numel() // x.shape[1]))
        if x.numel() and not self.shares_statistics:
            var, mean = torch.var_mean(x, dims, correction=0)  # in one pass
            return Moments(mean, var, elements)
        divisor = elements.clamp(min=1)
        mean = self._total(x.sum(dims)) / divisor
        var = self._total((x - per_channel(mean, x)).square().sum(dims)) / divisor
        return Moments(mean, var, elements)

    def normalize(self, x: Tensor, eps: float, moments: Moments | None = None) -> Tensor:
        """A batch (N, C, *S) by its statistics, which may have been computed already."""
        if moments is None and not self.shares_statistics:
            return functional.batch_norm(x, None, None, training=True, eps=eps)
        mean, var, _ = self.moments(x) if moments is None else moments
        return ((x - per_channel(mean, x)) * per_channel((var + eps).rsqrt(), x)).to(x.dtype)

    def _total(self, x: Tensor) -> Tensor:
        """The sum over the processes that share statistics, which is differentiable."""
        if not self.shares_statistics:
            return x
        from torch.distributed.nn.functional import all_reduce  # only where it is needed: the import takes its time

        group = distributed.group.WORLD if self.process_group is None else self.process_group
        return all_reduce(x, group=group)


class RunningStatistics(BatchNormalized):
    """A `BatchNormalized` with running statistics for each of several time steps.

    Attributes:
        momentum: the weight of a new batch in the running statistics; None: they are the plain average of all batches.
        running_mean, running_var: (steps, *); None where there are none.
        num_batches_tracked: (steps,), how many batches they are of. It is not stored, since only the plain average asks
            for it, which is taken in one go.
    """

    momentum: float | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def register_running_statistics(self, steps: int, *shape: int, present: bool, **factory: Any) -> None:
        """Makes the buffers, empty."""
        count = torch.zeros(steps, dtype=torch.int64, device=factory.get("device")) if present else None
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, torch.empty(steps, *shape, **factory) if present else None)
        self.register_buffer("num_batches_tracked", count, persistent=False)

    def reset_running_stats(self) -> None:
        """Running mean 0, running variance 1, of no batch."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            nn.init.zeros_(self.running_mean)
            nn.init.ones_(self.running_var)
            self.num_batches_tracked.zero_()

    def weight_of_batch(self, index: int) -> float:
        """Counts a batch for the statistics at `index`, and returns its weight in them."""
        if self.momentum is not None:
            return self.momentum
        assert self.num_batches_tracked is not None
        self.num_batches_tracked[index] += 1
        return 1 / int(self.num_batches_tracked[index])


@torch.no_grad()
def move_statistics(running_mean: Tensor, running_var: Tensor, moments: Moments, weight: Tensor | float) -> None:
    """Moves running statistics (C,) by `weight` of the way to those of a batch; an empty one leaves them."""
    step = weight * (moments.elements > 0)
    for running, of_batch in ((running_mean, moments.mean), (running_var, moments.unbiased_var)):
        running.add_(step * (of_batch - running))


def synchronize_batch_norm(module: Module, process_group: Any = None) -> Module:
    """Makes every batch normalisation of fastladder in a module normalise over the batches of all processes.

    What `torch.nn.SyncBatchNorm.convert_sync_batchnorm` is to torch's own: call both where a module has both, before it
    is wrapped in `DistributedDataParallel`. In training all processes then have to run the module equally often, also
    over as many time steps; in evaluation, and where there are no processes, each has its own statistics. Those of
    several processes are computed outside of the fused kernels. Works on CPUs too.

    Args:
        module: is changed, and returned.
        process_group: whose batches count; None: those of all processes.

    Raises:
        ValueError: there is no batch normalisation of fastladder in it.
    """
    found = [each for each in module.modules() if isinstance(each, BatchNormalized)]
    if not found:
        raise ValueError(f"module: got {type(module).__name__} without batch normalisation of fastladder, needs some")
    for each in found:
        each.synchronized, each.process_group = True, process_group
    return module


@torch.no_grad()
def update_batch_norm(loader: Iterable[Any], module: nn.Module, device: torch.device | str | None = None) -> None:
    """Sets all running statistics in a module to the plain average over batches, as after averaging weights.

    What `torch.optim.swa_utils.update_bn` is to torch's own batch normalisation, which is included here.

    Args:
        loader: of batches, or of tuples and lists that begin with one; the module is called with each.
        module: for example an RLadder, or a network that contains a ConvLSTM with norm "batch".
        device: where batches are moved to; None: they stay.

    Raises:
        ValueError: the module has no running statistics, or a `fastladder.models.LadderNetwork`, which has
            `estimate_statistics` for its own; or there are no batches.
    """
    found: list[Any] = [
        each
        for each in module.modules()
        if isinstance(each, BatchNormalized | _BatchNorm) and getattr(each, "running_mean", None) is not None
    ]
    if not all(isinstance(each, RunningStatistics | _BatchNorm) for each in found):
        raise ValueError("module: got a LadderNetwork, which has estimate_statistics for its running statistics")
    if not found:
        name = type(module).__name__
        raise ValueError(f"module: got {name}, needs batch normalisation with running statistics")
    momenta, training = [each.momentum for each in found], module.training
    for each in found:
        each.reset_running_stats()
        each.momentum = None
    module.train()
    empty = True
    try:
        for batch in loader:
            input = batch[0] if isinstance(batch, tuple | list) else batch
            module(input if device is None else input.to(device))
            empty = False
    finally:
        for each, momentum in zip(found, momenta, strict=True):
            each.momentum = momentum
        module.train(training)
    if empty:
        raise ValueError("loader: got no batches, needs one at least")
