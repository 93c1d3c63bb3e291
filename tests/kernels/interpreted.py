"""What the Triton kernels compute, under Triton's interpreter; test_interpreter.py runs this in processes of its own.

The cases are those that can go wrong in Triton alone: blocks that do not fill, several blocks a row, both layouts,
optional tensors, every dtype. What every backend keeps is tested for all of them in tests/ops.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

import fastladder
from fastladder import ops, reference

# Rounding of the result, and of sums in another order in float32.
TOLERANCE = {torch.float32: 4e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20240)


@pytest.fixture(autouse=True)
def _poisoned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kernel leaves unwritten is NaN."""
    new_empty = Tensor.new_empty
    monkeypatch.setattr(Tensor, "new_empty", lambda *args, **kwargs: new_empty(*args, **kwargs).fill_(float("nan")))


Arguments = tuple[list[Any], dict[str, Any]]


def build(
    operator: str,
    generator: torch.Generator,
    shape: Sequence[int],
    *,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
    affine: bool = True,
    count: int = 2,
    **options: Any,
) -> Arguments:
    """Random arguments for activations (N, C, *S); lstm_gates gets `count` projections, and C counts groups if any."""
    samples, channels, *positions = shape

    def random(*size: int) -> Tensor:
        return torch.randn(size, generator=generator)

    def activation(parts: int) -> Tensor:
        if channels_last:
            return random(samples, *positions, parts * channels).movedim(-1, 1).to(dtype)
        return random(samples, parts * channels, *positions).to(dtype)

    def parameters(parts: int, *projections: int) -> dict[str, Any]:
        affine_parameters = dict(gain=random(*projections, parts * channels), bias=random(parts * channels))
        return options | (affine_parameters if affine else {})

    if operator == "ladder_combine":
        return [activation(1), activation(1), random(10, channels)], options
    if operator.startswith("group_"):
        data, leader, logits = random(samples, *positions).to(dtype), activation(1), 3 * random(*shape)
        if "bernoulli" in operator:
            data = (data > 0).to(dtype)
        variance = [] if "bernoulli" in operator else [random().exp()]
        if "mixture" in operator:
            return [data, leader, logits.to(dtype), *variance], options
        leader = leader.sigmoid() if "bernoulli" in operator else leader
        return [data, leader, logits.softmax(1).to(dtype), *variance], options
    if operator == "lstm_gates":
        return [[activation(4) for _ in range(count)], activation(1)], parameters(4, count)
    if operator == "combine_g1":
        return [activation(1), activation(1), random(5, channels), random(5, channels)], parameters(1)
    if operator == "combine_g2":
        return [activation(3), activation(3), random(3, 5, channels)], parameters(3, 2)
    return [activation(1), activation(1)], parameters(1, 2)


def evaluate(function: Callable[..., Any], arguments: Arguments, used: Sequence[int]) -> list[Tensor]:
    """The outputs, and the gradients of all tensors under random cotangents of those outputs that are used."""
    generator = torch.Generator().manual_seed(1)
    leaves: list[Tensor] = []

    def leaf(value: Any) -> Any:
        if isinstance(value, list):
            return [leaf(item) for item in value]
        if not isinstance(value, Tensor):
            return value
        leaves.append(value.detach().requires_grad_())
        return leaves[-1]

    positional = [leaf(value) for value in arguments[0]]
    outputs = function(*positional, **{name: leaf(value) for name, value in arguments[1].items()})
    outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
    chosen = [outputs[number] for number in used]
    cotangents = [torch.randn(y.shape, generator=generator).to(y) for y in chosen]
    return [*outputs, *torch.autograd.grad(chosen, leaves, cotangents, materialize_grads=True)]


def check(operator: str, arguments: Arguments, used: Sequence[int] = (0,)) -> None:
    """Compares with the reference, in units of the largest element of each result."""
    expected = evaluate(getattr(reference, operator), arguments, used)
    with fastladder.use_backend("triton"):
        actual = evaluate(getattr(ops, operator), arguments, used)
    for ours, theirs in zip(actual, expected, strict=True):
        scale = 1.0 + (theirs.abs().max().item() if theirs.numel() else 0.0)
        torch.testing.assert_close(ours, theirs, rtol=0.0, atol=TOLERANCE[theirs.dtype] * scale)


