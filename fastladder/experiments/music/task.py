"""What is learned from polyphonic music, and how."""

from typing import Any, Literal

from lightning.pytorch import Callback
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from fastladder.data import RollBatch
from fastladder.experiments.errors import check_finite
from fastladder.experiments.music.metrics import Average, averages
from fastladder.experiments.music.networks import NETWORKS, LatentMusic, MusicNetwork
from fastladder.experiments.optimizers import NesterovRMSprop
from fastladder.experiments.schedules import schedule_by_epoch
from fastladder.experiments.seeding import TEST_SEED, VALID_SEED
from fastladder.experiments.task import Task


class MusicTask(Task):
    """A network that knows how likely pieces are, step by step.

    cost = the negative log-likelihood of a time step in nats, or a bound of it, the mean over all steps of a batch

    Args:
        network: "rladder", Table 8 of Recurrent Ladder Networks; "lstm", "gru" or "rnn"; "fd-rnn", a recurrent network
            with fast dropout; or "vrae" or "vosp", which also have latent sequences.
        options: of the network, such as hidden_size (256) of all but the RLadder, dropout of "lstm", "gru" and "rnn",
            latent_size (32), posterior, prior and kl of "vrae" and "vosp", and moments of those and "fd-rnn".
        optimizer: "adam", or "rmsprop" with Nesterov's momentum, as the paper of VRAE and VOSP has.
        momentum: of "rmsprop".
        learning_rate: at the start.
        schedule: of the learning rate. "halving": it is halved when the validation error rises, and the training ends
            when it rises at the floor; see `HalvingSchedule`. A list: the rate of every epoch.
        least_learning_rate: the floor of "halving".
        importance_samples: how many latent sequences the likelihood of "vrae" and "vosp" is estimated by in the test.
        seed: of what is drawn in training.
    """

    progress_score = ("nll", "{:.3f} nats")

    def __init__(
        self,
        network: Literal["rladder", "lstm", "gru", "rnn", "fd-rnn", "vrae", "vosp"] = "rladder",
        options: dict[str, Any] | None = None,
        optimizer: Literal["adam", "rmsprop"] = "adam",
        momentum: float = 0.9,
        learning_rate: float = 0.01,
        schedule: Literal["halving"] | list[float] = "halving",
        least_learning_rate: float = 1e-3,
        importance_samples: int = 20,
        seed: int = 0,
    ) -> None:
        super().__init__(learning_rate)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum: got {momentum}, needs 0 or more and less than 1")
        if not 0 < least_learning_rate < float("inf"):
            raise ValueError(f"least_learning_rate: got {least_learning_rate}, needs a number above 0")
        if importance_samples < 1:
            raise ValueError(f"importance_samples: got {importance_samples}, needs 1 or more")
        try:
            self.network = NETWORKS[network](**options or {})
        except TypeError as error:
            raise ValueError(f"options: got {options} for the network {network} ({error})") from None
        self.optimizer, self.momentum = optimizer, momentum
        self.schedule, self.least_learning_rate = schedule, least_learning_rate
        self.importance_samples, self.seed = importance_samples, seed
        self.configure_callbacks()  # refuses an impossible schedule now, not when the training starts

    @property
    def evaluated(self) -> MusicNetwork:
        """The network that is evaluated."""
        return self.network

    def examples(self, batch: RollBatch) -> int:
        """The time steps of a batch, without the padding."""
        return int(batch.lengths.sum())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        if self.optimizer == "adam":
            return super().configure_optimizers()
        return NesterovRMSprop(self.parameters(), self.learning_rate, momentum=self.momentum)

    def training_step(self, batch: RollBatch, index: int) -> Tensor:
        costs = self.network.step_costs(batch, self.generator(self.seed, self.global_step))
        cost = costs.sum() / batch.lengths.sum()
        self.report("train", {"cost": cost}, batch)
        return cost

    def validation_step(self, batch: RollBatch, index: int) -> None:
        costs = self.network.step_costs(batch, self.generator(VALID_SEED, index))
        self._log_averages("valid", averages(costs, batch))

    def test_step(self, batch: RollBatch, index: int) -> None:
        generator = self.generator(TEST_SEED, index)
        scores = averages(self.network.step_costs(batch, generator), batch)
        if isinstance(self.network, LatentMusic):
            steps = self.examples(batch)
            likelihood = self.network.log_likelihood(batch, self.importance_samples, generator)
            scores["nll_importance"] = Average(-likelihood.sum() / steps, steps)
        self._log_averages("test", scores)

    def configure_callbacks(self) -> list[Callback]:
        return [schedule_by_epoch(self.schedule, "valid/nll", self.least_learning_rate)]

    def _log_averages(self, part: str, scores: dict[str, Average]) -> None:
        check_finite(scores["nll"].mean, part, self)
        for name, (mean, weight) in (*scores.items(), ("cost", scores["nll"])):
            self.log(f"{part}/{name}", mean, batch_size=weight, on_step=False, on_epoch=True, sync_dist=True)
