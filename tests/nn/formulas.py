"""The formulas of the cells, written out with functions of torch."""

import torch
from torch.nn import functional

LARGE = {1: (7,), 2: (6, 5), 3: (4, 3, 5)}  # spatial sizes by their number


def convolve(x, weight, bias=None, stride=1):
    """A convolution with the padding that the modules promise, by its definition rather than by name."""
    convolution = (functional.conv1d, functional.conv2d, functional.conv3d)[x.dim() - 3]
    return convolution(x, weight, bias, stride=stride, padding=[(k - 1) // 2 for k in weight.shape[2:]])


def upsample(x, weight, size):
    """The transposed convolution by its definition: the gradient of the convolution that halves the size."""
    large = torch.zeros(x.shape[0], weight.shape[1], *size, requires_grad=True)
    return torch.autograd.grad(convolve(large, weight, stride=2), large, x)[0]


def halved(size, kernel_size):
    """The spatial size after a stride of 2."""
    return tuple(-(-n // 2) if kernel_size % 2 else n // 2 for n in size)


def normalize(p, norm):
    """A normalisation without gain and bias, by the statistics of the batch."""
    if norm == "layer":
        return functional.layer_norm(p, p.shape[1:])
    return functional.batch_norm(p, None, None, training=True) if norm == "batch" else p


def per_channel(w, like):
    return w.view(-1, *[1] * (like.dim() - 2))


def f(u, w):
    """The activation of G1 and G2."""
    w0, w1, w2, w3, w4 = (per_channel(row, u) for row in w)
    return w0 * torch.sigmoid(w1 * u + w2) + w3 * u + w4


def affine(terms, preactivation, channels=slice(None)):
    """The sum of terms with the gain and the bias of a preactivation."""
    gain, bias = preactivation.gain, preactivation.bias[channels]
    gains = [1.0] * len(terms) if gain is None else [per_channel(g, terms[0]) for g in gain[:, channels]]
    return sum(g * t for g, t in zip(gains, terms, strict=True)) + per_channel(bias, terms[0])


def gates(a, cell):
    """Hidden and cell of an LSTM."""
    i, f, g, o = a.chunk(4, dim=1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell
