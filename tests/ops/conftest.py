"""Random tensors for the tests of the families; inputs of whole operators come from contract.py."""

import pytest
import torch


@pytest.fixture
def random(device):
    """random(*shape) is a tensor of normal numbers, in float32 on the device under test."""
    generator = torch.Generator().manual_seed(7)
    return lambda *shape: torch.randn(shape, generator=generator).to(device)
