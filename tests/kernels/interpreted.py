"""The Triton kernels under Triton's interpreter, against the reference; test_interpreter.py runs this in a process.

The cases are those that can go wrong in Triton alone: blocks that are not full, several blocks a row, both layouts,
optional tensors, every dtype. The contract of all backends is tested in tests/ops.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import fastladder
from fastladder import reference
from tests.ops.contract import (
    GAUSSIAN,
    MOMENTS,
    MOMENTS_SEQUENCES,
    NORMS,
    PARAMETER,
    ROWS,
    WIENER_KL,
    Row,
    combine_g1,
    combine_g2,
    combine_g3,
    combine_g3_hidden,
    evaluate,
    group_evidence,
    ladder_combine,
    lstm_gates,
    lstm_sequence,
)

# Rounding of the result, and of sums in another order in float32.
TOLERANCE = {torch.float32: 4e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}
CONTIGUOUS, CHANNELS_LAST = "contiguous", "channels_last"


@pytest.fixture(autouse=True)
def _poisoned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that a kernel leaves unwritten are NaN."""
    new_empty = Tensor.new_empty
    monkeypatch.setattr(Tensor, "new_empty", lambda *args, **kwargs: new_empty(*args, **kwargs).fill_(float("nan")))


def check(row: Row, inputs: list[Tensor], unused: int | None = None) -> None:
    """Compares with the reference, in units of the largest element of each result."""
    expected = evaluate(row, inputs, where=reference, unused=unused)
    with fastladder.use_backend("triton"):
        actual = evaluate(row, inputs, unused=unused)
    for ours, theirs in zip(actual, expected, strict=True):
        scale = 1.0 + (theirs.abs().max().item() if theirs.numel() else 0.0)
        torch.testing.assert_close(ours, theirs, rtol=0.0, atol=TOLERANCE[theirs.dtype] * scale)


Build = Callable[..., Row]  # from a norm and whether there are gain and bias

every_operator = pytest.mark.parametrize("build", [lstm_gates, combine_g1, combine_g2, combine_g3_hidden])
every_norm = pytest.mark.parametrize("norm", NORMS)
every_layout = pytest.mark.parametrize("layout", [CONTIGUOUS, CHANNELS_LAST])


@every_operator
@every_norm
@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        pytest.param((3, 5), CONTIGUOUS, id="dense"),
        pytest.param((2, 3, 2, 3, 5), CHANNELS_LAST, id="3d-channels_last"),
        pytest.param((3, 5, 5, 7), CONTIGUOUS, id="2d"),
        pytest.param((3, 5, 5, 7), CHANNELS_LAST, id="2d-channels_last"),
        pytest.param((1, 1, 1), CONTIGUOUS, id="single"),
        pytest.param((0, 3, 5), CONTIGUOUS, id="no-samples"),
        pytest.param((2, 3, 0), CONTIGUOUS, id="no-positions"),
        pytest.param((2, 0, 5), CONTIGUOUS, id="no-channels"),
    ],
)
def test_shapes_and_layouts(build: Build, norm: str, shape: tuple[int, ...], layout: str) -> None:
    row = build(norm)
    check(row, row.inputs(shape, layout=layout))


@pytest.mark.parametrize("build", [combine_g1, combine_g2, combine_g3_hidden])
@every_norm
@pytest.mark.parametrize(("shape", "layout"), [((2, 1, 18, 31), CONTIGUOUS), ((2, 33, 3, 5), CHANNELS_LAST)], ids=str)
def test_several_blocks_of_rows_and_columns(build: Build, norm: str, shape: tuple[int, ...], layout: str) -> None:
    row = build(norm)
    check(row, row.inputs(shape, layout=layout))


@every_operator
@pytest.mark.parametrize(("dtype", "norm"), [(torch.bfloat16, "layer"), (torch.float16, "batch")])
def test_narrow_dtypes(build: Build, norm: str, dtype: torch.dtype) -> None:
    row = build(norm)
    check(row, row.inputs((3, 5, 5, 7), dtype=dtype))


