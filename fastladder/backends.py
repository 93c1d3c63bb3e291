"""Which implementation an operator runs on: the reference, the compiled extension ("native") or Triton.

The choice is, in order: the innermost `use_backend` block, the last global `use_backend` call, the environment
variable FASTLADDER_BACKEND, and "auto". What is wrong with the variable is raised by the first operator and not by the
import, so that the command `fastladder` can answer it in one line.
"""

import importlib
import os
from types import TracebackType

import torch

from fastladder import extension

BACKENDS = ("auto", "reference", "native", "triton")

# Families for which Triton was measured faster than native on a GPU. `make gpu-check` measures it.
PREFER_TRITON: frozenset[str] = frozenset()

# Triton decides at import whether its kernels are interpreted, so a later change of the variable has no effect.
INTERPRETED = os.environ.get("TRITON_INTERPRET", "0") == "1"

# (backend, device type) -> why it cannot run there, or None where it can. Triton joins when it is first asked for.
_absent: dict[tuple[str, str], str | None] = {
    ("native", "cpu"): extension.load_error,
    ("native", "cuda"): extension.cuda_load_error,
}

# What was asked for. The environment's choice is checked later, when all that it can name has been loaded.
_requested = os.environ.get("FASTLADDER_BACKEND", "auto")


def _load_triton() -> None:
    """Imports the kernels, which registers them as `torch.ops.fastladder_triton`."""
    if ("triton", "cpu") in _absent:
        return
    reason = None
    try:
        importlib.import_module("fastladder.kernels")
    except ImportError as error:
        reason = f"Triton's kernels do not import ({error}); run: pip install triton"
    no_gpu = None if torch.cuda.is_available() else extension.NO_GPU
    no_cpu = None if INTERPRETED else "on a CPU Triton needs its interpreter; set TRITON_INTERPRET=1 before the start"
    _absent["triton", "cuda"] = reason or no_gpu
    _absent["triton", "cpu"] = reason or no_cpu


def unavailable_reason(name: str, device_type: str) -> str | None:
    """Why backend "native" or "triton" cannot run on this type of device, with the remedy; None when it can."""
    if name == "triton":
        _load_triton()
    return _absent.get((name, device_type), f"there are no kernels for {device_type!r} devices; use 'reference'")


def _check(name: str, source: str) -> str:
    if name not in BACKENDS:
        raise ValueError(f"{source}: got {name!r}, needs one of {', '.join(map(repr, BACKENDS))}")
    if name in ("native", "triton"):
        reasons = [unavailable_reason(name, device) for device in ("cpu", "cuda")]
        if None not in reasons:
            why = "; ".join(dict.fromkeys(map(str, reasons)))
            raise RuntimeError(f"{source}: backend {name!r} is not available: {why}")
    return name


class use_backend:  # noqa: N801 - reads as a function, like torch.no_grad
    """Selects the backend of every operator called from here on; as a context manager, until the block ends.

    Args:
        name: "auto" (the fastest that exists for the device), "reference", "native" or "triton".

    Raises:
        ValueError: `name` is none of these.
        RuntimeError: that backend runs nowhere on this machine; the message gives the load error and its remedy.
    """

    def __init__(self, name: str) -> None:
        global _requested
        self._previous, _requested = _requested, _check(name, "use_backend")

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        global _requested
        _requested = self._previous


def select_backend(family: str, device: torch.device, dtype: torch.dtype) -> str:
    """The backend that runs `family` on this device: "reference", "native" or "triton".

    Raises:
        ValueError: FASTLADDER_BACKEND names no backend.
        RuntimeError: the backend that was asked for does not run on this device.
        TypeError: it does not take this dtype there (float64 is for the CPU kernels and the reference).
    """
    wide = dtype == torch.float64
    if _requested == "auto":
        order = ("triton", "native") if family in PREFER_TRITON else ("native", "triton")
        for name in order if device.type == "cuda" and not wide else ("native",) if device.type == "cpu" else ():
            if _absent.get((name, device.type), "") is None:
                return name
        return "reference"
    if _requested != "reference":
        reason = unavailable_reason(_requested, device.type)
        if reason is not None:
            check_environment()
            raise RuntimeError(f"backend {_requested!r} cannot run {family} on {device}: {reason}")
        if wide and (_requested == "triton" or device.type == "cuda"):
            raise TypeError(f"backend {_requested!r} cannot run {family} on {device} in {dtype}: use 'reference'")
    return _requested


def check_environment() -> None:
    """Checks FASTLADDER_BACKEND, where it is what decides.

    Raises:
        ValueError: it names no backend.
        RuntimeError: that backend runs nowhere on this machine; the message gives the load error and its remedy.
    """
    _check(_requested, "environment variable FASTLADDER_BACKEND")  # `use_backend` has checked what it sets


def start() -> None:
    """Loads what the first operator may need. Runs once, when every operator has been declared."""
    if torch.cuda.is_available() or _requested == "triton":
        _load_triton()