every_operator = pytest.mark.parametrize("operator", ["lstm_gates", "combine_g1", "combine_g2", "combine_g3_hidden"])
every_norm = pytest.mark.parametrize("norm", ["none", "layer", "batch"])


@every_operator
@every_norm
@pytest.mark.parametrize(
    ("shape", "channels_last"),
    [
        pytest.param((3, 5), False, id="dense"),
        pytest.param((2, 3, 2, 3, 5), True, id="3d-channels_last"),
        pytest.param((3, 5, 5, 7), False, id="2d"),
        pytest.param((3, 5, 5, 7), True, id="2d-channels_last"),
        pytest.param((1, 1, 1), False, id="single"),
        pytest.param((0, 3, 5), False, id="no-samples"),
        pytest.param((2, 3, 0), False, id="no-positions"),
        pytest.param((2, 0, 5), False, id="no-channels"),
    ],
)
def test_shapes_and_layouts(
    generator: torch.Generator, operator: str, norm: str, shape: Sequence[int], channels_last: bool
) -> None:
    check(operator, build(operator, generator, shape, channels_last=channels_last, norm=norm))


@pytest.mark.parametrize("operator", ["combine_g1", "combine_g2", "combine_g3_hidden"])
@every_norm
@pytest.mark.parametrize(
    ("shape", "channels_last"),
    [
        pytest.param((2, 1, 18, 31), False, id="contiguous"),
        pytest.param((2, 33, 3, 5), True, id="channels_last"),
    ],
)
def test_several_blocks_of_rows_and_columns(
    generator: torch.Generator, operator: str, norm: str, shape: Sequence[int], channels_last: bool
) -> None:
    check(operator, build(operator, generator, shape, channels_last=channels_last, norm=norm))


@every_operator
@pytest.mark.parametrize(("dtype", "norm"), [(torch.bfloat16, "layer"), (torch.float16, "batch")])
def test_narrow_dtypes(generator: torch.Generator, operator: str, norm: str, dtype: torch.dtype) -> None:
    check(operator, build(operator, generator, (3, 5, 5, 7), dtype=dtype, norm=norm))


@every_norm
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_state_of_float32_beside_narrow_dtypes(
    generator: torch.Generator, norm: str, dtype: torch.dtype, channels_last: bool
) -> None:
    (projections, cell), options = build(
        "lstm_gates", generator, (3, 5, 5, 7), dtype=dtype, channels_last=channels_last, norm=norm
    )
    check("lstm_gates", ([projections, cell.float()], options), used=(0, 1))


@every_operator
@every_norm
def test_without_gain_and_bias(generator: torch.Generator, operator: str, norm: str) -> None:
    check(operator, build(operator, generator, (3, 5, 5, 7), affine=False, norm=norm))


@every_operator
@pytest.mark.parametrize("missing", ["gain", "bias"])
def test_with_either_of_gain_and_bias(generator: torch.Generator, operator: str, missing: str) -> None:
    arguments = build(operator, generator, (3, 5, 5, 7), norm="batch")
    del arguments[1][missing]
    check(operator, arguments)


@every_norm
@pytest.mark.parametrize("count", [1, 3])
def test_one_and_three_projections(generator: torch.Generator, norm: str, count: int) -> None:
    check("lstm_gates", build("lstm_gates", generator, (3, 5, 5, 7), count=count, norm=norm), used=(0, 1))


@pytest.mark.parametrize("used", [(0,), (1,), (0, 1)])
def test_unused_outputs(generator: torch.Generator, used: Sequence[int]) -> None:
    check("lstm_gates", build("lstm_gates", generator, (3, 5, 5, 7), norm="layer"), used)


@every_norm
def test_squashed_gate(generator: torch.Generator, norm: str) -> None:
    check("combine_g1", build("combine_g1", generator, (3, 5, 5, 7), norm=norm, squash_gate=True))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shape", [(3, 5, 5, 7), (3, 5), (2, 2, 18, 31), (0, 3, 5)])
def test_combine_g3(generator: torch.Generator, shape: Sequence[int], channels_last: bool) -> None:
    (projections, _, _), _ = build("combine_g2", generator, shape, channels_last=channels_last)
    check("combine_g3", ([projections], {}))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shape", [(3, 5, 5, 7), (3, 5), (2, 2, 18, 31), (0, 3, 5)])