@every_norm
@every_layout
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_state_of_float32_beside_narrow_dtypes(norm: str, dtype: torch.dtype, layout: str) -> None:
    row = lstm_gates(norm, wide_states=True)
    check(row, row.inputs((3, 5, 5, 7), dtype=dtype, layout=layout))


@every_norm
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 5, 1), (0, 5, 3), (2, 5, 0)], ids=str)
def test_sequences(norm: str, affine: bool, shape: tuple[int, ...]) -> None:
    row = lstm_sequence(norm, affine=affine)
    check(row, row.inputs(shape))
    for unused in range(row.outputs):
        check(row, row.inputs(shape), unused=unused)


every_sequence_of_moments = pytest.mark.parametrize("row", MOMENTS_SEQUENCES, ids=lambda row: row.name)


@every_sequence_of_moments
@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 5, 1), (0, 5, 3), (2, 5, 0), (11, 100, 2)], ids=str)
def test_sequences_of_moments(row: Row, shape: tuple[int, ...]) -> None:
    check(row, row.inputs(shape))
    for unused in range(row.outputs):
        check(row, row.inputs(shape), unused=unused)


@every_sequence_of_moments
def test_sequences_of_moments_of_several_lengths(row: Row) -> None:
    row = replace(row, options=row.options | {"lengths": [2, 4, 0]})
    check(row, row.inputs((3, 5, 4)))


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_sequences_of_several_lengths(norm: str) -> None:
    row = replace(lstm_sequence(norm), options={"norm": norm, "lengths": [2, 4, 0]})
    check(row, row.inputs((3, 5, 4)))


@every_operator
@every_norm
def test_without_gain_and_bias(build: Build, norm: str) -> None:
    row = build(norm, affine=False)
    check(row, row.inputs((3, 5, 5, 7)))


@every_operator
@pytest.mark.parametrize("missing", ["gain", "bias"])
def test_with_either_of_gain_and_bias(build: Build, missing: str) -> None:
    row = build("batch")
    row = replace(row, arguments={name: argument for name, argument in row.arguments.items() if name != missing})
    check(row, row.inputs((3, 5, 5, 7)))


@every_norm
@pytest.mark.parametrize("count", [1, 3])
def test_one_and_three_projections(norm: str, count: int) -> None:
    row = lstm_gates(norm, count)
    check(row, row.inputs((3, 5, 5, 7)))


@pytest.mark.parametrize("unused", [0, 1, None])
def test_unused_outputs(unused: int | None) -> None:
    row = lstm_gates("layer")
    check(row, row.inputs((3, 5, 5, 7)), unused)


@every_norm
def test_squashed_gate(norm: str) -> None:
    row = combine_g1(norm, squash_gate=True)
    check(row, row.inputs((3, 5, 5, 7)))


WITHOUT_NORM = [combine_g3(), ladder_combine(), ladder_combine(squash_gate=True), *MOMENTS]


@every_layout
@pytest.mark.parametrize("shape", [(3, 5, 5, 7), (3, 5), (2, 2, 18, 31), (0, 3, 5)])
@pytest.mark.parametrize("row", WITHOUT_NORM, ids=lambda row: row.name)
def test_operators_without_a_norm(row: Row, shape: tuple[int, ...], layout: str) -> None:
    check(row, row.inputs(shape, layout=layout))


@pytest.mark.parametrize("row", MOMENTS, ids=lambda row: row.name)
@pytest.mark.parametrize("unused", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_moments_with_an_unused_output(row: Row, dtype: torch.dtype, unused: int) -> None:
    check(row, row.inputs((3, 5, 5, 19), dtype=dtype), unused)


@every_layout
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((3, 5, 7), id="rows-and-elements-that-do-not-fill"),
        pytest.param((150, 5, 3), id="several-blocks-of-rows"),
        pytest.param((2, 3, 37, 41), id="several-blocks-of-elements"),
        pytest.param((1, 1), id="single"),
        pytest.param((0, 3, 5), id="no-samples"),
        pytest.param((2, 3, 0), id="no-elements"),
    ],
)
@pytest.mark.parametrize("row", GAUSSIAN, ids=lambda row: row.name)
def test_gaussians(row: Row, shape: tuple[int, ...], layout: str) -> None:
    check(row, row.inputs(shape, layout=layout))


