"""VRAE: the variational recurrent auto-encoder."""

from typing import Any

import torch
from torch import Tensor

from fastladder.models.vrae.bernoulli import BernoulliOutput, draw_bits, most_likely
from fastladder.models.vrae.latent_sequences import GENERATOR_RATE, LatentSequences
from fastladder.models.vrae.sequences import Lengths
from fastladder.nn.checks import check_sequence, check_size
from fastladder.nn.fast_dropout_rnn import FastDropoutRNN
from fastladder.nn.tag_likelihoods import uniform_like


class VRAE(LatentSequences):
    r"""The variational recurrent auto-encoder for binary sequences (Bayer and Osendorfer, 2014, section 3.1).

    A latent sequence z with a prior over time generates all of a sequence x, and a recognition network infers z:

    .. math::
        -\log p(x_{1:T}) \leq \mathrm{KL}(q(z_{1:T} \mid x_{1:T}) \,\|\, p(z_{1:T}))
        - E_q \sum_t \log p(x_t \mid z_{1:T})

    Both networks are bidirectional fast-dropout RNNs with one hidden layer of tanh: the recognition network with
    learned rates, its mean and variance those of q; the generator with a rate of 0.1, its probabilities between 0.0005
    and 0.9995 (see :class:`fastladder.models.FDRNN`).

    Args:
        features: F, the bits of a time step.
        latent_size: D, the dimensions of z at a time step, which are independent.
        hidden_size: units of the hidden layer, for each direction and network.
        posterior: "diagonal", independent steps as in the paper, or "markov", a Gaussian Markov chain, which has the
            dependence of neighbours that the true posterior has; see `PathPosterior`.
        prior: "wiener", the process that starts at 0 and has standard normal increments; "white", independent standard
            normal steps; or the covariance (T_max, T_max) of any Gaussian process over time, for sequences up to T_max.
        kl: "exact", or "shortcut", which the paper's results were computed with. It takes the increments of a diagonal
            posterior for independent, so that the objective is NOT a bound; see :func:`fastladder.ops.wiener_kl`.
        moments: those of tanh and sigmoid, "erf3", "wang_manning" or "breze"; see
            :func:`fastladder.nn.moments.moments_of`.

    Raises:
        ValueError, TypeError: an argument is out of range, or "shortcut" comes with another prior or posterior; the
            message names it.
    """

    def __init__(
        self,
        features: int,
        latent_size: int,
        hidden_size: int,
        *,
        posterior: str = "diagonal",
        prior: str | Tensor = "wiener",
        kl: str = "exact",
        moments: str = "erf3",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        options: dict[str, Any] = {"posterior": posterior, "prior": prior, "kl": kl}
        super().__init__(features, latent_size, hidden_size, bidirectional=True, moments=moments, **options, **factory)
        dropout: dict[str, Any] = {"rate": GENERATOR_RATE, "moments": moments}
        self.generation = FastDropoutRNN(latent_size, hidden_size, bidirectional=True, **dropout, **factory)
        self.output = BernoulliOutput(2 * hidden_size, features, **dropout, **factory)

    def decode(self, z: Tensor, lengths: Lengths = None) -> Tensor:
        """The logits (T, N, F) of p(x | z).

        Args:
            z: (T, N, latent_size).
            lengths: (N,), the length of each sample, from 1 to T; missing means T for all.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        check_sequence("z", z, self.latent_size, self.output.linear)
        hidden, _ = self.generation(z, lengths=lengths)
        return self.output(*hidden)

    @torch.no_grad()
    def sample(self, steps: int, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws sequences: z from the prior, then every bit.

        Args:
            steps: T, time steps.
            n: N, sequences.
            generator: that draws, on the device of the network.

        Returns:
            (T, N, F) of zeros and ones.

        Raises:
            ValueError, TypeError: an argument is out of range; the message names it.
        """
        z = self._prior_sample(steps, n, generator)
        return draw_bits(self.decode(z), generator).to(z.dtype)

    @torch.no_grad()
    def impute(
        self,
        x: Tensor,
        missing: Tensor,
        rounds: int = 20,
        lengths: Lengths = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Fills in what is missing (section 4.3).

        The missing bits are drawn between 0 and 1. In every round z becomes the mean of q(z | x), and the missing bits
        those that are most likely given z.

        Args:
            x: (T, N, F), zeros and ones; what stands at a missing bit does not matter.
            missing: (T, N, F), bool.
            rounds: their number.
            lengths: (N,), the length of each sample, from 1 to T; missing means T for all.
            generator: that draws, on the device of x.

        Returns:
            (T, N, F): x, with zeros and ones for missing bits. Beyond the length of a sample it is 0.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        rounds = check_size("rounds", rounds)
        sequences = self._sequences("x", x, lengths)
        if not isinstance(missing, Tensor):
            raise TypeError(f"missing: got {type(missing).__name__}, needs a tensor")
        if missing.dtype != torch.bool or missing.shape != x.shape:
            needed = f"needs torch.bool {tuple(x.shape)} like x"
            raise ValueError(f"missing: got {missing.dtype} {tuple(missing.shape)}, {needed}")
        missing = sequences.without_padding(missing)
        sequences.x = sequences.x.where(~missing, uniform_like(x, generator).to(x.dtype))
        for _ in range(rounds):
            posterior, hidden = self._encode(sequences)
            logits = self._generate(posterior.mean, hidden[0], sequences.lengths)
            sequences.x = sequences.x.where(~missing, most_likely(logits).to(x.dtype))
        return sequences.x

    def _generate(self, z: Tensor, hidden: Tensor, lengths: list[int] | None) -> Tensor:
        return self.decode(z.to(self.dtype), lengths)
