"""ConvG2 against its formula, written out."""

import pytest
import torch

from fastladder.nn import ConvG2
from tests.nn.formulas import LARGE, affine, convolve, f, halved, normalize, upsample
from tests.shuffled import shuffled


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(5)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("norm", ["layer", "batch", "none"])
@pytest.mark.parametrize("stride", [1, 2])
def test_conv_g2(dims, norm, stride):
    cell = shuffled(ConvG2(2, 3, 3, stride=stride, dims=dims, norm=norm))
    size = LARGE[dims]
    top, h = torch.randn(4, 2, *(size if stride == 1 else halved(size, 3))), torch.randn(4, 3, *size)
    weight = cell.top_projection.weight
    from_top = convolve(top, weight) if stride == 1 else upsample(top, weight, size)
    from_lateral = convolve(h, cell.lateral_projection.weight)
    thirds = [slice(3 * q, 3 * q + 3) for q in range(3)]
    mu1, mu2, s = (
        f(affine([normalize(p[:, q], norm) for p in (from_top, from_lateral)], cell.preactivation, q), w)
        for q, w in zip(thirds, cell.weights, strict=True)
    )
    torch.testing.assert_close(cell(top, h), s * mu1 + (1 - s) * mu2, rtol=1e-4, atol=1e-5)


def test_initial_g2():
    cell = ConvG2(2, 3, 3)
    assert cell.weights[0].equal(cell.weights[1])
    assert cell.weights[0].t().tolist() == [[0, 1, 0, 1, 0]] * 3
    assert cell.weights[2].t().tolist() == [[1, 1, 0, 0, 0]] * 3
    assert ConvG2(2, 3, 3, init="ladder").weights.transpose(1, 2).tolist() == [[[0, 1, 0, 0, 0]] * 3] * 3


def test_a_top_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"top: got spatial size \(4, 4\)"):
        ConvG2(3, 4, 3)(torch.rand(2, 3, 4, 4), torch.rand(2, 4, 8, 8))
