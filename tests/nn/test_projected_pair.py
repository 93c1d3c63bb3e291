"""The convolutions of top and lateral in ConvG2 and ConvG3."""

import torch

from fastladder.nn import ConvG2, ConvG3


def test_kernel_of_the_lateral_can_be_chosen():
    for cell in (ConvG2(2, 3, 6, stride=2, lateral_kernel_size=5), ConvG3(2, 3, 4, 6, stride=2, lateral_kernel_size=5)):
        assert cell.lateral_projection.weight.shape[2:] == (5, 5)
        assert cell.top_projection.weight.shape[2:] == (6, 6)
        assert cell(torch.rand(2, 2, 3, 4), torch.rand(2, 3, 6, 8)).shape == (2, 3, 6, 8)
