"""Measures one operator: forward, and forward with backward, eager, under torch.compile, and fused."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import reduce

import pytest
import torch
from torch import Tensor

import fastladder
from bench import targets
from bench.harness import copies, copy_bandwidth, interleaved, rotating
from bench.memory import saved_bytes
from fastladder import reference
from tests.ops.contract import Row

# (N, C, *S): the rows of Table 5 at batch 32 and 100, the demo, a dense layer, and larger frames.
SHAPES = [(32, 32, 32, 32), (100, 32, 32, 32), (100, 32, 16, 16), (100, 12, 20, 20), (100, 512), (16, 32, 64, 64)]

VISIBLE = 2**20  # bytes; below it the overhead of a call dominates, and no bandwidth is reported

Operator = Callable[..., tuple[Tensor, ...]]


@dataclass
class OperatorMeasurement:
    """One row of the table of operators: times are medians in milliseconds."""

    operator: str
    shape: str
    dtype: str
    direction: str
    eager: float
    compiled: float
    ours: float
    bytes: int  # to be moved at least: every input once, every output once
    copy_bandwidth: float  # bytes per second of a copy of as many bytes, in the same run
    saved: int  # bytes kept for the backward pass beside the inputs, ours
    saved_eager: int

    @property
    def bandwidth(self) -> float | None:
        """Bytes per second."""
        return self.bytes / self.ours * 1e3 if self.bytes >= VISIBLE else None

    @property
    def share(self) -> float | None:
        """The bandwidth relative to that of a copy."""
        return self.bandwidth / self.copy_bandwidth if self.bandwidth else None

    @property
    def verdict(self) -> str:
        """Whether the project's targets are met and neither eager nor torch.compile is faster."""
        least = targets.OPERATORS.get((self.operator, self.direction), (1.0, 1.0))
        return targets.verdict(zip((self.eager / self.ours, self.compiled / self.ours), least, strict=True))

    def record(self) -> dict:
        return asdict(self) | {"bandwidth": self.bandwidth, "share": self.share, "verdict": self.verdict}


def shape_name(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def cases(rows: list[Row], shapes: list[tuple[int, ...]]) -> Callable[[Callable], Callable]:
    """Parametrizes a benchmark over rows of the operators' contract, shapes (N, C, *S) and both directions."""
    given = [pytest.param(row, shape, id=f"{row.operator}-{shape_name(shape)}") for row in rows for shape in shapes]
    marks = [
        pytest.mark.parametrize(("row", "shape"), given),
        pytest.mark.parametrize("direction", ["forward", "forward+backward"]),
        pytest.mark.usefixtures("kept_memory"),
    ]
    return lambda function: reduce(lambda marked, mark: mark(marked), marks, function)


def measure(
    benchmark, row: Row, shape: tuple[int, ...], direction: str, backend: str, device: torch.device
) -> OperatorMeasurement:
    """Measures the fused operator against the reference, for an output of shape (N, C, *S).

    No gradient is computed for data, as in training.
    """
    sets = copies(lambda seed: row.inputs(shape, device=device, seed=seed))
    inputs = sets[0]
    eager, ours = row.function(reference), row.function()
    torch._dynamo.reset()
    compiled = torch.compile(eager)
    outputs = eager(*inputs)
    moved = sum(x.nbytes for x in (*inputs, *outputs))
    variants = {"eager": eager, "compiled": compiled, "ours": ours}
    if direction == "forward":
        variants = {name: _forward(f) for name, f in variants.items()}
    else:
        trained = [not argument.is_data for argument in row.arguments.values()]
        moved *= 2  # backward reads inputs and cotangents, and writes as many gradients as there are trained inputs
        moved += sum(x.nbytes for x, needs in zip(inputs, trained, strict=True) if needs)
        sets = [[x.requires_grad_(needs) for x, needs in zip(one, trained, strict=True)] for one in sets]
        variants = {name: _with_backward(f, outputs) for name, f in variants.items()}
    with fastladder.use_backend(backend):
        times = interleaved(benchmark, {name: rotating(run, sets) for name, run in variants.items()}, device)
        saved = saved_bytes(ours, inputs)
    return OperatorMeasurement(
        row.operator,
        shape_name(shape),
        str(inputs[0].dtype).removeprefix("torch."),
        direction,
        times["eager"],
        times["compiled"],
        times["ours"],
        moved,
        copy_bandwidth(moved, device),
        saved,
        saved_bytes(eager, inputs),
    )


def _forward(function: Operator) -> Operator:
    @torch.no_grad()
    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        return function(*inputs)

    return run


def _with_backward(function: Operator, outputs: tuple[Tensor, ...]) -> Operator:
    cotangents = [torch.randn_like(y) for y in outputs]

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        leaves = [x for x in inputs if x.requires_grad]
        return torch.autograd.grad(function(*inputs), leaves, cotangents)

    return run
