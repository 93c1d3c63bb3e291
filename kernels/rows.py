"""Tensors that are rows of features: a program handles neighbouring rows, one block of features after the other."""

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from fastladder.kernels.tiles import WARPS, launch

TILE_ELEMENTS = WARPS * 32 * 8  # 16 bytes a thread in the narrow dtypes


@triton.jit
def rows_of_program(block_rows: tl.constexpr):
    """(R), int64; the last ones may be beyond the end."""
    return tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)


@triton.jit
def load(tensor, row, rows, feature, features):
    """Features (B) of rows (R) of a tensor, in float32; 0 where there are none."""
    there = ((row >= 0) & (row < rows))[:, None] & (feature < features)[None, :]
    return tl.load(tensor + row[:, None] * features + feature[None, :], mask=there, other=0.0).to(tl.float32)


@triton.jit
def store(tensor, numbers, row, rows, feature, features):
    there = (row < rows)[:, None] & (feature < features)[None, :]
    place = tensor + row[:, None] * features + feature[None, :]
    tl.store(place, numbers.to(tensor.dtype.element_ty), mask=there)


def launch_rows(kernel: Any, leader: Tensor, rows: int, features: int, *arguments: Any, **options: Any) -> None:
    """Runs `kernel` over all rows, on the device of `leader`."""
    block_features = min(triton.next_power_of_2(max(features, 1)), TILE_ELEMENTS)
    block_rows = TILE_ELEMENTS // block_features
    launch(
        kernel,
        leader,
        triton.cdiv(rows, block_rows),
        *arguments,
        block_rows=block_rows,
        block_features=block_features,
        num_warps=WARPS,
        **options,
    )
