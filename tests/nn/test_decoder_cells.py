"""G1, ConvG1, ConvG2 and ConvG3 against their formulas, written out."""

import pytest
import torch
from torch.nn import functional

from fastladder.nn import G1, ConvG1, ConvG2, ConvG3
from tests.shuffled import shuffled

LARGE = {1: (7,), 2: (6, 5), 3: (4, 3, 5)}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(5)


def convolve(x, weight, bias=None):
    convolution = (functional.conv1d, functional.conv2d, functional.conv3d)[x.dim() - 3]
    return convolution(x, weight, bias, padding=[k // 2 for k in weight.shape[2:]])


def upsample(x, weight, size):
    """The transposed convolution by its definition: the gradient of the convolution that halves the size."""
    dims = x.dim() - 2
    convolution = (functional.conv1d, functional.conv2d, functional.conv3d)[dims - 1]
    large = torch.zeros(x.shape[0], weight.shape[1], *size, requires_grad=True)
    small = convolution(large, weight, stride=2, padding=[(k - 1) // 2 for k in weight.shape[2:]])
    return torch.autograd.grad(small, large, x)[0]


def halved(size, kernel_size):
    return tuple(-(-n // 2) if kernel_size % 2 else n // 2 for n in size)


def normalize(p, norm):
    if norm == "layer":
        return functional.layer_norm(p, p.shape[1:])
    return functional.batch_norm(p, None, None, training=True) if norm == "batch" else p


def per_channel(w, like):
    return w.view(-1, *[1] * (like.dim() - 2))


def f(u, w):
    w0, w1, w2, w3, w4 = (per_channel(row, u) for row in w)
    return w0 * torch.sigmoid(w1 * u + w2) + w3 * u + w4


def affine(terms, preactivation, channels=slice(None)):
    gain, bias = preactivation.gain, preactivation.bias[channels]
    gains = [1.0] * len(terms) if gain is None else [per_channel(g, terms[0]) for g in gain[:, channels]]
    return sum(g * t for g, t in zip(gains, terms, strict=True)) + per_channel(bias, terms[0])


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


def test_kernel_of_the_lateral_can_be_chosen():
    for cell in (ConvG2(2, 3, 6, stride=2, lateral_kernel_size=5), ConvG3(2, 3, 4, 6, stride=2, lateral_kernel_size=5)):
        assert cell.lateral_projection.weight.shape[2:] == (5, 5)
        assert cell.top_projection.weight.shape[2:] == (6, 6)
        assert cell(torch.rand(2, 2, 3, 4), torch.rand(2, 3, 6, 8)).shape == (2, 3, 6, 8)


@pytest.mark.parametrize("make", [lambda **o: G1(2, 3, **o), lambda **o: ConvG1(2, 3, 3, **o)])
def test_initial_g1_keeps_the_lateral_behind_a_sigmoid(make):
    cell = make(norm="none")
    cell.reset_parameters()
    assert cell.gate.t().tolist() == [[1, 1, 0, 0, 0]] * 3
    assert cell.content.t().tolist() == [[0, 1, 0, 1, 0]] * 3
    cell = make(init="ladder")
    assert cell.gate.t().tolist() == cell.content.t().tolist() == [[0, 1, 0, 0, 0]] * 3
    spatial = (4,) * cell.dims
    assert cell(torch.randn(2, 2, *spatial), torch.randn(2, 3, *spatial)).eq(0).all()


def test_initial_g2():
    cell = ConvG2(2, 3, 3)
    assert cell.weights[0].equal(cell.weights[1])
    assert cell.weights[0].t().tolist() == [[0, 1, 0, 1, 0]] * 3
    assert cell.weights[2].t().tolist() == [[1, 1, 0, 0, 0]] * 3
    assert ConvG2(2, 3, 3, init="ladder").weights.transpose(1, 2).tolist() == [[[0, 1, 0, 0, 0]] * 3] * 3


@pytest.mark.parametrize(
    "make",
    [
        lambda: G1(3, 4, steps=2),
        lambda: ConvG1(3, 4, 3, steps=2),
        lambda: ConvG2(3, 4, 3, norm="batch", steps=2),
        lambda: ConvG3(3, 4, 5, 3, norm="batch", steps=2),
    ],
)
def test_batch_norm_evaluates_on_the_statistics_of_its_step(make):
    cell = shuffled(make())
    cell.preactivation.momentum = 1.0
    spatial = (6,) * cell.dims
    inputs = [(torch.randn(200, 3, *spatial) * k, torch.randn(200, 4, *spatial) * k) for k in (1, 3)]
    trained = [cell(*pair, step=step) for step, pair in enumerate(inputs)]
    cell.eval()
    for step in (0, 1):
        torch.testing.assert_close(cell(*inputs[step], step=step), trained[step], rtol=0, atol=0.1)
    assert (cell(*inputs[1], step=0) - trained[1]).abs().max() > 0.5


TOP, LATERAL = torch.rand(2, 3, 4, 4), torch.rand(2, 4, 8, 8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: G1(3, 0), ValueError, "lateral_size: got 0"),
        (lambda: G1(3, 4, init="zeros"), ValueError, "init: got 'zeros'"),
        (lambda: G1(3, 4, norm="instance"), ValueError, "norm: got 'instance'"),
        (lambda: G1(3, 4)(torch.rand(2, 4), torch.rand(2, 4)), ValueError, r"top: got shape \(2, 4\), needs \(N, 3\)"),
        (lambda: G1(3, 4)(torch.rand(2, 3), torch.rand(3, 4)), ValueError, "lateral: got shape"),
        (lambda: ConvG1(3, 4, 2, stride=3), ValueError, "kernel_size: got 2, needs at least the stride 3"),
        (lambda: ConvG2(3, 4, 3)(TOP, LATERAL), ValueError, r"top: got spatial size \(4, 4\)"),
        (lambda: ConvG3(3, 4, 5, 6, stride=2)(TOP, LATERAL[..., :7]), ValueError, r"top: got spatial size .* \(8, 7\)"),
        (lambda: ConvG3(3, 4, 5, 6, stride=2)(LATERAL, TOP), ValueError, "top: got shape"),
        (lambda: ConvG3(3, 4, -5, 6), ValueError, "hidden_size: got -5"),
        (lambda: ConvG3(3, 4, 5, 6, stride=2)(TOP, LATERAL.double()), TypeError, "lateral: got dtype torch.float64"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
