"""Gaussians that are merged, drawn from and compared, as in the layers of a ladder VAE; and bounds on likelihoods."""

from torch import Tensor

from fastladder.tensors import compute_dtype_of, step_before


def gaussian_merge(mean_a: Tensor, var_a: Tensor, mean_b: Tensor, var_b: Tensor) -> tuple[Tensor, Tensor]:
    r"""Mean and variance of the Gaussian that the product of the densities of two Gaussians is, but for its scale.

    .. math::
        \mathrm{var} = \frac{1}{1 / v_a + 1 / v_b}, \qquad
        \mathrm{mean} = \frac{\mu_a / v_a + \mu_b / v_b}{1 / v_a + 1 / v_b}

    (How to Train Deep Variational Autoencoders and Probabilistic Ladder Networks, Sønderby et al., 2016, Eq. 21),
    computed by the gain g of the second one,

    .. math::
        g = \frac{v_a}{v_a + v_b}, \qquad \mathrm{mean} = \mu_a + g (\mu_b - \mu_a), \qquad \mathrm{var} = v_b \, g

    since in float32 the product of two variances of 1e-20 is 0, and this is right down to 1e-30.
    """
    mean, var = _merge(*map(compute_dtype_of, (mean_a, var_a, mean_b, var_b)))
    return mean.to(mean_a.dtype), var.to(mean_a.dtype)


def gaussian_kl(mean_q: Tensor, var_q: Tensor, mean_p: Tensor, var_p: Tensor) -> Tensor:
    r"""The Kullback-Leibler divergence (N,), in nats, of diagonal Gaussians q from p, (N, C, \*S).

    .. math::
        \mathrm{KL} = \frac{1}{2} \sum \left[
        \log \frac{v_p}{v_q} + \frac{v_q + (\mu_q - \mu_p)^2}{v_p} - 1 \right]

    which is 0 where q is p.
    """
    return _kl(*map(compute_dtype_of, (mean_q, var_q, mean_p, var_p)))


def merge_sample_kl(
    mean_d: Tensor, var_d: Tensor, mean_t: Tensor, var_t: Tensor, mean_p: Tensor, var_p: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""A layer of a ladder VAE on the way down: sample z, mean and variance (N, C, \*S) of q, and its divergence (N,).

    The approximate posterior q is what the data say, d, merged with what the layer above says, t (Sønderby et al.,
    2016, Eq. 21), as by :func:`gaussian_merge`. With noise of a standard normal distribution,

    .. math:: z = \mathrm{mean} + \sqrt{\mathrm{var}} \cdot \mathrm{noise}

    is a sample of it. Its divergence from the prior p of the layer is that of :func:`gaussian_kl`. Mean and variance
    are rounded to the dtype of activations only as results.
    """
    mean, var = _merge(*map(compute_dtype_of, (mean_d, var_d, mean_t, var_t)))
    z = mean + var.sqrt() * compute_dtype_of(noise)
    kl = _kl(mean, var, compute_dtype_of(mean_p), compute_dtype_of(var_p))
    return z.to(mean_d.dtype), mean.to(mean_d.dtype), var.to(mean_d.dtype), kl


def _merge(mean_a: Tensor, var_a: Tensor, mean_b: Tensor, var_b: Tensor) -> tuple[Tensor, Tensor]:
    gain = var_a / (var_a + var_b)
    return mean_a + gain * (mean_b - mean_a), var_b * gain


def _kl(mean_q: Tensor, var_q: Tensor, mean_p: Tensor, var_p: Tensor) -> Tensor:
    terms = (var_p / var_q).log() + (var_q + (mean_q - mean_p).square()) / var_p - 1
    return terms.flatten(1).sum(1) / 2


def importance_bound(log_weights: Tensor, dim: int = 0) -> Tensor:
    r"""The bound on a log-likelihood by K weighted samples, the log weights of which lie along `dim`.

    .. math::
        \log \frac{1}{K} \sum_k w_k, \qquad w_k = \frac{p(x, z_k)}{q(z_k | x)}

    (Importance Weighted Autoencoders, Burda et al., 2016, Eq. 8). Sønderby et al. (2016, Eq. 12) leave out the 1 / K,
    without which it would be too large by log K, and no bound.
    """
    log_weights = compute_dtype_of(log_weights)
    samples = log_weights.new_full((), log_weights.shape[dim])
    return log_weights.logsumexp(dim) - samples.log()


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