@pytest.mark.parametrize("squash_gate", [False, True])
def test_ladder_combine(
    generator: torch.Generator, shape: Sequence[int], channels_last: bool, squash_gate: bool
) -> None:
    check(
        "ladder_combine",
        build("ladder_combine", generator, shape, channels_last=channels_last, squash_gate=squash_gate),
    )


GAUSSIAN: list[tuple[str, dict[str, Any]]] = [
    (operator, dict(noise_variance=0.3, delta=delta))
    for operator in ("group_evidence", "group_features")
    for delta in ("residual", "weighted", "gradient")
]
GROUPING = [
    *GAUSSIAN,
    ("group_evidence_bernoulli", dict(flip_probability=0.2)),
    ("group_features_bernoulli", dict(flip_probability=0.2)),
    ("group_mixture_nll", {}),
    ("group_mixture_nll_bernoulli", {}),
]
every_grouping = pytest.mark.parametrize(("operator", "options"), GROUPING)


def outputs_of(operator: str) -> tuple[int, ...]:
    return (0,) if "features" in operator else (0, 1)


@every_grouping
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((3, 5), id="no-dimensions"),
        pytest.param((3, 5, 7), id="groups-and-pixels-that-do-not-fill"),
        pytest.param((2, 4, 18, 31), id="several-blocks"),
        pytest.param((2, 32, 5, 9), id="most-groups"),
        pytest.param((2, 1, 9), id="one-group"),
        pytest.param((0, 3, 5), id="no-samples"),
        pytest.param((2, 3, 0), id="no-pixels"),
    ],
)
def test_grouping(generator: torch.Generator, operator: str, options: dict[str, Any], shape: Sequence[int]) -> None:
    check(operator, build(operator, generator, shape, **options), outputs_of(operator))


@every_grouping
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_grouping_in_narrow_dtypes(
    generator: torch.Generator, operator: str, options: dict[str, Any], dtype: torch.dtype
) -> None:
    check(operator, build(operator, generator, (3, 5, 5, 7), dtype=dtype, **options), outputs_of(operator))


@pytest.mark.parametrize(("operator", "options"), [case for case in GROUPING if "features" not in case[0]])
@pytest.mark.parametrize("used", [(0,), (1,)])
def test_grouping_with_an_unused_output(
    generator: torch.Generator, operator: str, options: dict[str, Any], used: Sequence[int]
) -> None:
    check(operator, build(operator, generator, (3, 5, 5, 7), **options), used)


@pytest.mark.parametrize(("operator", "options"), GAUSSIAN)
def test_masks_of_zero_for_what_explains_best(
    generator: torch.Generator, operator: str, options: dict[str, Any]
) -> None:
    """Exponents far apart, and some above that of the best group with a mask."""
    (data, mean, mask, variance), _ = build(operator, generator, (3, 5, 5, 7))
    mask = (mask == mask.amax(1, keepdim=True)).float()
    check(operator, ([data, 5 * mean, mask, variance], options), outputs_of(operator))


@every_operator
def test_mixed_layouts_and_storage_offsets(generator: torch.Generator, operator: str) -> None:
    """The first activation is a strided view at an offset; the second one lies in another layout."""
    arguments = build(operator, generator, (4, 5, 5, 8), norm="layer")
    positional = [x for group in arguments[0] for x in (group if isinstance(group, list) else [group])]
    leader, second = positional[0][1:, ..., 1:].detach(), positional[1][1:, ..., 1:]
    second = second.contiguous(memory_format=torch.channels_last)
    if operator == "lstm_gates":
        arguments[0][:] = [[leader, second], positional[2][1:, ..., 1:]]
    else:
        arguments[0][:2] = [leader, second]
    check(operator, arguments)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_statistics_survive_a_large_mean(generator: torch.Generator, norm: str, channels_last: bool) -> None:
    """A variance computed as the mean square less the squared mean would have lost every digit."""
    shape = (2, 33, 5, 13) if channels_last else (2, 3, 27, 77)
    (top, lateral), options = build("combine_g3_hidden", generator, shape, channels_last=channels_last, norm=norm)
    top += 3000.0
    doubles = {name: value.double() if isinstance(value, Tensor) else value for name, value in options.items()}
    expected = reference.combine_g3_hidden(top.double(), lateral.double(), **doubles)
    with fastladder.use_backend("triton"):
        actual = ops.combine_g3_hidden(top, lateral, **options)
    torch.testing.assert_close(actual.double(), expected, rtol=0.0, atol=1e-2)
