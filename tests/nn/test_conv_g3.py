"""ConvG3 against its formula, written out."""

import pytest
import torch

from fastladder.nn import ConvG3
from tests.nn.formulas import LARGE, affine, convolve, halved, normalize, upsample
from tests.shuffled import shuffled


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(5)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("norm", ["layer", "batch", "none"])
@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 1), (3, 2), (6, 2)])
def test_conv_g3(dims, norm, kernel_size, stride):
    cell = shuffled(ConvG3(2, 3, 4, kernel_size, stride=stride, dims=dims, norm=norm))
    size = LARGE[dims] if kernel_size % 2 else tuple(2 * (n // 2) for n in LARGE[dims])
    top = torch.randn(4, 2, *(size if stride == 1 else halved(size, kernel_size)))
    h = torch.randn(4, 3, *size)
    weight = cell.top_projection.weight
    from_top = convolve(top, weight) if stride == 1 else upsample(top, weight, size)
    assert cell.lateral_projection.weight.shape[2:] == (3,) * dims
    from_lateral = convolve(h, cell.lateral_projection.weight)
    u = affine([normalize(p, norm) for p in (from_top, from_lateral)], cell.preactivation).relu()
    s, d, e = convolve(u, cell.output_projection.weight, cell.output_projection.bias).chunk(3, dim=1)
    torch.testing.assert_close(cell(top, h), s.sigmoid() * d + (1 - s.sigmoid()) * e, rtol=1e-4, atol=1e-5)


def test_output_scale_is_of_the_two_contents():
    torch.manual_seed(1)
    large = ConvG3(2, 3, 4, 3)
    torch.manual_seed(1)
    small = ConvG3(2, 3, 4, 3, output_scale=0.25)
    for name, value in small.state_dict().items():
        needed = large.state_dict()[name].clone()
        if name == "output_projection.weight":
            needed[3:] *= 0.25
        torch.testing.assert_close(value, needed)
    assert small.output_projection.bias.eq(0).all()


TOP, LATERAL = torch.rand(2, 3, 4, 4), torch.rand(2, 4, 8, 8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ConvG3(3, 4, 5, 6, stride=2)(TOP, LATERAL[..., :7]), ValueError, r"top: got spatial size .* \(8, 7\)"),
        (lambda: ConvG3(3, 4, 5, 6, stride=2)(LATERAL, TOP), ValueError, "top: got shape"),
        (lambda: ConvG3(3, 4, -5, 6), ValueError, "hidden_size: got -5"),
        (lambda: ConvG3(3, 4, 5, 6, output_scale=0), ValueError, "output_scale: got 0, needs a number above 0"),
        (lambda: ConvG3(3, 4, 5, 6, stride=2)(TOP, LATERAL.double()), TypeError, "lateral: got dtype torch.float64"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
