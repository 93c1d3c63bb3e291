"""Which implementation an operator runs on: the reference, the compiled extension ("native") or Triton.

The choice is, in order: the innermost `use_backend` block, the last `use_backend` call of this thread or async task,
the environment variable FASTLADDER_BACKEND, and "auto". A wrong value of the variable is an error of the first operator
and not of the import, so that the command `fastladder` can report it in one line.

Whatever is chosen, transforms of torch.func, forward-mode derivatives and ONNX export run on the reference.
"""

import functools
import importlib
import inspect
import os
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from fastladder import extension

BACKENDS = ("auto", "reference", "native", "triton")

# Families for which Triton was measured faster than native on a GPU. `make gpu-check` measures it.
PREFER_TRITON: frozenset[str] = frozenset()

# Triton decides at import whether its kernels are interpreted, so a later change of the variable has no effect.
INTERPRETED = os.environ.get("TRITON_INTERPRET", "0") == "1"

# (backend, device type) -> why it cannot run there, or None where it can. Triton is added on its first request.
_absent: dict[tuple[str, str], str | None] = {
    ("native", "cpu"): extension.load_error,
    ("native", "cuda"): extension.cuda_load_error,
}

# The environment's choice, which is checked by the first operator. Empty counts as unset.
_environment = os.environ.get("FASTLADDER_BACKEND") or "auto"

# The choices in this thread or async task: the last setting, then the name of every block around the call, with the
# innermost at the end. None stands for the environment's choice.
_chosen: ContextVar[tuple[str | None, ...]] = ContextVar("fastladder_backend", default=(None,))

# torch.compile cannot trace a ContextVar. The choice outside of the code that it traces is a constant to it, and it
# compiles anew when `_latest`, the last choice in any context, has changed. Blocks inside that code are in `_traced`.
_latest: str | None = None
_traced: tuple[str, ...] = ()


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

    Like `torch.no_grad` it belongs to the thread it is used in, and further to the async task. Threads that start later
    begin with the environment's choice. Blocks nest, one object can be used for several, and as a decorator it selects
    the backend for every call of a function or coroutine function. Compiled code follows the last choice in any thread;
    inside of code that torch.compile compiles, use a block.

    Args:
        name: "auto" (the fastest that exists for the device), "reference", "native" or "triton".

    Raises:
        ValueError: `name` is not one of these.
        RuntimeError: that backend runs nowhere on this machine; the message gives the load error and its remedy.
        TypeError: as a decorator, it got something else than a function, or a generator function, whose backend the
            caller would have too between its steps.

    Example:
        >>> with use_backend("reference"):
        ...     expected = ops.combine_g3(projections)
        >>> torch.testing.assert_close(ops.combine_g3(projections), expected)
    """

    def __init__(self, name: str) -> None:
        self.name = _check(name, "use_backend")
        self._before: tuple[str | None, ...] | None = None
        self._after: tuple[str | None, ...] | None = None
        if not torch.compiler.is_compiling():
            # A call is a setting until it turns out to be a block or a decorator.
            self._before = _chosen.get()
            self._after = (*self._before[:-1], name)
            _choose(self._after)

    def __enter__(self) -> None:
        global _traced
        if torch.compiler.is_compiling():
            _traced = (*_traced, self.name)
        else:
            self._take_back()
            _choose((*_chosen.get(), self.name))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        global _traced
        if torch.compiler.is_compiling():
            _traced = _traced[:-1]
        else:
            chosen = list(_chosen.get())
            # Its own entry, which is not the last if generators leave blocks in another order than they entered them.
            own = [index for index, name in enumerate(chosen) if index > 0 and name == self.name]
            del chosen[own[-1] if own else -1]
            _choose(tuple(chosen))

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self._take_back()
        if isinstance(function, type) or not callable(function):
            raise TypeError(f"use_backend: got {function!r}, as a decorator it needs a function")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"use_backend: got the generator function {function!r}, needs a block inside it")

        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        async def run_async(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await function(*args, **kwargs)

        return functools.wraps(function)(run_async if inspect.iscoroutinefunction(function) else run)

    def _take_back(self) -> None:
        """Undoes the setting, if it is still the last choice of this context."""
        if self._before is not None and _chosen.get() is self._after:
            _choose(self._before)


def _choose(chosen: tuple[str | None, ...]) -> None:
    global _latest
    _chosen.set(chosen)
    _latest = chosen[-1]


def _choice(latest: str | None) -> str:
    """The choice of this context. To torch.compile it is a constant for each value of `latest`."""
    return _chosen.get()[-1] or _environment


def needs_reference() -> bool:
    """Whether operators are being transformed in a way that the fused ones do not support.

    These are the transforms of torch.func, forward-mode differentiation, and ONNX export.
    """
    if torch._C._functorch.get_dynamic_layer_stack_depth() > 0 or forward_ad._current_level >= 0:
        return True
    # ONNX export traces or exports, which is checked first, as its own query takes longer than some operators.
    return (torch.compiler.is_exporting() or torch._C._get_tracing_state() is not None) and _exports_to_onnx()


def keeps_modules_as_written(tensor: Tensor) -> bool:
    """Whether modules call their submodules one by one in the layout that they are given, as their equations read.

    They do on the reference backend and in code that is compiled, traced or exported. Else they may join convolutions
    and choose the memory layout.

    Args:
        tensor: the activation, by which the backend is chosen.
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return True
    return select_backend("convolution", tensor.device, tensor.dtype) == "reference"


def _exports_to_onnx() -> bool:
    return torch.onnx.is_in_onnx_export()


# torch.compile calls these instead of tracing them. The decorator of torch.compiler for it would import all of Dynamo.
_choice._dynamo_marked_constant = True  # type: ignore[attr-defined]
_exports_to_onnx._dynamo_marked_constant = True  # type: ignore[attr-defined]


def select_backend(family: str, device: torch.device, dtype: torch.dtype) -> str:
    """The backend that runs `family` on this device: "reference", "native" or "triton".

    Raises:
        ValueError: FASTLADDER_BACKEND is not the name of a backend.
        RuntimeError: the chosen backend does not run on this device.
        TypeError: the chosen backend does not support this dtype there; only CPU kernels and reference take float64.
    """
    if needs_reference():
        return "reference"
    requested = _traced[-1] if _traced else _choice(_latest)
    wide, kind = dtype == torch.float64, device.type
    if requested == "auto":
        order: tuple[str, ...] = ("native",) if kind == "cpu" else ()
        if kind == "cuda" and not wide:
            order = ("triton", "native") if family in PREFER_TRITON else ("native", "triton")
        for name in order:
            if _absent.get((name, kind), "") is None:
                return name
        return "reference"
    if requested != "reference":
        reason = unavailable_reason(requested, kind)
        if reason is not None:
            check_environment()
            raise RuntimeError(f"backend {requested!r} cannot run {family} on {device}: {reason}")
        if wide and (requested == "triton" or kind == "cuda"):
            raise TypeError(f"backend {requested!r} cannot run {family} on {device} in {dtype}: use 'reference'")
    return requested


def check_environment() -> None:
    """Checks FASTLADDER_BACKEND, unless `use_backend` overrides it.

    Raises:
        ValueError: it is not the name of a backend.
        RuntimeError: that backend runs nowhere on this machine; the message gives the load error and its remedy.
    """
    _check(_choice(_latest), "environment variable FASTLADDER_BACKEND")  # `use_backend` has checked what it sets


def start() -> None:
    """Loads Triton where the first operator may need it. Runs once, when every operator has been declared."""
    if torch.cuda.is_available() or _environment == "triton":
        _load_triton()
