"""The choice of moments of a nonlinearity: the accurate ones, or those of earlier work for comparison."""

import math
from collections.abc import Callable

from torch import Tensor

from fastladder import ops
from fastladder.ops.checks import check_option
from fastladder.tensors import compute_dtype_of

Moments = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def moments_of(nonlinearity: str, moments: str = "erf3") -> Moments:
    """The function from mean and variance of a Gaussian x to mean and variance of nonlinearity(x), elementwise.

    - "erf3": those of :func:`fastladder.ops.tanh_moments` and :func:`fastladder.ops.sigmoid_moments`, within 4e-4.
    - "wang_manning": the approximation of fast dropout (Wang and Manning, 2013), :func:`wang_manning_sigmoid` and
      :func:`wang_manning_tanh`. Its variances are off by up to 0.03 and 0.11, also where x has no variance.
    - "breze": what the library of Bayer et al. computes, to reproduce published numbers of fast-dropout RNNs and
      nothing else: its tanh has the moments that "wang_manning" has for tanh(x / 2), which is wrong by that half.

    They differ in tanh and sigmoid. With each of them a rectifier has its exact moments,
    :func:`fastladder.ops.relu_moments`, and "none" passes mean and variance on.

    Args:
        nonlinearity: "none", "tanh", "sigmoid" or "relu".
        moments: "erf3", "wang_manning" or "breze".

    Raises:
        ValueError: an argument is none of these; the message names it.
    """
    check_option("moments", moments, tuple(MOMENTS))
    check_option("nonlinearity", nonlinearity, tuple(MOMENTS[moments]))
    return MOMENTS[moments][nonlinearity]


def wang_manning_sigmoid(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    r"""Mean E and variance V of the logistic sigmoid as Wang and Manning (2013) approximate them.

    .. math::
        E = \sigma\Big(\frac{\mathrm{mean}}{\sqrt{1 + \pi \, \mathrm{var} / 8}}\Big), \qquad
        V = \sigma\Big(\frac{a (\mathrm{mean} - b)}{\sqrt{1 + \pi a^2 \, \mathrm{var} / 8}}\Big) - E^2, \qquad
        a = 4 - 2 \sqrt 2, \quad b = -\log(\sqrt 2 - 1)

    and 0 where V would be negative. Arguments and results are those of :func:`fastladder.ops.sigmoid_moments`.
    """
    m, v = compute_dtype_of(mean), compute_dtype_of(var).clamp(min=0)
    a, b = 4 - 2 * math.sqrt(2), -math.log(math.sqrt(2) - 1)
    expected = (m / (1 + math.pi / 8 * v).sqrt()).sigmoid()
    second = (a * (m - b) / (1 + math.pi / 8 * a**2 * v).sqrt()).sigmoid()
    return expected.to(mean.dtype), (second - expected.square()).clamp(min=0).to(mean.dtype)


def wang_manning_tanh(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of tanh(x) = 2 sigmoid(2 x) - 1 by :func:`wang_manning_sigmoid`."""
    expected, variance = wang_manning_sigmoid(2 * mean, 4 * var)
    return 2 * expected - 1, 4 * variance


def breze_tanh(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of tanh(x / 2) = 2 sigmoid(x) - 1 by :func:`wang_manning_sigmoid`, for a tanh(x)."""
    return wang_manning_tanh(mean / 2, var / 4)


def identity(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    return mean, var


EXACT: dict[str, Moments] = {"none": identity, "relu": ops.relu_moments}
MOMENTS: dict[str, dict[str, Moments]] = {
    "erf3": EXACT | {"tanh": ops.tanh_moments, "sigmoid": ops.sigmoid_moments},
    "wang_manning": EXACT | {"tanh": wang_manning_tanh, "sigmoid": wang_manning_sigmoid},
    "breze": EXACT | {"tanh": breze_tanh, "sigmoid": wang_manning_sigmoid},
}
