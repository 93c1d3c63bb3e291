"""Which device and fused backend the tests and the bench run on."""

import pytest
import torch


def pytest_addoption(parser):
    parser.addoption(
        "--device", default="cpu", choices=["cpu", "cuda"], help="device of the operators' tests and bench"
    )
    parser.addoption(
        "--backend",
        choices=["native", "triton", "auto"],
        help="fused backend of the operators' tests (default: native) and of the bench (default: auto)",
    )


@pytest.fixture(scope="session")
def device(request):
    name = request.config.getoption("--device")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.fail("--device cuda: torch sees no CUDA device")
    return torch.device(name)