@pytest.mark.parametrize("row", GAUSSIAN, ids=lambda row: row.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_gaussians_with_unused_outputs(row: Row, dtype: torch.dtype) -> None:
    for unused in range(row.outputs) if row.outputs > 1 else [None]:
        check(row, row.inputs((3, 5, 5, 19), dtype=dtype), unused)


@pytest.mark.parametrize("row", WIENER_KL, ids=lambda row: row.name)
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((3, 5, 7), id="rows-and-features-that-do-not-fill"),
        pytest.param((7, 37, 3, 7), id="several-blocks-of-rows"),
        pytest.param((2, 3, 37, 41), id="several-blocks-of-features"),
        pytest.param((3, 1), id="one-step-of-one-feature"),
        pytest.param((0, 3, 5), id="no-samples"),
        pytest.param((2, 0, 5), id="no-steps"),
        pytest.param((2, 3, 0), id="no-features"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_wiener_kl(row: Row, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    check(row, row.inputs(shape, dtype=dtype))


GAUSSIAN_GROUPING = [
    group_evidence(delta, features=features)
    for features in (False, True)
    for delta in ("residual", "weighted", "gradient")
]
GROUPING = [
    *GAUSSIAN_GROUPING,
    *(row for row in ROWS if row.operator.startswith("group_") and "delta" not in row.options),
]
every_grouping = pytest.mark.parametrize("row", GROUPING, ids=lambda row: row.name)


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
def test_grouping(row: Row, shape: tuple[int, ...]) -> None:
    check(row, row.inputs(shape))


@every_grouping
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_grouping_in_narrow_dtypes(row: Row, dtype: torch.dtype) -> None:
    check(row, row.inputs((3, 5, 5, 7), dtype=dtype))


@pytest.mark.parametrize("row", [row for row in GROUPING if row.outputs == 2], ids=lambda row: row.name)
@pytest.mark.parametrize("unused", [0, 1])
def test_grouping_with_an_unused_output(row: Row, unused: int) -> None:
    check(row, row.inputs((3, 5, 5, 7)), unused)


@pytest.mark.parametrize("row", GAUSSIAN_GROUPING, ids=lambda row: row.name)
def test_masks_of_zero_for_what_explains_best(row: Row) -> None:
    """Exponents lie far apart, and some above that of the best group whose mask is not 0."""
    data, mean, mask, variance = row.inputs((3, 5, 5, 7))
    check(row, [data, 5 * mean, (mask == mask.amax(1, keepdim=True)).float(), variance])


@every_operator
def test_mixed_layouts_and_storage_offsets(build: Build) -> None:
    """The first activation is a strided view at an offset; the second one lies in another layout."""
    row = build("layer")
    inputs = row.inputs((4, 5, 5, 8))
    is_activation = [argument.kind != PARAMETER for argument in row.arguments.values()]
    inputs = [x[1:, ..., 1:] if cut else x for x, cut in zip(inputs, is_activation, strict=True)]
    inputs[1] = inputs[1].contiguous(memory_format=torch.channels_last)
    check(row, inputs)


@every_layout
@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_statistics_survive_a_large_mean(norm: str, layout: str) -> None:
    """A variance computed as the mean square less the squared mean would have lost every digit."""
    row = combine_g3_hidden(norm)
    top, *others = row.inputs((2, 33, 5, 13) if layout == CHANNELS_LAST else (2, 3, 27, 77), layout=layout)
    inputs = [top + 3000.0, *others]
    (expected,) = row.call(*(x.double() for x in inputs), where=reference)
    with fastladder.use_backend("triton"):
        (actual,) = row.call(*inputs)
    torch.testing.assert_close(actual.double(), expected, rtol=0.0, atol=1e-2)
