"""What is trained and how: an RTagger that learns from moving digits which pixels move together."""

from typing import Any

from fastladder.data import GroupedSequence
from fastladder.experiments.grouping.task import GroupingTask
from fastladder.experiments.moving_digits.data import FOLLOWING
from fastladder.experiments.moving_digits.metrics import free_running_scores, prediction_scores
from fastladder.experiments.seeding import TEST_SEED, VALID_SEED
from fastladder.models import RTagger, RTaggerOutput


class MotionTask(GroupingTask):
    """A network that learns to predict the next frame in groups (Recurrent Ladder Networks, section 4.3).

    cost = mean over frames, sequences and pixels of the negative log likelihood of the next frame, in nats

    In training it sees frames with noise, in evaluation as they are. The last frames of a test sequence it does not see
    at all: it goes on by itself.
    """

    network: RTagger

    def run(self, batch: GroupedSequence, **options: Any) -> RTaggerOutput:
        return self.network.forward_sequence(batch.frames, **options)

    def validation_step(self, batch: GroupedSequence, index: int) -> None:
        output = self.run(batch, generator=self.generator(VALID_SEED, index))
        self.report("valid", prediction_scores(output, batch), batch)

    def test_step(self, batch: GroupedSequence, index: int) -> None:
        frames, following = batch.frames[:, :-FOLLOWING], batch.frames[:, -FOLLOWING:]
        seen = batch._replace(frames=frames, groups=batch.groups[:, :-FOLLOWING])
        scores = prediction_scores(self.run(seen, generator=self.generator(TEST_SEED, index)), seen)
        generated = self.network.generate(frames, FOLLOWING, generator=self.generator(TEST_SEED, index))
        self.report("test", scores | free_running_scores(generated, frames[:, -1], following), batch)
