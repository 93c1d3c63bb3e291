"""FD-RNN: a recurrent network with fast dropout that predicts the next step of binary sequences."""

from typing import Any

import torch
from torch import Tensor, nn

from fastladder.models.vrae.bernoulli import BernoulliOutput
from fastladder.models.vrae.sequences import Lengths, Sequences
from fastladder.nn.checks import check_size
from fastladder.nn.fast_dropout_rnn import FastDropoutRNN, Pair
from fastladder.nn.reset import reset_children


class FDRNN(nn.Module):
    r"""A fast-dropout RNN that predicts every step from the steps before (Bayer et al., 2013).

    .. math::
        p(x_{t+1, i} = 1 \mid x_{1:t}) = 0.999 \, E[\sigma(a_{t, i})] + 0.0005

    where a is a linear layer on the hidden units of a :class:`fastladder.nn.FastDropoutRNN`, whose mean and variance it
    takes. The network returns the logits of these probabilities, so that
    `torch.nn.functional.binary_cross_entropy_with_logits` of them is the negative log-likelihood: a logit is as precise
    where p is close to 1 as where it is close to 0. Nothing is drawn, so that training and evaluation give the same
    numbers.

    Args:
        features: F, the bits of a time step.
        hidden_size: units of the one hidden layer.
        rate: the probability with which an input or a hidden unit is dropped.
        moments: those of tanh and sigmoid, "erf3", "wang_manning" or "breze"; see
            :func:`fastladder.nn.moments.moments_of`.

    Raises:
        ValueError, TypeError: an argument is out of range; the message names it.
    """

    def __init__(
        self,
        features: int,
        hidden_size: int,
        *,
        rate: float = 0.1,
        moments: str = "erf3",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.features = check_size("features", features)
        options: dict[str, Any] = {"rate": rate, "moments": moments, "device": device, "dtype": dtype}
        self.recurrent = FastDropoutRNN(features, hidden_size, **options)
        self.output = BernoulliOutput(hidden_size, features, **options)

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        reset_children(self)

    def forward(self, before: Tensor, state: Pair | None = None, lengths: Lengths = None) -> tuple[Tensor, Pair]:
        """Predicts the steps that follow.

        Args:
            before: (T, N, F), zeros and ones; to predict all of a sequence it begins with a step of zeros.
            state: that an earlier call returned, to continue its sequences; missing means 0.
            lengths: (N,), the length of each sample, from 1 to T; missing means T for all.

        Returns:
            logits (T, N, F), float32 (float64 for float64), at t those of the step after `before[t]`; 0 beyond the
            length of a sample. And the state: mean and variance of the hidden units, each (1, N, hidden_size).

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        sequences = Sequences("before", before, lengths, self.features, self.output.linear)
        hidden, state = self.recurrent(sequences.x, state=state, lengths=sequences.lengths)
        return sequences.without_padding(self.output(*hidden)), state
