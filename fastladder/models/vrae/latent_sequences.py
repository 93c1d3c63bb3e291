"""What VRAE and VOSP share: a recognition network, a posterior, a prior, and the bound that they are trained on."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastladder.models.vrae.bernoulli import bernoulli_nll
from fastladder.models.vrae.posterior import PathPosterior, PosteriorHead
from fastladder.models.vrae.precision import without_autocast
from fastladder.models.vrae.prior import prior_of
from fastladder.models.vrae.sequences import Lengths, Sequences
from fastladder.nn.checks import check_size
from fastladder.nn.fast_dropout_rnn import FastDropoutRNN, Pair
from fastladder.nn.reset import reset_children
from fastladder.nn.tag_likelihoods import normal_like
from fastladder.ops.checks import check_activation
from fastladder.tensors import compute_dtype_of

GENERATOR_RATE = 0.1  # of dropout


class SequenceBound(NamedTuple):
    """An upper bound on the negative log-likelihood of sequences, from one sample of the posterior.

    Float32 (float64 for float64). With kl="shortcut" it is NOT a bound.
    """

    objective: Tensor  # (), nats per time step, to be minimised: the mean of reconstruction + kl over all real steps
    reconstruction: Tensor  # (T, N), -log p(x_t | z) in nats; 0 beyond the length of a sample
    kl: Tensor  # (T, N), the term of a step in the divergence of posterior and prior, in nats; 0 beyond the length


class LatentSequences(nn.Module):
    """A network for binary sequences with a latent sequence z. `VRAE` and `VOSP` describe the other arguments.

    Args:
        bidirectional: whether the recognition network also runs backward.
    """

    def __init__(
        self,
        features: int,
        latent_size: int,
        hidden_size: int,
        *,
        bidirectional: bool,
        posterior: str,
        prior: str | Tensor,
        kl: str,
        moments: str,
        **factory: Any,
    ) -> None:
        super().__init__()
        self.features = check_size("features", features)
        self.latent_size = check_size("latent_size", latent_size)
        self.hidden_size = check_size("hidden_size", hidden_size)
        self.posterior = posterior
        self.recognition = FastDropoutRNN(
            features, hidden_size, bidirectional=bidirectional, learned_rate=True, moments=moments, **factory
        )
        self.head = PosteriorHead(
            (1 + bidirectional) * hidden_size, latent_size, posterior=posterior, moments=moments, **factory
        )
        self.prior = prior_of(prior, kl, posterior, **factory)

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        reset_children(self)

    @property
    def dtype(self) -> torch.dtype:
        """That of the weights."""
        return self.head.step.weight.dtype

    def encode(self, x: Tensor, lengths: Lengths = None) -> PathPosterior:
        """The posterior q(z | x).

        Args:
            x: (T, N, F), zeros and ones, or numbers between.
            lengths: (N,), the length of each sample, from 1 to T; missing means T for all.

        Returns:
            `PathPosterior`. Its steps beyond the length of a sample mean nothing.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        return self._encode(self._sequences("x", x, lengths))[0]

    def forward(
        self,
        x: Tensor,
        lengths: Lengths = None,
        *,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> SequenceBound:
        """The bound on the negative log-likelihood, from one latent sequence a sample.

        Args:
            x: (T, N, F), zeros and ones, which is not checked.
            lengths: (N,), the length of each sample, from 1 to T; missing means T for all.
            noise: standard normal numbers (T, N, latent_size), from which z is made; missing means drawn.
            generator: that draws it, on the device of x.

        Returns:
            `SequenceBound`.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        sequences = self._sequences("x", x, lengths)
        posterior, hidden = self._encode(sequences)
        if noise is None:
            noise = normal_like(posterior.mean, generator)
        check_activation("noise", noise, posterior.mean.shape, posterior.mean, "x and latent_size")
        logits = self._generate(posterior.sample(noise), hidden[0], sequences.lengths)
        reconstruction = sequences.without_padding(bernoulli_nll(logits, sequences.x))
        with without_autocast(x):
            kl = sequences.without_padding(self.prior.divergence(posterior))
        return SequenceBound((reconstruction + kl).sum() / sequences.steps, reconstruction, kl)

    @torch.no_grad()
    def log_likelihood(
        self, x: Tensor, samples: int, lengths: Lengths = None, generator: torch.Generator | None = None
    ) -> Tensor:
        r"""An estimate of the log-likelihood of each sequence by importance sampling, without gradients.

        .. math::
            \log \frac{1}{S} \sum_{s=1}^S \frac{p(x \mid z_s) \, p(z_s)}{q(z_s \mid x)}, \qquad z_s \sim q(z \mid x)

        In expectation it is a lower bound on the log-likelihood, which it comes closer to with more samples (Burda et
        al., 2016); with one sample its expectation is that of the exact bound of `forward`.

        Args:
            x: (T, N, F), zeros and ones.
            samples: S. They are drawn one after the other.
            lengths: (N,), the length of each sample, from 1 to T; missing means T for all.
            generator: that draws, on the device of x.

        Returns:
            (N,), nats per sequence, float32 (float64 for float64).

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        samples = check_size("samples", samples)
        sequences = self._sequences("x", x, lengths)
        posterior, hidden = self._encode(sequences)
        log_weights = []
        for _ in range(samples):
            z = posterior.sample(normal_like(posterior.mean, generator))
            nll = bernoulli_nll(self._generate(z, hidden[0], sequences.lengths), sequences.x)
            with without_autocast(x):
                steps = self.prior.log_density(z) - posterior.log_density(z) - nll
            log_weights.append(sequences.without_padding(steps).sum(0))
        return torch.stack(log_weights).logsumexp(0) - math.log(samples)

    def _encode(self, sequences: Sequences) -> tuple[PathPosterior, Pair]:
        """The posterior, and mean and variance of the hidden units of the recognition network."""
        hidden, _ = self.recognition(sequences.x, lengths=sequences.lengths)
        return self.head(*hidden), hidden

    def _generate(self, z: Tensor, hidden: Tensor, lengths: list[int] | None) -> Tensor:
        """The logits (T, N, F) given z (T, N, latent_size) and the mean of the hidden units, (T, N, H)."""
        raise NotImplementedError

    def _prior_sample(self, steps: int, n: int, generator: torch.Generator | None) -> Tensor:
        """z (steps, n, latent_size) from the prior, in the dtype of the weights."""
        self._check_duration("steps", check_size("steps", steps))
        empty = self.head.step.weight.new_empty(steps, check_size("n", n), self.latent_size)
        noise = normal_like(compute_dtype_of(empty), generator)
        with without_autocast(noise):
            return self.prior.colour(noise).to(self.dtype)

    def _sequences(self, name: str, x: Any, lengths: Lengths) -> Sequences:
        sequences = Sequences(name, x, lengths, self.features, self.head.step)
        self._check_duration(name, len(x))
        return sequences

    def _check_duration(self, name: str, steps: int) -> None:
        if self.prior.longest is not None and steps > self.prior.longest:
            raise ValueError(f"{name}: got {steps} time steps, needs {self.prior.longest} at most, as the prior has")

    def extra_repr(self) -> str:
        sizes = f"{self.features}, {self.latent_size}, {self.hidden_size}"
        return f"{sizes}, posterior={self.posterior!r}"
