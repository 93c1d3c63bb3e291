"""Loads the compiled extension once, and keeps the reason where a part of it is absent."""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import torch

REBUILD = "install a C++ compiler (g++ or clang++) and run: pip install --force-reinstall --no-deps fastladder"
REBUILD_CUDA = (
    "install the CUDA toolkit (nvcc) and run: FASTLADDER_CUDA=1 pip install --force-reinstall --no-deps fastladder"
)
NO_GPU = "torch sees no CUDA device; install a CUDA build of torch and a driver"


def _load_cpu() -> tuple[ModuleType | None, str | None]:
    try:
        return importlib.import_module("fastladder._C"), None
    except ImportError as error:
        return None, f"the compiled extension fastladder._C does not load ({error}); {REBUILD}"


def _load_cuda() -> str | None:
    """Registers the CUDA kernels. Returns why they are absent, or None."""
    if module is None:
        return load_error
    if not torch.cuda.is_available():
        return NO_GPU
    spec = importlib.util.find_spec("fastladder._C_cuda")
    if spec is None or spec.origin is None:
        return f"this installation was built without CUDA kernels; {REBUILD_CUDA}"
    try:
        torch.ops.load_library(str(Path(spec.origin)))
    except OSError as error:
        return f"the CUDA kernels do not load ({error}); {REBUILD_CUDA}"
    return None


module, load_error = _load_cpu()
cuda_load_error = _load_cuda()
