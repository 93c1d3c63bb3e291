"""The popular ConvLSTM computes what ours computes."""

import torch

from bench.popular import PopularConvLSTM
from fastladder.nn import ConvLSTM


def test_as_ours_with_the_same_weights():
    torch.manual_seed(0)
    popular, ours = PopularConvLSTM(2, 3, 3, 2), ConvLSTM(2, 3, 3, 2)
    popular.copy_weights_to(ours)
    x = torch.rand(4, 2, 2, 7, 5)
    output, state = popular(x)
    torch.testing.assert_close((output, state), ours(x))
