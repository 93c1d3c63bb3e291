"""Statistics of the batch: over several processes, and estimated anew for a trained network.

`torch.nn.SyncBatchNorm` and `torch.optim.swa_utils.update_bn` know only torch's own batch normalisation; here are their
counterparts for the modules of fastladder.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from fastladder.tensors import compute_dtype_of, per_channel

Module = TypeVar("Module", bound=nn.Module)

_recomputing = False  # see `recomputing`


class Moments(NamedTuple):
    """Statistics of every channel of a batch (N, C, *S)."""

    mean: Tensor  # (C,)
    var: Tensor  # (C,), the biased variance
    elements: Tensor  # (), the number of elements of a channel

    @classmethod
    def of_zeros(cls, like: Tensor) -> "Moments":
        """The statistics of a batch of zeros with as many channels as `like`, (C,)."""
        return cls(torch.zeros_like(like), torch.zeros_like(like), torch.ones_like(like[0]))

    @property
    def unbiased_var(self) -> Tensor:
        """(C,), of which running statistics are averages; 0 for a single element."""
        return self.var * (self.elements / (self.elements - 1).clamp(min=1))


class BatchNormalized(nn.Module):
    """The base of all modules that normalise by statistics of the batch.

    Attributes:
        synchronized: whether training uses the statistics of the batches of all processes together. See
            `synchronize_batch_norm`.
        process_group: these processes; None: all.
    """

    synchronized = False
    process_group: Any = None

    @property
    def shares_statistics(self) -> bool:
        """Whether the statistics of this pass are computed together with other processes."""
        return self.synchronized and self.training and distributed.is_available() and distributed.is_initialized()

    def moments(self, x: Tensor) -> Moments:
        """The statistics of a batch (N, C, *S), or of the batches of all processes where these are shared."""
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
        """Normalises a batch (N, C, *S) by its statistics, which may have been computed already."""
        if moments is None and not self.shares_statistics:
            return functional.batch_norm(x, None, None, training=True, eps=eps)
        mean, var, _ = self.moments(x) if moments is None else moments
        return ((x - per_channel(mean, x)) * per_channel((var + eps).rsqrt(), x)).to(x.dtype)

    def _total(self, x: Tensor) -> Tensor:
        """The differentiable sum over the processes that share statistics."""
        if not self.shares_statistics:
            return x
        from torch.distributed.nn.functional import all_reduce  # imported here since it is slow to import

        group = distributed.group.WORLD if self.process_group is None else self.process_group
        return all_reduce(x, group=group)


class RunningStatistics(BatchNormalized):
    """A `BatchNormalized` with running statistics for each of several time steps.

    Attributes:
        momentum: the weight of a new batch in the running statistics; None: they are the plain average of all batches.
        running_mean, running_var: (steps, *); None where there are none.
        num_batches_tracked: (steps,), the number of batches in them. It is not in the state_dict: only the plain
            average needs it, which is taken in one run.
    """

    momentum: float | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def register_running_statistics(self, steps: int, *shape: int, present: bool, **factory: Any) -> None:
        """Registers the buffers, without values."""
        count = torch.zeros(steps, dtype=torch.int64, device=factory.get("device")) if present else None
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, torch.empty(steps, *shape, **factory) if present else None)
        self.register_buffer("num_batches_tracked", count, persistent=False)

    def reset_running_stats(self) -> None:
        """Running means become 0, running variances 1, the number of batches 0."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            nn.init.zeros_(self.running_mean)
            nn.init.ones_(self.running_var)
            self.num_batches_tracked.zero_()

    def weight_of_batch(self, index: int) -> float:
        """Counts a batch for the statistics at `index`, and returns its weight in them; 0 when it is recomputed."""
        if _recomputing:
            return 0.0
        if self.momentum is not None:
            return self.momentum
        assert self.num_batches_tracked is not None
        self.num_batches_tracked[index] += 1
        return 1 / int(self.num_batches_tracked[index])


@contextmanager
def recomputing() -> Iterator[None]:
    """Within it running statistics stay as they are: the second of `torch.utils.checkpoint`'s contexts.

    In the backward pass a checkpoint runs a module once more on the same batch, which has been counted already.
    """
    global _recomputing
    before, _recomputing = _recomputing, True
    try:
        yield
    finally:
        _recomputing = before


@torch.no_grad()
def move_statistics(running_mean: Tensor, running_var: Tensor, moments: Moments, weight: Tensor | float) -> None:
    """Moves running statistics (C,) toward those of a batch by `weight`. An empty batch leaves them unchanged."""
    step = weight * (moments.elements > 0)
    for running, of_batch in ((running_mean, moments.mean), (running_var, moments.unbiased_var)):
        running.add_(step * (of_batch - running))


def synchronize_batch_norm(module: Module, process_group: Any = None) -> Module:
    """Makes every batch normalisation of fastladder in a module normalise over the batches of all processes.

    `torch.nn.SyncBatchNorm.convert_sync_batchnorm` does the same for torch's own batch normalisation. Where a module
    has both kinds, call both, before it is wrapped in `DistributedDataParallel`. In training all processes then have to
    call the module equally often, over the same number of time steps. In evaluation, and without a process group, every
    process uses its own statistics. Shared statistics are computed outside of the fused kernels, on CPUs too.

    Args:
        module: is changed in place.
        process_group: the processes whose batches are used; None: all.

    Returns:
        The module.

    Raises:
        ValueError: the module has no batch normalisation of fastladder.
    """
    found = [each for each in module.modules() if isinstance(each, BatchNormalized)]
    if not found:
        raise ValueError(f"module: got {type(module).__name__} without batch normalisation of fastladder, needs some")
    for each in found:
        each.synchronized, each.process_group = True, process_group
    return module


@torch.no_grad()
def update_batch_norm(loader: Iterable[Any], module: nn.Module, device: torch.device | str | None = None) -> None:
    """Sets all running statistics in a module to the plain average over batches, for example after averaging weights.

    Like `torch.optim.swa_utils.update_bn`, for the batch normalisation of fastladder and torch's own.

    Args:
        loader: of batches, or of tuples or lists that begin with one. The module is called with each batch.
        module: for example an RLadder, or a network that contains a ConvLSTM with norm "batch".
        device: to which batches are moved; None: they stay where they are.

    Raises:
        ValueError: the module has no running statistics; it contains a `fastladder.models.LadderNetwork`, whose
            running statistics `estimate_statistics` sets; or there are no batches.
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
