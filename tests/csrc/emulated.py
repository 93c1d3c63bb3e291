"""The CUDA kernels compiled for a CPU that imitates a GPU (see emulation/), and traces of what they read and write."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.cpp_extension import include_paths, library_paths

from fastladder import ops
from fastladder.ops import registration
from tests.ops.contract import Row

ROOT = Path(__file__).parents[2]
ENGINES = {  # of every family, and the header that defines it
    "lstm_gates": ("CudaPreactivationEngine", "preactivation_engine"),
    "gated_combine": ("CudaPreactivationEngine", "preactivation_engine"),
    "grouping": ("CudaGroupingEngine", "grouping_engine"),
    "gaussian": ("CudaGaussianEngine", "gaussian_engine"),
    "moments": ("CudaMomentsEngine", "moments_engine"),
}
NAMESPACE = "fastladder_emulated"
COMPILER = shutil.which(os.environ.get("CXX", "g++"))
UNAVAILABLE = (
    "no C++ compiler was found"
    if COMPILER is None
    else None
    if sys.platform.startswith("linux")
    else "the emulation switches stacks as Linux does"
)


def _start_compiler(family: str, library: Path) -> subprocess.Popen[bytes]:
    flags = ["-std=c++17", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-Bsymbolic"]
    engine, header = ENGINES[family]
    flags += ["-w", "-DTORCH_TARGET_VERSION=0x020a000000000000", "-DUSE_CUDA=1"]
    flags += [f"-DFAMILY={family}", f"-DENGINE={engine}", f"-DENGINE_HEADER={header}"]
    includes = [ROOT / "tests" / "csrc" / "emulation", ROOT / "csrc", *include_paths()]
    flags += [f"-I{path}" for path in includes] + [f"-L{path}" for path in library_paths()]
    source = ROOT / "tests" / "csrc" / "emulation" / "operators.cpp"
    return subprocess.Popen([str(COMPILER), *flags, str(source), "-ltorch_cpu", "-o", str(library)])


def compile_families(folder: Path) -> dict[str, Path]:
    """Compiles a shared library for every family: family -> library."""
    libraries = {family: folder / f"{family}.so" for family in ENGINES}
    compilers = [_start_compiler(family, library) for family, library in libraries.items()]
    assert [compiler.wait() for compiler in compilers] == [0] * len(ENGINES)
    return libraries


@contextmanager
def registered(libraries: dict[str, Path]) -> Iterator[None]:
    """Registers the libraries' operators for CPU tensors, with the schemas, fakes and gradients of the real ones."""
    definitions = torch.library.Library(NAMESPACE, "DEF")
    for definition in re.findall(r"library\.def\((.*?)\);", (ROOT / "csrc" / "schema.cpp").read_text(), re.DOTALL):
        definitions.define("".join(re.findall(r'"(.*?)"', definition)))
    for library in libraries.values():
        torch.ops.load_library(library)
    registration.attach(NAMESPACE)
    yield
    definitions._destroy()


ACCESS = np.dtype([("address", "u8"), ("bytes", "i4"), ("launch", "i4")])  # as emulation/cuda_runtime.h has it


@dataclass
class Trace:
    """The launches of a piece of code, and every number that its kernels loaded or stored.

    Tensors must be dense: their elements fill a stretch of memory, in any order.
    """

    launches: int
    accesses: np.ndarray  # (accesses,) of ACCESS; the bytes of a store are negative, launches are counted from 1

    def loads(self, tensor: Tensor) -> np.ndarray:
        """How often each element was loaded, in the order of memory."""
        return _count(self._within(tensor, self.accesses["bytes"] > 0), tensor)

    def stores(self, tensor: Tensor) -> np.ndarray:
        """How often each element was stored, in the order of memory."""
        return _count(self._within(tensor, self.accesses["bytes"] < 0), tensor)

    def launches_that_load(self, tensor: Tensor) -> set[int]:
        return set(self._within(tensor, self.accesses["bytes"] > 0)["launch"].tolist())

    def _within(self, tensor: Tensor, chosen: np.ndarray) -> np.ndarray:
        begin, address = tensor.data_ptr(), self.accesses["address"]
        return self.accesses[chosen & (address >= begin) & (address < begin + tensor.nbytes)]


def _count(accesses: np.ndarray, tensor: Tensor) -> np.ndarray:
    size = tensor.element_size()
    counts = np.zeros(tensor.numel(), int)
    for offset in range(0, 16, size):
        addresses = accesses["address"][np.abs(accesses["bytes"]) > offset]
        np.add.at(counts, (addresses + offset - tensor.data_ptr()) // size, 1)
    return counts


Result = TypeVar("Result")


class Tracer:
    """Records the kernels of a row's operator while a function runs."""

    def __init__(self, libraries: dict[str, Path]) -> None:
        self._libraries = {family: ctypes.CDLL(str(library)) for family, library in libraries.items()}

    def __call__(self, row: Row, function: Callable[[], Result]) -> tuple[Result, Trace]:
        """The function's result, and the trace of its run."""
        library = self._libraries[getattr(ops, row.operator).__module__.rpartition(".")[2]]
        library.start_trace()
        result = function()
        accesses, count = ctypes.c_void_p(), ctypes.c_int64()
        launches = library.stop_trace(ctypes.byref(accesses), ctypes.byref(count))
        recorded = ctypes.string_at(accesses.value, count.value * ACCESS.itemsize) if count.value else b""
        return result, Trace(launches, np.frombuffer(recorded, ACCESS))
