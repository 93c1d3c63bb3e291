"""Networks of music, by name: each says what the time steps of a batch of pieces cost."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from fastladder.data import KEYS, RollBatch
from fastladder.experiments.music.metrics import step_nll
from fastladder.models import FDRNN, VOSP, VRAE, RLadder, rladder_music
from fastladder.models.vrae import sparse_fast_dropout_
from fastladder.nn import LSTM

# The logit of a key's probability to sound, at first. In all collections 3.0 to 4.0 of the 88 keys sound in a step, on
# average; from a logit of 0 a training of a few hundred steps would spend most of them on coming there.
RARE = -3.0


class MusicNetwork(nn.Module):
    """A network that knows how likely pieces of music are."""

    def step_costs(self, batch: RollBatch, generator: torch.Generator | None = None) -> Tensor:
        """The negative log-likelihood of every step given those before, or a bound of it; 0 at the padding.

        Args:
            batch: the pieces.
            generator: that draws what the network draws.

        Returns:
            (N, T), nats.
        """
        raise NotImplementedError


class NextStep(MusicNetwork):
    """A network that is called with steps before and returns the logits of those that follow, and its state.

    forward(before (N, T, 88), state=None) -> (logits (N, T, 88), state): at t that of the step after `before[:, t]`.
    The state that a call returns continues its sequences in the next.
    """

    def step_costs(self, batch: RollBatch, generator: torch.Generator | None = None) -> Tensor:
        logits, _ = self(batch.before)
        return step_nll(logits, batch)


class RLadderNextStep(NextStep):
    """The RLadder of Table 8 of Recurrent Ladder Networks: its frames are the 88 keys."""

    def __init__(self) -> None:
        super().__init__()
        self.network = RLadder(rladder_music(), (1, KEYS))
        weights = cast(Tensor, self.network.decoder["0"].weights)  # of the convG2 that predicts
        nn.init.constant_(weights[:2, 4], RARE)  # w4 of both contents

    def forward(self, before: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        output = self.network(before.unsqueeze(2), state)
        assert output.prediction is not None
        return output.prediction.squeeze(2), output.state


class RecurrentNextStep(NextStep):
    """A recurrent network with a linear layer on top.

    Args:
        recurrent: from input and hidden size to a network like `torch.nn.GRU`, with the batch first.
        hidden_size: of its state.
        dropout: the probability with which features of its output are dropped.
    """

    def __init__(self, recurrent: Callable[..., nn.Module], hidden_size: int = 256, dropout: float = 0.0) -> None:
        super().__init__()
        self.recurrent = recurrent(KEYS, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, KEYS)
        nn.init.constant_(self.output.bias, RARE)

    def forward(self, before: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        hidden, state = self.recurrent(before, state)
        return self.output(self.dropout(hidden)), state


class FastDropoutNextStep(NextStep):
    """FD-RNN, a recurrent network with fast dropout.

    Args:
        hidden_size: of its state.
        options: of `fastladder.models.FDRNN`.
    """

    def __init__(self, hidden_size: int = 256, **options: Any) -> None:
        super().__init__()
        self.network = FDRNN(KEYS, hidden_size, **options)
        sparse_fast_dropout_(self.network, output_bias=RARE)

    def forward(self, before: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        logits, state = self.network(before.transpose(0, 1), state)
        return logits.transpose(0, 1), state


class LatentMusic(MusicNetwork):
    """VRAE or VOSP: what a step costs is its term in their bound, from one latent sequence.

    Args:
        network: `fastladder.models.VRAE` or `VOSP`.
        latent_size, hidden_size, options: of it.
    """

    def __init__(
        self, network: Callable[..., Any], latent_size: int = 32, hidden_size: int = 256, **options: Any
    ) -> None:
        super().__init__()
        self.network = network(KEYS, latent_size, hidden_size, **options)
        sparse_fast_dropout_(self.network, output_bias=RARE)

    def step_costs(self, batch: RollBatch, generator: torch.Generator | None = None) -> Tensor:
        bound = self.network(batch.rolls.transpose(0, 1), batch.lengths, generator=generator)
        costs: Tensor = bound.reconstruction + bound.kl
        return costs.transpose(0, 1)

    def log_likelihood(self, batch: RollBatch, samples: int, generator: torch.Generator) -> Tensor:
        """The estimate of each piece's log-likelihood by importance sampling, (N,) nats."""
        likelihood: Tensor = self.network.log_likelihood(batch.rolls.transpose(0, 1), samples, batch.lengths, generator)
        return likelihood


NETWORKS: dict[str, Callable[..., MusicNetwork]] = {
    "rladder": RLadderNextStep,
    "lstm": partial(RecurrentNextStep, LSTM),
    "gru": partial(RecurrentNextStep, nn.GRU),
    "rnn": partial(RecurrentNextStep, nn.RNN),
    "fd-rnn": FastDropoutNextStep,
    "vrae": partial(LatentMusic, VRAE),
    "vosp": partial(LatentMusic, VOSP),
}
