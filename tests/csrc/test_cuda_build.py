"""The CUDA kernels, compiled for GPUs that this machine does not have: no spilled registers, wide loads."""

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from torch.utils.cpp_extension import include_paths

ROOT = Path(__file__).parents[2]
ARCHITECTURES = ("80", "90", "120")
KERNELS = 36  # in instantiations.cu
ANY_GROUPS, EIGHT_GROUPS = r"group_kernel.*Li0ELi\dE", r"group_kernel.*Li8ELi\dE"  # in mangled names


def find(tool: str) -> str | None:
    """A tool of the CUDA toolkit; Triton's package brings some of them too."""
    folders = [Path(os.environ["CUDA_HOME"]) / "bin"] if "CUDA_HOME" in os.environ else []
    if (triton := find_spec("triton")) and triton.origin:
        folders.append(Path(triton.origin).parent / "backends" / "nvidia" / "bin")
    return shutil.which(tool) or shutil.which(tool, path=os.pathsep.join(map(str, folders)))


NVCC, CUOBJDUMP = find("nvcc"), find("cuobjdump")


@pytest.fixture(scope="module")
def cubins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    if NVCC is None:
        pytest.skip("nvcc was found neither on the PATH nor in CUDA_HOME")
    if CUOBJDUMP is None:
        pytest.skip("cuobjdump was found neither on the PATH nor in CUDA_HOME nor in Triton's package")
    folder = tmp_path_factory.mktemp("cuda")
    known = subprocess.run([NVCC, "--list-gpu-code"], capture_output=True, text=True, check=True).stdout.split()
    flags = ["-std=c++17", "-O3", "--expt-relaxed-constexpr", "-DTORCH_TARGET_VERSION=0x020a000000000000"]
    flags += [f"-I{path}" for path in (ROOT / "csrc", *include_paths())]
    source = str(ROOT / "tests" / "csrc" / "instantiations.cu")
    built = {arch: folder / f"sm_{arch}.cubin" for arch in ARCHITECTURES if f"sm_{arch}" in known}
    for arch, target in built.items():
        subprocess.run([NVCC, "-cubin", f"-arch=sm_{arch}", source, "-o", str(target), *flags], check=True)
    return built


def inspect(option: str, cubin: Path) -> str:
    return subprocess.run([str(CUOBJDUMP), option, str(cubin)], capture_output=True, text=True, check=True).stdout


def test_no_kernel_spills_registers(cubins: dict[str, Path]) -> None:
    assert {"80", "90"} <= cubins.keys()
    for arch, cubin in cubins.items():
        used = re.findall(r"REG:(\d+) STACK:(\d+) \S+ LOCAL:(\d+)", inspect("-res-usage", cubin))
        assert len(used) >= KERNELS
        for registers, stack, local in used:
            assert int(stack) + int(local) == 0, f"sm_{arch}: {registers} registers, {stack} bytes spilled"


def test_every_kernel_has_wide_loads(cubins: dict[str, Path]) -> None:
    """Loads take 16 bytes, or 8 where registers are scarce; kernels for any number of groups load single numbers."""
    for arch, cubin in cubins.items():
        kernels = {code.split()[0]: code for code in inspect("-sass", cubin).split("Function :")[1:]}
        wide = {
            name: code
            for name, code in kernels.items()
            if re.search("forward|norm_sums|gradients|moments|group|gaussian|sequence", name)
        }
        assert len(wide) == KERNELS
        for name, code in wide.items():
            if re.search(ANY_GROUPS, name):
                continue
            bits = 64 if re.search(rf"{EIGHT_GROUPS}|(norm_sums|gradients).*CombineG2", name) else 128
            assert re.search(rf"LDG\S*\.{bits}", code), f"sm_{arch}: {name} has no loads of {bits} bits"
