"""The emulated CUDA kernels, compiled once for all tests that run on them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.csrc import emulated


@pytest.fixture(scope="session")
def emulated_libraries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The compiled and registered operators: family -> library."""
    if emulated.UNAVAILABLE is not None:
        pytest.skip(emulated.UNAVAILABLE)
    libraries = emulated.compile_families(tmp_path_factory.mktemp("emulation"))
    with emulated.registered(libraries):
        yield libraries


@pytest.fixture
def emulation(emulated_libraries: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The public operators run on the emulated kernels; numbers that these leave unwritten are NaN."""
    for family in emulated.ENGINES:
        module = sys.modules[f"fastladder.ops.{family}"]
        monkeypatch.setattr(module, "select_backend", lambda *_: "native")
        monkeypatch.setattr(module, "fused", lambda _: getattr(torch.ops, emulated.NAMESPACE))
    was = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(was)


@pytest.fixture(scope="session")
def tracer(emulated_libraries: dict[str, Path]) -> emulated.Tracer:
    return emulated.Tracer(emulated_libraries)
