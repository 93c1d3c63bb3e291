"""The fused backend that the operators' contract is checked on; conftest.py above has the options."""

import numpy as np
import pytest
import torch

import fastladder
from fastladder import backends


@pytest.fixture(scope="session")
def backend(request, device):
    """The fused backend under test. Where it is unavailable the tests fail, and are not skipped."""
    name = request.config.getoption("--backend") or "native"
    if name == "auto":
        pytest.fail("--backend auto: the tests need one backend, native or triton")
    if (reason := backends.unavailable_reason(name, device.type)) is not None:
        pytest.fail(f"--backend {name}: {reason}")
    return name


@pytest.fixture
def fused(backend):
    with fastladder.use_backend(backend):
        yield backend


@pytest.fixture
def has_float64(backend, device):
    """float64 is for the CPU kernels and the reference."""
    return backend == "native" and device.type == "cpu"


@pytest.fixture(scope="session", autouse=True)
def _interpreter_rounds_as_a_gpu_does():
    """Triton's interpreter truncates float32 to bfloat16, where a GPU rounds to the nearest."""
    if not backends.INTERPRETED:
        yield
        return
    from triton import language
    from triton.runtime import interpreter

    convert = interpreter._convert_float

    def rounded(values, source, target, mode):
        if (source, target) != (language.float32, language.bfloat16):
            return convert(values, source, target, mode)
        bits = torch.from_numpy(np.ascontiguousarray(values)).bfloat16().view(torch.int16)
        return bits.numpy().view(np.uint16).reshape(values.shape)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter, "_convert_float", rounded)
        yield
