"""Divergences between Gaussians; `fastladder.reference.gaussian` has the equations."""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastladder.kernels.tiles import WARPS, launch

TILE_ELEMENTS = WARPS * 32 * 8  # 16 bytes a thread in the narrow dtypes
MOST_FEATURES = 256  # of a tile, so that it has several time steps: the one before the first is read by two programs


class Tile(NamedTuple):
    """Where the block of one program lies: R time steps of B features of one sample."""

    step: tl.tensor  # (R, 1)
    steps: tl.tensor
    row: tl.tensor  # (R, 1), of the T * N rows
    batch: tl.tensor
    feature: tl.tensor  # (1, B)
    features: tl.tensor
    sample: tl.tensor


class Blocks(NamedTuple):
    """The blocks that sequences (T, N, D) are cut into."""

    steps: int
    batch: int
    features: int
    block_steps: int
    block_features: int

    @classmethod
    def of(cls, leader: Tensor) -> "Blocks":
        steps, batch, features = leader.shape
        block_features = min(triton.next_power_of_2(max(features, 1)), MOST_FEATURES)
        return cls(steps, batch, features, TILE_ELEMENTS // block_features, block_features)

    @property
    def per_sample(self) -> int:
        return triton.cdiv(self.steps, self.block_steps) * triton.cdiv(self.features, self.block_features)

    def launch(self, kernel: Any, leader: Tensor, *arguments: Any, **options: Any) -> None:
        """Runs `kernel`, one program a block, on the device of `leader`; its last arguments are the sizes."""
        launch(
            kernel,
            leader,
            self.batch * self.per_sample,
            *arguments,
            self.steps,
            self.batch,
            self.features,
            block_steps=self.block_steps,
            block_features=self.block_features,
            num_warps=WARPS,
            **options,
        )


@triton.jit
def locate(steps, batch, features, block_steps: tl.constexpr, block_features: tl.constexpr):
    """The tile of this program. Row offsets are int64."""
    step_blocks = tl.cdiv(steps, block_steps)
    feature_blocks = tl.cdiv(features, block_features)
    block = tl.program_id(0)
    sample = (block // (step_blocks * feature_blocks)).to(tl.int64)
    step = block // feature_blocks % step_blocks * block_steps + tl.arange(0, block_steps)[:, None]
    return Tile(
        step=step,
        steps=steps,
        row=step.to(tl.int64) * batch + sample,
        batch=batch,
        feature=block % feature_blocks * block_features + tl.arange(0, block_features)[None, :],
        features=features,
        sample=sample,
    )


@triton.jit
def load(sequence, tile, ahead: tl.constexpr):
    """The tile of a sequence (T, N, D) so many steps ahead, in float32; 0 beyond its ends and its features."""
    there = (tile.step + ahead >= 0) & (tile.step + ahead < tile.steps) & (tile.feature < tile.features)
    place = sequence + (tile.row + ahead * tile.batch) * tile.features + tile.feature
    return tl.load(place, mask=there, other=0.0).to(tl.float32)


@triton.jit
def store(sequence, numbers, tile):
    there = (tile.step < tile.steps) & (tile.feature < tile.features)
    tl.store(sequence + tile.row * tile.features + tile.feature, numbers.to(sequence.dtype.element_ty), mask=there)


@triton.jit(do_not_specialize=["steps", "batch"])
def wiener_kl_kernel(
    mean,  # (T, N, D)
    var,  # (T, N, D)
    partials,  # (N, blocks): of the divergence
    steps,  # T
    batch,  # N
    features,  # D
    exact: tl.constexpr,
    block_steps: tl.constexpr,
    block_features: tl.constexpr,
):
    tile = locate(steps, batch, features, block_steps, block_features)
    increment = load(mean, tile, 0) - load(mean, tile, -1)
    here = load(var, tile, 0)
    both = here + load(var, tile, -1)
    numbers = increment * increment + both - 1.0 - tl.log(here if exact else both)
    there = (tile.step < steps) & (tile.feature < features)
    tl.store(partials + tl.program_id(0), 0.5 * tl.sum(tl.where(there, numbers, 0.0)))


@triton.jit(do_not_specialize=["steps", "batch"])
def wiener_kl_backward_kernel(
    grad_kl,  # (N) or None
    mean,  # (T, N, D)
    var,  # (T, N, D)
    mean_gradient,  # (T, N, D)
    var_gradient,  # (T, N, D)
    steps,  # T
    batch,  # N
    features,  # D
    exact: tl.constexpr,
    block_steps: tl.constexpr,
    block_features: tl.constexpr,
):
    tile = locate(steps, batch, features, block_steps, block_features)
    has_next = tile.step + 1 < steps
    g = 0.0
    if grad_kl is not None:
        g = tl.load(grad_kl + tile.sample)
    m = load(mean, tile, 0)
    of_next = tl.where(has_next, load(mean, tile, 1) - m, 0.0)
    store(mean_gradient, g * (m - load(mean, tile, -1) - of_next), tile)
    v = load(var, tile, 0)
    if exact:
        of_var = tl.where(has_next, 2.0, 1.0) - 1.0 / v
    else:
        of_var = 1.0 - 1.0 / (v + load(var, tile, -1))
        of_var += tl.where(has_next, 1.0 - 1.0 / (v + load(var, tile, 1)), 0.0)
    store(var_gradient, 0.5 * g * of_var, tile)


def wiener_kl(mean: Tensor, var: Tensor, exact: bool) -> Tensor:
    """The divergence, (N,)."""
    blocks = Blocks.of(mean)
    partials = mean.new_empty(blocks.batch, blocks.per_sample, dtype=torch.float32)
    blocks.launch(wiener_kl_kernel, mean, mean.contiguous(), var.contiguous(), partials, exact=exact)
    return partials.sum(1)


def wiener_kl_backward(grad_kl: Tensor | None, mean: Tensor, var: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
    """Gradients of mean and var, each (T, N, D)."""
    gradients = mean.new_empty(mean.shape), mean.new_empty(mean.shape)
    grad_kl = None if grad_kl is None else grad_kl.contiguous()
    tensors = (grad_kl, mean.contiguous(), var.contiguous(), *gradients)
    Blocks.of(mean).launch(wiener_kl_backward_kernel, mean, *tensors, exact=exact)
    return gradients
