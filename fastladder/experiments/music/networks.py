"""Networks that predict which keys sound next, all called alike."""

from collections.abc import Callable
from typing import Any, cast

from torch import Tensor, nn

from fastladder.data import KEYS
from fastladder.models import RLadder, rladder_music
from fastladder.nn import LSTM

# The logit of a key's probability to sound, at first. In all collections 3.0 to 4.0 of the 88 keys sound in a step, on
# average; from a logit of 0 a training of a few hundred steps would spend most of them on coming there.
RARE = -3.0


class NextStep(nn.Module):
    """A network that is called with steps before and returns the logits of those that follow, and its state.

    forward(before (N, T, 88), state=None) -> (logits (N, T, 88), state): at t that of the step after `before[:, t]`.
    The state that a call returns continues its sequences in the next.
    """


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

    def __init__(self, recurrent: Callable[..., nn.Module], hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.recurrent = recurrent(KEYS, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, KEYS)
        nn.init.constant_(self.output.bias, RARE)

    def forward(self, before: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        hidden, state = self.recurrent(before, state)
        return self.output(self.dropout(hidden)), state


RECURRENT: dict[str, Callable[..., nn.Module]] = {"lstm": LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def next_step_network(name: str, hidden_size: int, dropout: float) -> NextStep:
    """The network of that name: "rladder", or one of `RECURRENT` of a given size."""
    return RLadderNextStep() if name == "rladder" else RecurrentNextStep(RECURRENT[name], hidden_size, dropout)
