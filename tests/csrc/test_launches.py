"""How often the CUDA kernels are launched, and how often they read and write memory: counted in the emulation."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from tests.csrc.emulated import Trace, Tracer
from tests.ops.contract import (
    GAUSSIAN,
    MOMENTS_SEQUENCES,
    PARAMETER,
    ROWS,
    WIENER_KL,
    Row,
    lstm_gates,
    lstm_sequence,
)

pytestmark = pytest.mark.usefixtures("emulation")

PREACTIVATIONS = [  # one of every operator with a norm, for each norm
    row
    for row in ROWS
    if "norm" in row.options
    and "gain" in row.arguments
    and row.projections in (0, 2)
    and not row.is_sequence
    and not row.options.get("squash_gate")
]
GROUPING = [row for row in ROWS if row.operator.startswith("group_")]
SHAPE, GROUPS_SHAPE = (8, 16, 16, 16), (8, 4, 16, 16)
WHOLE_BATCH, ONE_SAMPLE = "1000000000", "1"  # bytes of a cache that makes one chunk of these

# Without a norm, the forward pass is one launch, and the backward pass two: gradients, then the sums of those of
# parameters. A norm takes two launches more forward, for moments of segments and of whole norm groups. Backward, layer
# norm takes two more for its means; batch norm takes one more, since its means come with the sums for parameters.
FORWARD = {"none": 1, "layer": 3, "batch": 3}
BACKWARD = {"none": 2, "layer": 4, "batch": 3}


def with_norm(*norms: str) -> pytest.MarkDecorator:
    rows = [row for row in PREACTIVATIONS if row.options["norm"] in norms]
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name)


layouts = pytest.mark.parametrize("layout", ["contiguous", "channels_last"])


@dataclass
class Pass:
    """One direction of an operator: its trace, and the activations that it reads and writes."""

    trace: Trace
    reads: list[Tensor]
    writes: list[Tensor]

    def check_accesses(self, most_reads: int) -> None:
        """Every activation is read, at most so many times; every result is written exactly once."""
        for x in self.reads:
            counts = self.trace.loads(x)
            assert counts.min() >= 1
            assert counts.max() <= most_reads
        for y in self.writes:
            assert set(self.trace.stores(y)) == {1}


def run(row: Row, tracer: Tracer, shape: tuple[int, ...], layout: str = "contiguous") -> tuple[Pass, Pass]:
    """Forward and backward pass. Sums are left out of what these read and write."""
    leaves = [x.requires_grad_() for x in row.inputs(shape, layout=layout)]
    is_activation = [argument.kind != PARAMETER for argument in row.arguments.values()]

    def activations(tensors: tuple[Tensor, ...]) -> list[Tensor]:
        return [x for x, chosen in zip(tensors, is_activation, strict=True) if chosen]

    def whole(tensors: tuple[Tensor, ...]) -> list[Tensor]:
        return [x for x in tensors if x.dim() > 1 and not row.only_sums]

    outputs, forward = tracer(row, lambda: row.call(*leaves))
    cotangents = tuple(torch.randn_like(y) for y in outputs)
    gradients, backward = tracer(row, lambda: torch.autograd.grad(outputs, leaves, cotangents))
    return (
        Pass(forward, activations(leaves), whole(outputs)),
        Pass(backward, activations(leaves) + whole(cotangents), activations(gradients)),
    )


@layouts
@with_norm("none", "layer", "batch")
def test_a_batch_that_the_cache_holds(row: Row, layout: str, tracer: Tracer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMULATED_CACHE_BYTES", WHOLE_BATCH)
    norm = row.options["norm"]
    forward, backward = run(row, tracer, SHAPE, layout)
    assert (forward.trace.launches, backward.trace.launches) == (FORWARD[norm], BACKWARD[norm])
    for each in (forward, backward):
        each.check_accesses(most_reads=1 if norm == "none" else 2)


@layouts
@with_norm("layer")
def test_layer_norm_reads_a_chunk_twice_before_the_next(
    row: Row, layout: str, tracer: Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the cache is small, every sample is a chunk of its own: read for the sums, then for the results."""
    monkeypatch.setenv("EMULATED_CACHE_BYTES", ONE_SAMPLE)
    monkeypatch.setenv("EMULATED_PROCESSORS", "1")
    forward, backward = run(row, tracer, SHAPE, layout)
    samples, forward_launches = SHAPE[0], FORWARD["layer"]
    backward_launches = BACKWARD["layer"] - 1  # gradients of parameters are added up once, after all chunks
    assert forward.trace.launches == forward_launches * samples
    assert backward.trace.launches == backward_launches * samples + 1
    for each, launches in ((forward, forward_launches), (backward, backward_launches)):
        each.check_accesses(most_reads=2)
        for x in each.reads:
            for sample in range(samples):
                assert {(i - 1) // launches for i in each.trace.launches_that_load(x[sample])} == {sample}


@pytest.mark.parametrize("norm", FORWARD)
def test_a_sequence_launches_what_each_of_its_steps_does(norm: str, tracer: Tracer) -> None:
    sequence, step = lstm_sequence(norm), lstm_gates(norm, 2)
    projections, hidden, *_ = sequence.inputs(SHAPE)
    ones, all_steps = run(step, tracer, tuple(hidden.shape)), run(sequence, tracer, SHAPE)
    for one, every in zip(ones, all_steps, strict=True):
        assert every.trace.launches == projections.shape[0] * one.trace.launches > 0


@pytest.mark.parametrize("row", MOMENTS_SEQUENCES, ids=lambda row: row.name)
def test_a_sequence_of_moments_takes_one_launch_a_step(row: Row, tracer: Tracer) -> None:
    """And one more for the hidden units before the first step."""
    forward, backward = run(row, tracer, SHAPE)
    steps = row.inputs(SHAPE)[0].shape[0]
    assert (forward.trace.launches, backward.trace.launches) == (steps + 1, steps + 1)


@with_norm("none", "batch")
def test_other_norms_launch_the_whole_batch(row: Row, tracer: Tracer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMULATED_CACHE_BYTES", ONE_SAMPLE)
    norm = row.options["norm"]
    forward, backward = run(row, tracer, SHAPE)
    assert (forward.trace.launches, backward.trace.launches) == (FORWARD[norm], BACKWARD[norm])


@pytest.mark.parametrize("row", GROUPING, ids=lambda row: row.name)
def test_groups(row: Row, tracer: Tracer) -> None:
    """One launch for each pass, and one more that adds up the gradient of a variance."""
    forward, backward = run(row, tracer, GROUPS_SHAPE)
    assert (forward.trace.launches, backward.trace.launches) == (1, 2 if "variance" in row.arguments else 1)
    for each in (forward, backward):
        each.check_accesses(most_reads=1)


@pytest.mark.parametrize("row", GAUSSIAN, ids=lambda row: row.name)
@layouts
def test_gaussians(row: Row, layout: str, tracer: Tracer) -> None:
    """One launch for each pass, which reads and writes every number once."""
    forward, backward = run(row, tracer, SHAPE, layout)
    assert (forward.trace.launches, backward.trace.launches) == (1, 1)
    for each in (forward, backward):
        each.check_accesses(most_reads=1)


@pytest.mark.parametrize("row", WIENER_KL, ids=lambda row: row.name)
def test_time_steps(row: Row, tracer: Tracer) -> None:
    """One launch for each pass. The steps before and after are read too, where there are any."""
    forward, backward = run(row, tracer, SHAPE)
    assert (forward.trace.launches, backward.trace.launches) == (1, 1)
    forward.check_accesses(most_reads=2)
    backward.check_accesses(most_reads=3)
