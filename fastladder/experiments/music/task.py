"""What is learned from polyphonic music, and how."""

from typing import Literal

from lightning.pytorch import Callback
from torch import Tensor

from fastladder.data import RollBatch
from fastladder.experiments.errors import check_finite
from fastladder.experiments.music.metrics import averages, step_nll
from fastladder.experiments.music.networks import NextStep, next_step_network
from fastladder.experiments.schedules import HalvingSchedule, ReplayedSchedule
from fastladder.experiments.task import Task


class MusicTask(Task):
    """A network that predicts from the steps before which keys sound in the next, each key independently.

    cost = the negative log-likelihood of a time step in nats, the mean over all steps of a batch

    Args:
        network: "rladder", Table 8 of Recurrent Ladder Networks, or "lstm", "gru" or "rnn".
        hidden_size: of the recurrent networks; the RLadder has its own sizes.
        dropout: of the recurrent networks' output, as a probability.
        learning_rate: of Adam, at the start.
        schedule: of the learning rate. "halving": it is halved when the validation error rises, and the training ends
            when it rises at the floor; see `HalvingSchedule`. A list: the rate of every epoch.
        least_learning_rate: the floor of "halving".
    """

    progress_score = ("nll", "{:.3f} nats")

    def __init__(
        self,
        network: Literal["rladder", "lstm", "gru", "rnn"] = "rladder",
        hidden_size: int = 256,
        dropout: float = 0.0,
        learning_rate: float = 0.01,
        schedule: Literal["halving"] | list[float] = "halving",
        least_learning_rate: float = 1e-3,
    ) -> None:
        super().__init__(learning_rate)
        if hidden_size < 1:
            raise ValueError(f"hidden_size: got {hidden_size}, needs 1 or more")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout: got {dropout}, needs 0 or more and less than 1")
        if not 0 < least_learning_rate < float("inf"):
            raise ValueError(f"least_learning_rate: got {least_learning_rate}, needs a number above 0")
        self.schedule, self.least_learning_rate = schedule, least_learning_rate
        self.network: NextStep = next_step_network(network, hidden_size, dropout)
        self.configure_callbacks()  # refuses an impossible schedule now, not when the training starts

    @property
    def evaluated(self) -> NextStep:
        """The network that is evaluated."""
        return self.network

    def examples(self, batch: RollBatch) -> int:
        """The time steps of a batch, without the padding."""
        return int(batch.lengths.sum())

    def training_step(self, batch: RollBatch, index: int) -> Tensor:
        cost = self._nll(batch).sum() / batch.lengths.sum()
        self.report("train", {"cost": cost}, batch)
        return cost

    def validation_step(self, batch: RollBatch, index: int) -> None:
        self._evaluate("valid", batch)

    def test_step(self, batch: RollBatch, index: int) -> None:
        self._evaluate("test", batch)

    def configure_callbacks(self) -> list[Callback]:
        if self.schedule == "halving":
            return [HalvingSchedule("valid/nll", self.least_learning_rate)]
        return [ReplayedSchedule([float(rate) for rate in self.schedule])]

    def _nll(self, batch: RollBatch) -> Tensor:
        logits, _ = self.network(batch.before)
        return step_nll(logits, batch)

    def _evaluate(self, part: str, batch: RollBatch) -> None:
        scores = averages(self._nll(batch), batch)
        check_finite(scores["nll"].mean, part, self)
        for name, (mean, weight) in (*scores.items(), ("cost", scores["nll"])):
            self.log(f"{part}/{name}", mean, batch_size=weight, on_step=False, on_epoch=True, sync_dist=True)
