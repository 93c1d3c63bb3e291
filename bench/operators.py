"""Measures one operator: forward, and forward with backward, eager, under torch.compile, and fused."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import fastladder
from bench.harness import Measurement, copies, copy_bandwidth, interleaved, rotating, saved_bytes
from fastladder import ops, reference

# (N, C, *S): the rows of Table 5 at batch 32 and 100, the demo, a dense layer, and larger frames.
SHAPES = [(32, 32, 32, 32), (100, 32, 32, 32), (100, 32, 16, 16), (100, 12, 20, 20), (100, 512), (16, 32, 64, 64)]
DIRECTIONS = ["forward", "forward+backward"]

Call = Callable[..., Any]


def measure(
    benchmark,
    operator: str,
    call: Callable[[Any], Call],
    make: Callable[[int], list[Tensor]],
    shape: tuple[int, ...],
    direction: str,
    backend: str,
    *,
    constants: int = 0,
) -> Measurement:
    """Measures `call(module)(*inputs)` for the module `ops` against `reference`.

    The first `constants` inputs are data, which asks for no gradient, as in a training.
    """
    sets = copies(make)
    inputs = sets[0]
    device = inputs[0].device
    eager, ours = call(reference), call(ops)
    torch._dynamo.reset()
    compiled = torch.compile(eager)
    outputs = _tuple(eager(*inputs))
    moved = sum(x.nbytes for x in (*inputs, *outputs))
    if direction == "forward":
        variants = {"eager": _forward(eager), "compiled": _forward(compiled), "ours": _forward(ours)}
    else:
        moved *= 2  # backward reads inputs and cotangents, and writes as many gradients as there are inputs
        moved += sum(x.nbytes for x in inputs[constants:])
        sets = [[*one[:constants], *(x.requires_grad_() for x in one[constants:])] for one in sets]
        variants = {
            name: _with_backward(f, outputs) for name, f in dict(eager=eager, compiled=compiled, ours=ours).items()
        }
    with fastladder.use_backend(backend):
        times = interleaved(benchmark, {name: rotating(run, sets) for name, run in variants.items()}, device)
        saved = saved_bytes(ours, inputs)
    return Measurement(
        operator,
        "x".join(map(str, shape)),
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


def _tuple(outputs: Any) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _forward(function: Call) -> Call:
    @torch.no_grad()
    def run(*inputs: Tensor) -> Any:
        return function(*inputs)

    return run


def _with_backward(function: Call, outputs: tuple[Tensor, ...]) -> Call:
    cotangents = [torch.randn_like(y) for y in outputs]

    def run(*inputs: Tensor) -> Any:
        leaves = [x for x in inputs if x.requires_grad]
        return torch.autograd.grad(_tuple(function(*inputs)), leaves, cotangents)

    return run


def random_tensors(seed: int, device: torch.device, *shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).to(device) for shape in shapes]
