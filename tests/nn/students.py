"""Students of a Mean Teacher, and how they move."""

import pytest
import torch
from torch import nn

from fastladder.models import RLadder, rladder_small_digits

MODULES = {
    "Linear": (lambda: nn.Linear(3, 4), (5, 3)),
    "BatchNorm": (lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)), (5, 3)),
    "RLadder": (lambda: RLadder(rladder_small_digits(2, 2, 2), (1, 20, 20), steps=2), (2, 2, 1, 20, 20)),
}
EVERY_MODULE = pytest.mark.parametrize("name", MODULES)


def student_and_input(name):
    torch.manual_seed(0)
    make, shape = MODULES[name]
    return make(), torch.rand(shape)


def walk(student, seed):
    """Moves a student as a step of an optimizer would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter += torch.randn(parameter.shape, generator=generator).to(parameter)


def assert_same_state(one, other):
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)
