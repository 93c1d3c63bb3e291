"""Finds the packages and builds the compiled extension; everything else is in pyproject.toml.

fastladder._C       pybind11 module with the CPU kernels; left out, with a warning, where no C++ compiler works
fastladder._C_cuda  the CUDA kernels; built where nvcc is found

FASTLADDER_CUDA=auto|0|1   build the CUDA kernels where possible (default), never, or fail without them
TORCH_CUDA_ARCH_LIST       architectures, such as "8.0;9.0+PTX"; default: those of 8.0 to 12.0 that this nvcc knows
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, find_packages, setup
from torch.utils.cpp_extension import BuildExtension, include_paths, library_paths

TORCH_TARGET = "0x020a000000000000"  # LibTorch stable ABI of 2.10: one binary serves every later version
CUDA_ARCHITECTURES = ["8.0", "9.0", "10.0", "12.0+PTX"]
DEFINES = [("TORCH_TARGET_VERSION", TORCH_TARGET)]
# Without errno and traps the compiler may vectorise; NaN and infinity keep their meaning (no -ffast-math). Products and
# sums are one instruction where there is one, which Clang would do only within an expression. Notes on how vectors are
# passed (-Wpsabi) matter only to callers built by other compilers; none exist.
CXX_FLAGS = [
    "-std=c++17",
    "-O3",
    "-g0",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-fvisibility=hidden",
    "-Wall",
    "-Wno-psabi",
]
CXX = shlex.split(os.environ.get("CXX", "g++"))  # links the CUDA kernels; may begin with a launcher such as ccache
NVCC_FLAGS = ["-std=c++17", "-O3", "--expt-relaxed-constexpr", "-Xcompiler", "-fPIC,-fvisibility=hidden"]


def packages() -> list[str]:
    """The names that packages are installed under; kernels/, beside fastladder/, becomes fastladder.kernels."""
    kernels = [f"fastladder.{name}" for name in find_packages(include=["kernels", "kernels.*"])]
    return [*find_packages(include=["fastladder", "fastladder.*"]), *kernels]


def sources(pattern: str) -> list[str]:
    return sorted(str(path) for path in Path("csrc").glob(pattern))


def check_headers() -> None:
    """Ends the build where a header is missing: an error of the compiler would become a warning, which pip hides."""
    included = {
        header
        for file in Path("csrc").rglob("*.*")
        for header in re.findall(r'^#include "(.+)"$', file.read_text(), re.MULTILINE)
    }
    if missing := sorted(header for header in included if not Path("csrc", header).exists()):
        raise SystemExit(f"the sources of fastladder are incomplete, csrc/ lacks {', '.join(missing)}")


def cuda_home() -> Path | None:
    """The folder of the CUDA toolkit: CUDA_HOME, else the one that the nvcc on the PATH names."""
    if home := os.environ.get("CUDA_HOME"):
        return Path(home) if (Path(home) / "bin" / "nvcc").exists() else None
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        return None
    dry_run = subprocess.run([nvcc, "--dryrun", "-c", "-x", "cu", os.devnull], capture_output=True, text=True)
    for line in dry_run.stderr.splitlines():
        if line.startswith("#$ TOP="):
            return Path(line.removeprefix("#$ TOP=").strip()).resolve()
    return Path(nvcc).resolve().parent.parent


def architecture_flags(nvcc: Path) -> list[str]:
    """The -gencode options for TORCH_CUDA_ARCH_LIST, or for the default architectures that this nvcc knows."""
    listed = os.environ.get("TORCH_CUDA_ARCH_LIST", "").replace(" ", ";")
    requested = [arch for arch in listed.split(";") if arch]
    known = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True, check=True).stdout.split()
    flags = []
    for arch in requested or CUDA_ARCHITECTURES:
        number = arch.removesuffix("+PTX").replace(".", "")
        if f"sm_{number}" not in known and not requested:
            continue
        flags.append(f"-gencode=arch=compute_{number},code=sm_{number}")
        if arch.endswith("+PTX"):
            flags.append(f"-gencode=arch=compute_{number},code=compute_{number}")
    return flags


def run(command: list[str]) -> None:
    print(shlex.join(command), flush=True)
    subprocess.run(command, check=True)


class BuildExtensions(BuildExtension):
    """Compiles C++ as torch does and CUDA with nvcc, against the headers of any torch, with or without CUDA."""

    def run(self) -> None:
        check_headers()
        try:
            super().run()
        except (Exception, SystemExit) as error:
            if os.environ.get("FASTLADDER_CUDA") == "1":
                raise
            print(f"WARNING: fastladder is installed without compiled kernels ({error})", file=sys.stderr)

    def build_extensions(self) -> None:
        # Both are tried before either failure is reported, so that one cannot hide the other.
        cuda = [ext for ext in self.extensions if ext.name == "fastladder._C_cuda"]
        self.extensions = [ext for ext in self.extensions if ext not in cuda]
        try:
            super().build_extensions()
        finally:
            self.extensions += cuda
            for ext in cuda:
                self.build_cuda(ext)

    def build_cuda(self, ext: Extension) -> None:
        home = cuda_home()
        assert home is not None
        objects_dir = Path(self.build_temp) / "cuda"
        objects_dir.mkdir(parents=True, exist_ok=True)
        includes = [f"-I{path}" for path in [*ext.include_dirs, str(home / "include")]]
        defines = [f"-D{name}={value}" for name, value in ext.define_macros]
        nvcc = str(home / "bin" / "nvcc")
        flags = [*NVCC_FLAGS, *architecture_flags(Path(nvcc))]

        def compile_one(source: str) -> str:
            target = objects_dir / (Path(source).stem + ".o")
            headers = [*Path("csrc").rglob("*.h"), *Path("csrc").rglob("*.cuh"), Path(source)]
            if not target.exists() or any(h.stat().st_mtime > target.stat().st_mtime for h in headers):
                run([nvcc, "-c", source, "-o", str(target), *flags, *includes, *defines])
            return str(target)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(compile_one, ext.sources))
        output = Path(self.get_ext_fullpath(ext.name))
        output.parent.mkdir(parents=True, exist_ok=True)
        libraries = [f"-L{path}" for path in [*self.torch_libraries(objects_dir), str(home / "lib64")]]
        named = ["-Wl,--no-as-needed", "-ltorch_cpu", "-ltorch_cuda", "-lcudart_static", "-lrt", "-lpthread", "-ldl"]
        run([*CXX, "-shared", "-o", str(output), *objects, *libraries, *named])

    def torch_libraries(self, scratch: Path) -> list[str]:
        """Folders of the libraries to link. A torch without CUDA has no libtorch_cuda, so an empty one is built."""
        if any((Path(path) / "libtorch_cuda.so").exists() for path in library_paths()):
            return library_paths()
        stub = scratch / "libtorch_cuda.so"
        name = "-Wl,-soname,libtorch_cuda.so"
        run([*CXX, "-shared", name, "-x", "c++", os.devnull, "-o", str(stub)])
        return [*library_paths(), str(scratch)]


def extensions() -> list[Extension]:
    import pybind11

    cuda = os.environ.get("FASTLADDER_CUDA", "auto")
    if cuda not in ("auto", "0", "1"):
        raise SystemExit(f"FASTLADDER_CUDA: got {cuda!r}, needs auto, 0 or 1")
    home = cuda_home()
    if cuda == "1" and home is None:
        raise SystemExit("FASTLADDER_CUDA=1 needs nvcc: install the CUDA toolkit, or set CUDA_HOME to where it is")
    torch_includes = include_paths()
    found = [
        Extension(
            "fastladder._C",
            [*sources("*.cpp"), *sources("cpu/*.cpp")],
            include_dirs=[str(Path("csrc").resolve()), pybind11.get_include(), *torch_includes],
            define_macros=DEFINES,
            library_dirs=library_paths(),
            libraries=["torch_cpu"],
            extra_compile_args=CXX_FLAGS,
            language="c++",
            optional=True,
        )
    ]
    if home is not None and cuda != "0" and (kernels := sources("cuda/*.cu")):
        flags = ";".join(flag.split("code=")[-1] for flag in architecture_flags(home / "bin" / "nvcc"))
        found[0].define_macros.append(("FASTLADDER_CUDA_ARCHITECTURES", f'"{flags}"'))
        found.append(
            Extension(
                "fastladder._C_cuda",
                kernels,
                include_dirs=[str(Path("csrc").resolve()), *torch_includes],
                define_macros=[*DEFINES, ("USE_CUDA", "1")],
                optional=True,
            )
        )
    return found


setup(
    packages=packages(),
    package_dir={"fastladder.kernels": "kernels"},
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildExtensions.with_options(no_python_abi_suffix=False)},
)
