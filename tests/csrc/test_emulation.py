"""The CUDA kernels and their launches without a GPU, against the reference: a CPU imitates one (see emulated.py).

The emulation shows neither the code that the compiler for GPUs generates (test_cuda_build.py) nor its speed.
"""

import pytest
import torch

from tests.ops.contract import (
    FLOOR,
    GAUSSIAN,
    LAYOUTS,
    MIXED_ROWS,
    NARROW_FLOOR,
    ROWS,
    WIENER_KL,
    Row,
    assert_as_good_as_reference,
    evaluate,
)

pytestmark = pytest.mark.usefixtures("emulation")

every_row = pytest.mark.parametrize("row", ROWS + MIXED_ROWS, ids=lambda row: row.name)
VARIED = [  # one of each kind, for tests that are slow to emulate
    row
    for row in ROWS + MIXED_ROWS
    if row.name.startswith(
        (
            "lstm_gates-J=3",
            "combine_g2-norm",
            "combine_g1",
            "group_evidence",
            "group_mixture",
            "merge_sample",
            "wiener_kl",
            "moments_seq",
        )
    )
    and "squash_gate=False" not in row.name
]
varied_rows = pytest.mark.parametrize("row", VARIED, ids=lambda row: row.name)
normalized_rows = pytest.mark.parametrize("row", [r for r in VARIED if "norm" in r.options], ids=lambda row: row.name)
grouping_rows = pytest.mark.parametrize(
    "row", [row for row in ROWS if row.name.startswith("group_")], ids=lambda row: row.name
)


@every_row
@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 3, 0), (4, 6), (2, 17, 3), (5, 3, 37), (2, 2, 3, 2, 3)], ids=str)
def test_one_element_at_a_time(row: Row, shape: tuple[int, ...]) -> None:
    """Rows are not a multiple of 16 bytes."""
    assert_as_good_as_reference(row, row.inputs(shape))


@every_row
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("shape", [(3, 8, 4, 4), (2, 16, 8, 12)], ids=str)
def test_sixteen_bytes_at_a_time(row: Row, shape: tuple[int, ...], layout: str) -> None:
    assert_as_good_as_reference(row, row.inputs(shape, layout=layout))


@every_row
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_memory_layout(row: Row, layout: str) -> None:
    if layout == "expanded" and row.is_sequence:
        pytest.skip("numbers that are normalised together would all be the same")
    assert_as_good_as_reference(row, row.inputs((3, 5, 8, 2), layout=layout))


@every_row
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", NARROW_FLOOR, ids=str)
def test_narrow_dtypes(row: Row, dtype: torch.dtype, layout: str) -> None:
    for shape in ((3, 16, 4, 8), (3, 5, 7, 3)):
        assert_as_good_as_reference(row, row.inputs(shape, dtype=dtype, layout=layout))


@varied_rows
def test_unused_outputs(row: Row) -> None:
    for unused in range(row.outputs if row.outputs > 1 else 0):
        assert_as_good_as_reference(row, row.inputs((3, 8, 4, 2)), unused=unused)


@normalized_rows
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_many_chunks_and_segments(row: Row, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics in many segments, samples in several chunks; a mean far from zero."""
    monkeypatch.setenv("EMULATED_CACHE_BYTES", "4096")
    for shape in ((6, 4, 24, 26), (3, 136, 6, 6)):
        inputs = row.inputs(shape, layout=layout)
        inputs[0] = inputs[0] + 100
        assert_as_good_as_reference(row, inputs, floor=2e-4)


@grouping_rows
@pytest.mark.parametrize("groups", [1, 3, 4, 5, 8, 32])
@pytest.mark.parametrize("dtype", [torch.float32, *NARROW_FLOOR], ids=str)
def test_any_number_of_groups(row: Row, groups: int, dtype: torch.dtype) -> None:
    """Up to 4 groups, up to 8, and more; several pixels at once and one by one; samples in one piece and in several."""
    floor = 2 * FLOOR  # 32 groups are added up one after the other, and divided by small masks
    for shape in ((2, groups, 8, 2), (2, groups, 8, 150), (2, groups, 7, 3)):
        assert_as_good_as_reference(row, row.inputs(shape, dtype=dtype), floor)


@pytest.mark.parametrize("row", GAUSSIAN + WIENER_KL, ids=lambda row: row.name)
@pytest.mark.parametrize("dtype", [torch.float32, *NARROW_FLOOR], ids=str)
def test_rows_of_any_length(row: Row, dtype: torch.dtype) -> None:
    """Several packs a thread, and fewer for those that have the last ones; several rows a warp."""
    for shape in ((3, 5, 16, 16), (3, 5, 7, 13), (5, 7, 3), (1, 1, 1)):
        assert_as_good_as_reference(row, row.inputs(shape, dtype=dtype))


@varied_rows
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_many_small_samples(row: Row, layout: str) -> None:
    """Several samples in one block, and more partial sums than one block adds up."""
    assert_as_good_as_reference(row, row.inputs((270, 4, 2, 2), layout=layout), floor=2 * FLOOR)


@varied_rows
def test_results_do_not_depend_on_the_order_of_blocks(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = row.inputs((5, 8, 12, 12))
    results = []
    for blocks in ("1", "2", "5"):
        monkeypatch.setenv("EMULATED_BLOCKS_AT_A_TIME", blocks)
        results.append(evaluate(row, inputs))
    for others in results[1:]:
        assert all(torch.equal(x, y) for x, y in zip(results[0], others, strict=True))
