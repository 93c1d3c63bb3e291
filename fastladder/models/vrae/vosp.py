"""VOSP: the variational one-step predictor."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastladder.models.vrae.bernoulli import BernoulliOutput, draw_bits, most_likely
from fastladder.models.vrae.latent_sequences import GENERATOR_RATE, LatentSequences
from fastladder.models.vrae.sequences import Lengths
from fastladder.nn.checks import check_features, check_sequence
from fastladder.nn.fast_dropout_linear import FastDropoutLinear
from fastladder.tensors import step_before


class VOSPState(NamedTuple):
    """What a `VOSP` carries from one time step to the next."""

    hidden: tuple[Tensor, Tensor]  # mean and variance of the recognition network's units, each (1, N, hidden_size)
    latent: tuple[Tensor, Tensor]  # mean and variance of z_t under the posterior, each (N, latent_size)


class VOSPStep(NamedTuple):
    """What `VOSP.step` returns."""

    mean: Tensor  # (N, latent_size), of z_t given the steps so far
    var: Tensor  # (N, latent_size), its variance
    logits: Tensor  # (N, F), of p(x_t | h_(t-1), z_t) with this mean for z_t
    state: VOSPState


class VOSP(LatentSequences):
    r"""The variational one-step predictor for binary sequences (Bayer and Osendorfer, 2014, section 3.2).

    A recurrent network whose prediction of a step also depends on a latent z, so that the bits of a step depend on
    each other:

    .. math::
        -\log p(x_{1:T}) \leq \mathrm{KL}(q(z_{1:T} \mid x_{1:T}) \,\|\, p(z_{1:T}))
        - E_q \sum_t \log p(x_t \mid h_{t-1}, z_t), \qquad q(z_t \mid z_{t-1}, x_{1:t})

    h is the mean of the recognition network's hidden units, a summary of the steps so far, and 0 at first. (The paper's
    section 3.2 prints :math:`h_t`, which has seen :math:`x_t`; its section 4 and its figure have :math:`h_{t-1}`.)

    The recognition network is a fast-dropout RNN with one hidden layer of tanh and learned rates; the generator, which
    runs for each step on its own, has one hidden layer of tanh and a rate of 0.1. Its probabilities are between 0.0005
    and 0.9995 (see :class:`fastladder.models.FDRNN`).

    Args:
        features: F, the bits of a time step.
        latent_size: D, the dimensions of z at a time step, which are independent.
        hidden_size: units of the hidden layer of either network.
        posterior, prior, kl, moments: as for :class:`fastladder.models.VRAE`.

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
        super().__init__(features, latent_size, hidden_size, bidirectional=False, moments=moments, **options, **factory)
        dropout: dict[str, Any] = {"rate": GENERATOR_RATE, "moments": moments}
        self.generation = FastDropoutLinear(
            latent_size + hidden_size, hidden_size, nonlinearity="tanh", **dropout, **factory
        )
        self.output = BernoulliOutput(hidden_size, features, **dropout, **factory)

    def decode(self, z: Tensor, x: Tensor, lengths: Lengths = None) -> Tensor:
        """The logits (T, N, F) of p(x_t | h_(t-1), z_t), where h_(t-1) is made of the steps of x before t.

        Args:
            z: (T, N, latent_size).
            x: (T, N, F).
            lengths: (N,), the length of each sample, from 1 to T; missing means T for all.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        sequences = self._sequences("x", x, lengths)
        check_sequence("z", z, self.latent_size, self.output.linear)
        if z.shape[:2] != x.shape[:2]:
            raise ValueError(f"z: got shape {tuple(z.shape)}, needs ({x.shape[0]}, {x.shape[1]}, *) to go with x")
        return self._generate(z, self._encode(sequences)[1][0], sequences.lengths)

    def step(self, x: Tensor, state: VOSPState | None = None) -> VOSPStep:
        """Infers z of one more time step, and what x most likely was without noise.

        Args:
            x: (N, F).
            state: of the step before; missing means that this is the first.

        Returns:
            `VOSPStep`.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        check_features("x", x, self.features, 0, self.head.step)
        if state is not None and not isinstance(state, VOSPState):
            raise TypeError(f"state: got {type(state).__name__}, needs the VOSPState of an earlier step")
        hidden_before, latent_before = (None, None) if state is None else state
        hidden, after = self.recognition(x.unsqueeze(0), state=hidden_before)
        posterior = self.head(*hidden, latent_before)
        seen = torch.zeros_like(hidden[0]) if hidden_before is None else hidden_before[0]
        logits = self._predict(posterior.mean, seen)[0]
        latent = posterior.mean[0], posterior.var[0]
        return VOSPStep(*latent, logits, VOSPState(after, latent))

    @torch.no_grad()
    def denoise(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        """What each step most likely was without noise, from the steps so far (section 4.2).

        With the posterior mean given the noisy steps so far for z, the most likely bits given z. `step` does the same
        one step at a time.

        Args:
            x: (T, N, F), noisy.
            lengths: (N,), the length of each sample, from 1 to T; missing means T for all.

        Returns:
            (T, N, F) of zeros and ones; 0 beyond the length of a sample.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        sequences = self._sequences("x", x, lengths)
        posterior, hidden = self._encode(sequences)
        logits = self._generate(posterior.mean, hidden[0], sequences.lengths)
        return sequences.without_padding(most_likely(logits)).to(x.dtype)

    @torch.no_grad()
    def sample(self, steps: int, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws sequences: z from the prior, then step after step, each from what came before it.

        Args:
            steps: T, time steps.
            n: N, sequences.
            generator: that draws, on the device of the network.

        Returns:
            (T, N, F) of zeros and ones.

        Raises:
            ValueError, TypeError: an argument is out of range; the message names it.
        """
        state, drawn = None, []
        for z in self._prior_sample(steps, n, generator).split(1):
            seen = z.new_zeros(1, n, self.hidden_size) if state is None else state[0]
            drawn.append(draw_bits(self._predict(z, seen), generator).to(z.dtype))
            _, state = self.recognition(drawn[-1], state=state)
        return torch.cat(drawn)

    def _generate(self, z: Tensor, hidden: Tensor, lengths: list[int] | None) -> Tensor:
        return self._predict(z, step_before(hidden))

    def _predict(self, z: Tensor, seen: Tensor) -> Tensor:
        """The logits (T, N, F) given z (T, N, latent_size) and summaries (T, N, hidden_size) of the steps before."""
        return self.output(*self.generation(torch.cat([z.to(self.dtype), seen], dim=-1)))
