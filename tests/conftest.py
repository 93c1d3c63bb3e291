"""Which backend and device the operators' contract is checked on."""

import numpy as np
import pytest
import torch

import fastladder
from fastladder import backends


def pytest_addoption(parser):
    parser.addoption("--backend", default="native", choices=["native", "triton"], help="fused backend under test")
    parser.addoption("--device", default="cpu", choices=["cpu", "cuda"], help="device under test")


@pytest.fixture(scope="session")
def device(request):
    name = request.config.getoption("--device")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.fail("--device cuda: torch sees no CUDA device")
    return torch.device(name)


@pytest.fixture(scope="session")
def backend(request, device):
    """The fused backend under test. It must be there: a missing extension fails the suite instead of thinning it."""
    name = request.config.getoption("--backend")
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
    """Triton's interpreter cuts float32 off to make bfloat16, where a GPU rounds to the nearest."""
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
