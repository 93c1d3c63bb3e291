"""Memory: how the process holds it, what is saved for the backward pass, and how much a call takes at most."""

import ctypes
import gc
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3)
PROCESS = Path("/proc/self")


def keep_memory() -> None:
    """Makes the C library keep freed memory, for all variants alike, as the allocator of a GPU does.

    Else the system provides memory of more than 32 MB anew in every call, and the time to clear its pages is measured
    too: up to three times that of a kernel, and different in every run. The process cannot go back.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def saved_bytes(call: Callable[..., object], inputs: Iterable[Tensor], held: Iterable[Tensor] = ()) -> int:
    """Bytes that autograd keeps for the backward pass beside the inputs themselves.

    Args:
        call: runs the forward pass and returns its result.
        inputs: its arguments, for all of which there will be gradients.
        held: other tensors that exist anyway, such as data and parameters, and so are not counted.
    """
    inputs = list(inputs)
    own = {x.untyped_storage().data_ptr() for x in (*inputs, *held)}
    kept: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        if x.untyped_storage().data_ptr() not in own:
            kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x.detach()  # an output that its own graph held would never be freed

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        outputs = call(*(x.detach().requires_grad_() for x in inputs))
    assert outputs is not None
    return sum(kept.values())


def peak_bytes(run: Callable[[], object], device: torch.device) -> int | None:
    """Bytes that a call takes at most, beside what is held before it.

    On a GPU it is the peak of torch's allocator. On a CPU it is the high-water mark of the resident set, which counts
    what libraries allocate past torch too, such as the copies of a convolution's input in another layout. Freed memory
    goes back to the system before, and the mark is reset. None where the system cannot do that.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    if not _reset_high_water_mark():
        return None
    before = _resident("VmRSS")
    run()
    return _resident("VmHWM") - before


def _reset_high_water_mark() -> bool:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is None:
        return False
    trim(0)
    try:
        (PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _resident(name: str) -> int:
    """Bytes of the resident set, now (VmRSS) or at most (VmHWM)."""
    found = re.search(rf"^{name}:\s*(\d+) kB", (PROCESS / "status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
