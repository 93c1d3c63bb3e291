"""The CUDA kernels and their launches, run without a GPU: compiled for a CPU that imitates one (see emulation/).

What the emulation cannot show is what the compiler for GPUs makes of them (test_cuda_build.py) and how fast they are.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.utils.cpp_extension import include_paths, library_paths

import fastladder  # noqa: F401 - declares the operators
from fastladder.ops import registration
from tests.ops.contract import (
    FLOOR,
    LAYOUTS,
    MIXED_ROWS,
    NARROW_FLOOR,
    ROWS,
    Row,
    assert_as_good_as_reference,
    evaluate,
)

ROOT = Path(__file__).parents[2]
ENGINES = {  # of every family, and where it stands
    "lstm_gates": ("CudaPreactivationEngine", "preactivation_engine"),
    "gated_combine": ("CudaPreactivationEngine", "preactivation_engine"),
    "grouping": ("CudaGroupingEngine", "grouping_engine"),
}
NAMESPACE = "fastladder_emulated"
COMPILER = shutil.which(os.environ.get("CXX", "g++"))

pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="no C++ compiler"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the emulation switches stacks as Linux does"),
]


def compiling(family: str, library: Path) -> subprocess.Popen[bytes]:
    flags = ["-std=c++17", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-Bsymbolic"]
    engine, header = ENGINES[family]
    flags += ["-w", "-DTORCH_TARGET_VERSION=0x020a000000000000", "-DUSE_CUDA=1"]
    flags += [f"-DFAMILY={family}", f"-DENGINE={engine}", f"-DENGINE_HEADER={header}"]
    includes = [ROOT / "tests" / "csrc" / "emulation", ROOT / "csrc", *include_paths()]
    flags += [f"-I{path}" for path in includes] + [f"-L{path}" for path in library_paths()]
    source = ROOT / "tests" / "csrc" / "emulation" / "operators.cpp"
    return subprocess.Popen([str(COMPILER), *flags, str(source), "-ltorch_cpu", "-o", str(library)])


@pytest.fixture(scope="module")
def _emulated_operators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiles them and registers them, for CPU tensors, with the schemas, fakes and gradients of the real ones."""
    folder = tmp_path_factory.mktemp("emulation")
    libraries = [folder / f"{family}.so" for family in ENGINES]
    compilers = [compiling(family, library) for family, library in zip(ENGINES, libraries, strict=True)]
    assert [compiler.wait() for compiler in compilers] == [0] * len(ENGINES)
    definitions = torch.library.Library(NAMESPACE, "DEF")
    for definition in re.findall(r"library\.def\((.*?)\);", (ROOT / "csrc" / "schema.cpp").read_text(), re.DOTALL):
        definitions.define("".join(re.findall(r'"(.*?)"', definition)))
    for library in libraries:
        torch.ops.load_library(library)
    registration.attach(NAMESPACE)
    yield
    definitions._destroy()


@pytest.fixture(autouse=True)
def _emulated(_emulated_operators: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The public operators run on the emulated kernels; what these leave unwritten is NaN."""
    for family in ENGINES:
        module = sys.modules[f"fastladder.ops.{family}"]
        monkeypatch.setattr(module, "select_backend", lambda *_: "native")
        monkeypatch.setattr(module, "namespace", lambda _: getattr(torch.ops, NAMESPACE))
    was = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(was)


every_row = pytest.mark.parametrize("row", ROWS + MIXED_ROWS, ids=lambda row: row.name)
VARIED = [  # one of each kind, for what is slow to emulate
    row
    for row in ROWS + MIXED_ROWS
    if row.name.startswith(("lstm_gates-J=3", "combine_g2-norm", "combine_g1", "group_evidence", "group_mixture"))
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
    """Rows that are no multiple of 16 bytes."""
    assert_as_good_as_reference(row, row.inputs(shape))


@every_row
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("shape", [(3, 8, 4, 4), (2, 16, 8, 12)], ids=str)
def test_sixteen_bytes_at_a_time(row: Row, shape: tuple[int, ...], layout: str) -> None:
    assert_as_good_as_reference(row, row.inputs(shape, layout=layout))


@every_row
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_memory_layout(row: Row, layout: str) -> None:
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
def test_many_items_of_work(row: Row, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics in many segments, several waves of samples, blocks that wait for each other; a mean far from zero."""
    monkeypatch.setenv("EMULATED_CACHE_BYTES", "4096")
    for shape in ((6, 4, 24, 26), (3, 136, 6, 6)):
        inputs = row.inputs(shape, layout=layout)
        inputs[0] = inputs[0] + 100
        assert_as_good_as_reference(row, inputs, floor=2e-4)


@grouping_rows
@pytest.mark.parametrize("groups", [1, 3, 4, 5, 8, 32])
@pytest.mark.parametrize("dtype", [torch.float32, *NARROW_FLOOR], ids=str)
def test_any_number_of_groups(row: Row, groups: int, dtype: torch.dtype) -> None:
    """Up to 4 groups, up to 8, and more; pixels at once and one by one; samples in one piece and in several."""
    floor = 2 * FLOOR  # 32 groups are added up one after the other, and divided by small masks
    for shape in ((2, groups, 8, 2), (2, groups, 8, 150), (2, groups, 7, 3)):
        assert_as_good_as_reference(row, row.inputs(shape, dtype=dtype), floor)


@varied_rows
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_many_small_samples(row: Row, layout: str) -> None:
    """Several samples a unit; more partial sums than one block adds up."""
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
