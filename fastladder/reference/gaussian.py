"""Divergences between Gaussians, such as the price of a latent sequence in a variational bound."""

from torch import Tensor

from fastladder.tensors import compute_dtype_of, step_before


def wiener_kl(mean: Tensor, var: Tensor, *, exact: bool = True) -> Tensor:
    r"""What every step adds (T, N), in nats, to the divergence of a diagonal Gaussian (T, N, D) from a Wiener process.

    The Kullback-Leibler divergence is that of q, the product of the Gaussians of mean :math:`\mu_t` and variance
    :math:`v_t` of every step and dimension, from the process z that starts at 0 and whose increments are independent
    and of unit variance. The term of step t is

    .. math::
        \mathrm{KL}_t = \frac{1}{2} \sum_D \left[
        (\mu_t - \mu_{t-1})^2 + v_t + v_{t-1} - 1 - \log v_t \right], \qquad \mu_0 = v_0 = 0

    By the chain rule the sum over t is the whole divergence, and the sum over the first L steps is that of a sequence
    of length L, whatever comes after them.

    With `exact=False` the logarithm is that of :math:`v_t + v_{t-1}`: the shortcut of "Variational inference of latent
    state sequences using Recurrent Networks" (Bayer and Osendorfer, 2014, section 3.3), which takes the increments of
    q for independent, though neighbours share :math:`z_t`. At step t it is too small by

    .. math::
        \frac{1}{2} \sum_D \log \frac{v_t + v_{t-1}}{v_t}

    so that what is computed with it is NOT a bound on the likelihood; it is there to reproduce the paper, whose list of
    increments begins with :math:`z_0`, one too many.
    """
    m, v = compute_dtype_of(mean), compute_dtype_of(var)
    increment, sum_of_both = m - step_before(m), v + step_before(v)
    logarithm = (v if exact else sum_of_both).log()
    return (increment.square() + sum_of_both - 1 - logarithm).sum(2) / 2
