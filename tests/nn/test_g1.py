"""G1 and ConvG1 against their formulas, written out."""

import pytest
import torch

from fastladder.nn import G1, ConvG1
from tests.nn.formulas import LARGE, affine, convolve, f, halved, normalize, upsample
from tests.shuffled import shuffled


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(5)


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("squash_gate", [False, True])
def test_g1(norm, squash_gate):
    cell = shuffled(G1(4, 6, norm=norm, squash_gate=squash_gate))
    top, h = torch.randn(5, 4), torch.randn(5, 6)
    u = affine([normalize(top @ cell.projection.weight.t(), norm)], cell.preactivation)
    s = f(u, cell.gate).sigmoid() if squash_gate else f(u, cell.gate)
    torch.testing.assert_close(cell(top, h), s * h + (1 - s) * f(u, cell.content))


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 1), (3, 2), (4, 2), (6, 2)])
def test_conv_g1(dims, kernel_size, stride):
    cell = shuffled(ConvG1(2, 3, kernel_size, stride=stride, dims=dims))
    size = LARGE[dims]
    size = size if kernel_size % 2 else tuple(2 * (n // 2) for n in size)
    h = torch.randn(3, 3, *size)
    if stride == 1:
        top = torch.randn(3, 2, *size)
        p = convolve(top, cell.projection.weight)
    else:
        top = torch.randn(3, 2, *halved(size, kernel_size))
        p = upsample(top, cell.projection.weight, size)
    u = affine([normalize(p, "batch")], cell.preactivation)
    s = f(u, cell.gate)
    torch.testing.assert_close(cell(top, h), s * h + (1 - s) * f(u, cell.content), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [lambda **o: G1(2, 3, **o), lambda **o: ConvG1(2, 3, 3, **o)])
def test_initial_g1_keeps_the_lateral_behind_a_sigmoid(make):
    cell = make(norm="none")
    cell.reset_parameters()
    assert cell.gate.t().tolist() == [[1, 1, 0, 0, 0]] * 3
    assert cell.content.t().tolist() == [[0, 1, 0, 1, 0]] * 3
    assert make(squash_gate=True).gate.t().tolist() == [[0, 1, 0, 1, 0]] * 3  # the sigmoid comes after f
    cell = make(init="ladder")
    assert cell.gate.t().tolist() == cell.content.t().tolist() == [[0, 1, 0, 0, 0]] * 3
    spatial = (4,) * cell.dims
    assert cell(torch.randn(2, 2, *spatial), torch.randn(2, 3, *spatial)).eq(0).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: G1(3, 0), ValueError, "lateral_size: got 0"),
        (lambda: G1(3, 4, init="zeros"), ValueError, "init: got 'zeros'"),
        (lambda: G1(3, 4, norm="instance"), ValueError, "norm: got 'instance'"),
        (lambda: G1(3, 4)(torch.rand(2, 4), torch.rand(2, 4)), ValueError, r"top: got shape \(2, 4\), needs \(N, 3\)"),
        (lambda: G1(3, 4)(torch.rand(2, 3), torch.rand(3, 4)), ValueError, "lateral: got shape"),
        (lambda: ConvG1(3, 4, 2, stride=3), ValueError, "kernel_size: got 2, needs at least the stride 3"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
