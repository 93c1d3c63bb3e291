"""Tiles of groups: the elements that one program handles, and functions over the groups of each.

Data lies in memory as (N, P) and groups as (N, K, P), contiguous. A program handles a block of the pixels P of one
sample, with all of their groups: a tile (G, B), whose G is K rounded up to a power of two.
"""

import math
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastladder.kernels.tiles import WARPS, launch

THREAD_ELEMENTS = 8  # of a tile: 16 bytes in the narrow dtypes; with twice as many a thread needs up to 189 registers
TAU = tl.constexpr(2 * math.pi)  # on the right of a product, as the interpreter needs it


class Tile(NamedTuple):
    """Where the block of one program lies: G groups of B pixels."""

    mask: tl.tensor  # (G, B): inside the activations
    pixel_mask: tl.tensor  # (1, B)
    row: tl.tensor  # (G, 1), of the N * K rows
    pixel: tl.tensor  # (1, B)
    pixels: tl.tensor
    sample: tl.tensor


@triton.jit
def locate(pixels, groups: tl.constexpr, block_groups: tl.constexpr, block_pixels: tl.constexpr):
    """The tile of this program. Row offsets are int64."""
    blocks = tl.cdiv(pixels, block_pixels)
    sample = tl.program_id(0) // blocks
    pixel = (tl.program_id(0) % blocks * block_pixels + tl.arange(0, block_pixels))[None, :]
    group = tl.arange(0, block_groups)[:, None]
    return Tile(
        mask=(group < groups) & (pixel < pixels),
        pixel_mask=pixel < pixels,
        row=sample.to(tl.int64) * groups + group,
        pixel=pixel,
        pixels=pixels,
        sample=sample.to(tl.int64),
    )


@triton.jit
def load_data(data, tile):
    """The block of data (N, P), as (1, B) in float32."""
    return tl.load(data + tile.sample * tile.pixels + tile.pixel, mask=tile.pixel_mask, other=0.0).to(tl.float32)


@triton.jit
def load_groups(activations, tile, features: tl.constexpr = 1):
    """The tile of activations (N, K, features, P), of the feature that the pointer points to, in float32."""
    place = activations + tile.row * features * tile.pixels + tile.pixel
    return tl.load(place, mask=tile.mask, other=0.0).to(tl.float32)


@triton.jit
def load_gradient(gradient, tile, features: tl.constexpr = 1):
    """As `load_groups`; zeros where an output is unused."""
    if gradient is None:
        return tl.zeros_like(tile.mask.to(tl.float32))
    else:
        return load_groups(gradient, tile, features)


@triton.jit
def store_data(data, value, tile):
    tl.store(data + tile.sample * tile.pixels + tile.pixel, value, mask=tile.pixel_mask)


@triton.jit
def store_groups(activations, value, tile, features: tl.constexpr = 1):
    tl.store(activations + tile.row * features * tile.pixels + tile.pixel, value, mask=tile.mask)


@triton.jit
def total(x):
    """The sum over groups."""
    return tl.sum(x, axis=0, keep_dims=True)


@triton.jit
def softmax(x):
    a = tl.exp(x - tl.max(x, axis=0, keep_dims=True))
    return a / total(a)


@triton.jit
def softmax_backward(d, y):
    """dloss/dx of y = softmax(x), with d = dloss/dy."""
    return y * (d - total(d * y))


@triton.jit
def logsumexp(x):
    largest = tl.max(x, axis=0, keep_dims=True)
    largest = tl.where(tl.abs(largest) == float("inf"), 0.0, largest)  # else inf - inf would be NaN
    return largest + tl.log(total(tl.exp(x - largest)))


@triton.jit
def exponents(x, z, s, tile):
    """e with a_k proportional to exp(e_k); -inf in rows beyond the last group."""
    d = x - z
    return tl.where(tile.mask, -d * d / (2.0 * s), float("-inf"))


class Blocks(NamedTuple):
    """The blocks that activations (N, K, *D) are cut into."""

    samples: int
    groups: int
    pixels: int
    block_groups: int
    block_pixels: int

    @classmethod
    def of(cls, leader: Tensor) -> "Blocks":
        samples, groups, *data = leader.shape
        pixels, block_groups = math.prod(data), triton.next_power_of_2(groups)
        widest = WARPS * 32 * THREAD_ELEMENTS // block_groups
        return cls(samples, groups, pixels, block_groups, min(triton.next_power_of_2(max(pixels, 1)), widest))

    @property
    def per_sample(self) -> int:
        return triton.cdiv(self.pixels, self.block_pixels)

    def launch(self, kernel: Any, leader: Tensor, *arguments: Any, **options: Any) -> None:
        """Runs `kernel`, one program a block, on the device of `leader`; its last argument is the number of pixels."""
        launch(
            kernel,
            leader,
            self.samples * self.per_sample,
            *arguments,
            self.pixels,
            groups=self.groups,
            block_groups=self.block_groups,
            block_pixels=self.block_pixels,
            num_warps=WARPS,
            **options,
        )

    def partials(self, leader: Tensor) -> Tensor:
        """An empty (N, blocks of a sample) for one number of every program."""
        return leader.new_empty(self.samples, self.per_sample, dtype=torch.float32)


def contiguous(*tensors: Tensor | None) -> list[Any]:
    return [None if tensor is None else tensor.contiguous() for tensor in tensors]
