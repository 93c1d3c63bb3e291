"""The networks of the Ladder network's paper."""

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from fastladder.models import (
    LADDER_CONV_FC_DENOISING,
    LADDER_CONV_SMALL_DENOISING,
    LADDER_MLP_DENOISING,
    LadderNetwork,
    ladder_conv_fc,
    ladder_conv_small,
    ladder_mlp,
)


@pytest.mark.parametrize(
    ("levels", "input_shape", "recipes", "widths"),
    [
        (ladder_mlp(), 784, LADDER_MLP_DENOISING, [784, 1000, 500, 250, 250, 250, 10]),
        (ladder_conv_fc(), (1, 28, 28), LADDER_CONV_FC_DENOISING, [784, 9000, 4500, 2250, 2250, 2250, 90, 10]),
        (ladder_conv_small(), (1, 28, 28), LADDER_CONV_SMALL_DENOISING,
         [784, 32 * 32 * 32, 32 * 16 * 16, 64 * 14 * 14, 64 * 16 * 16, 64 * 8 * 8, 128 * 6 * 6, 10 * 6 * 6, 10, 10]),
    ],
)  # fmt: skip
def test_the_networks_of_the_paper(levels, input_shape, recipes, widths):
    with FakeTensorMode():
        network = LadderNetwork(input_shape, levels)
        assert [math.prod(shape) for shape in network.shapes] == widths
        x = torch.empty(2, *network.shapes[0])
        for recipe in recipes.values():
            assert network.costs(x, torch.zeros(2, dtype=torch.long), x, *recipe).denoising.shape == (len(widths),)
