"""What is learned from occluded moving digits, and how."""

from collections.abc import Callable
from typing import Any, Literal, cast

from lightning.pytorch import Callback
from torch import Tensor

from fastladder.data import SMALL, MovingDigitSequence
from fastladder.experiments.occluded_moving_digits.metrics import costs_and_scores
from fastladder.experiments.schedules import schedule_by_epoch
from fastladder.experiments.task import Task
from fastladder.models import (
    RLadder,
    rladder_medium_digits,
    rladder_occluded_digits,
    rladder_small_digits,
    static_medium_digits,
    static_occluded_digits,
    static_small_digits,
    temporal_medium_digits,
    temporal_occluded_digits,
    temporal_small_digits,
)
from fastladder.nn.mean_teacher import MeanTeacher, consistency, ramp_up

NETWORKS: dict[str, Callable[..., Any]] = {
    "small": rladder_small_digits,
    "small_static": static_small_digits,
    "small_temporal": temporal_small_digits,
    "medium": rladder_medium_digits,
    "medium_static": static_medium_digits,
    "medium_temporal": temporal_medium_digits,
    "table5": rladder_occluded_digits,
    "table6": temporal_occluded_digits,
    "table7": static_occluded_digits,
}


class MovingDigitsTask(Task):
    """A network that classifies after the last frame and, with a decoder, predicts each frame from those before.

    cost = cross entropy + prediction_weight * mean over frames of the sum over pixels of the squared error
           + consistency_weight * ramp * consistency with a Mean Teacher

    Args:
        network: "small", "medium" or "table5", by its size; with "_temporal", or "table6", all but its top is without
            recurrence; with "_static", or "table7", all of it is, for single frames.
        widths: of the small and the medium ones: the channels "low" and "high", and the "units" of the top.
        frame_size: height and width of a frame.
        frames: in a sequence.
        alignment: "inverse": the decoder cell beside an encoder row decodes the row's input. "same": its output.
        init: the initial activations of the decoder's combinators, "default" or "ladder".
        feedback: whether outputs of the decoder are inputs of the encoder in the next time step.
        detach_feedback: whether the gradient stops there.
        decoder: whether there is one. Without it the network neither predicts nor has feedback.
        predict: whether the next frame is predicted, and a part of the cost.
        classify: whether the digit is recognised, and a part of the cost.
        prediction_weight: of the prediction in the cost.
        learning_rate: of Adam, at the start.
        schedule: of the learning rate. "linear": it falls linearly to 0 over the run. "halving": it is halved when the
            validation error rises, as in the paper; see `HalvingSchedule`. A list: the rate of every epoch.
        least_learning_rate: the floor of "halving".
        teacher_decay: of a Mean Teacher, which is then what is evaluated; None: there is no teacher.
        consistency_weight: of the consistency with the teacher in the cost, reached after a quarter of the run.
    """

    progress_score = ("classification_error", "error {:.1f} %")

    def __init__(
        self,
        network: Literal[
            "small",
            "small_static",
            "small_temporal",
            "medium",
            "medium_static",
            "medium_temporal",
            "table5",
            "table6",
            "table7",
        ] = "small",
        widths: dict[str, int] | None = None,
        frame_size: int = SMALL.frame_size,
        frames: int = SMALL.frames,
        alignment: Literal["inverse", "same"] = "inverse",
        init: Literal["default", "ladder"] = "default",
        feedback: bool = True,
        detach_feedback: bool = False,
        decoder: bool = True,
        predict: bool = True,
        classify: bool = True,
        prediction_weight: float = 1.0,
        learning_rate: float = 1e-3,
        schedule: Literal["linear", "halving"] | list[float] = "linear",
        least_learning_rate: float = 1e-4,
        teacher_decay: float | None = None,
        consistency_weight: float = 100.0,
    ) -> None:
        super().__init__(learning_rate, decay=1.0 if schedule == "linear" else 0.0)
        if not 0 < least_learning_rate < float("inf"):
            raise ValueError(f"least_learning_rate: got {least_learning_rate}, needs a number above 0")
        weights = {"prediction_weight": prediction_weight, "consistency_weight": consistency_weight}
        for name, value in weights.items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name}: got {value}, needs 0 or more")
        if teacher_decay is not None and not classify:
            raise ValueError(f"teacher_decay: got {teacher_decay}, needs a network that classifies")
        if predict and decoder and frames < 2:
            raise ValueError("predict: got True for sequences of one frame (data.view reconstruction), needs False")
        try:
            levels = NETWORKS[network](**widths or {})
        except TypeError as error:
            remedy = "--model.widths null takes the network's own"
            raise ValueError(f"widths: got {widths} for the network {network} ({error}); {remedy}") from None
        self.prediction_weight, self.consistency_weight = prediction_weight, consistency_weight
        self.least_learning_rate, self.schedule = least_learning_rate, schedule
        self.network = RLadder(
            levels,
            (1, frame_size, frame_size),
            steps=frames,
            alignment=alignment,
            init=init,
            feedback=feedback,
            detach_feedback=detach_feedback,
            decoder=decoder,
            predict=predict,
            classify=classify,
        )
        self.teacher = None if teacher_decay is None else MeanTeacher(self.network, teacher_decay)
        self.configure_callbacks()  # refuses an impossible schedule now, not when the training starts

    @property
    def evaluated(self) -> RLadder:
        """The network that is evaluated: the teacher's where there is a teacher."""
        return self.network if self.teacher is None else cast(RLadder, self.teacher.module)

    def examples(self, batch: MovingDigitSequence) -> int:
        return len(batch.label)

    def training_step(self, batch: MovingDigitSequence, index: int) -> Tensor:
        output = self.network(batch.observed)
        scores = costs_and_scores(output.logits, output.prediction, batch, self.prediction_weight)
        if self.teacher is not None:
            ramp = self.trainer.estimated_stepping_batches / 4
            weight = self.consistency_weight * ramp_up(self.global_step / ramp)
            expected = self.teacher(batch.observed)
            scores["consistency"] = consistency(output.logits[:, -1], expected.logits[:, -1])
            scores["cost"] = scores["cost"] + weight * scores["consistency"]
        self.report("train", scores, batch)
        return scores["cost"]

    def validation_step(self, batch: MovingDigitSequence, index: int) -> None:
        self._evaluate("valid", batch)

    def test_step(self, batch: MovingDigitSequence, index: int) -> None:
        self._evaluate("test", batch)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.teacher is not None:
            self.teacher.update(self.network)

    def configure_callbacks(self) -> list[Callback]:
        if self.schedule == "linear":
            return []
        error = "classification_error" if self.network.classify else "next_frame_error"
        return [schedule_by_epoch(self.schedule, f"valid/{error}", self.least_learning_rate)]

    def _evaluate(self, part: str, batch: MovingDigitSequence) -> None:
        output = self.evaluated(batch.observed)
        scores = costs_and_scores(output.logits, output.prediction, batch, self.prediction_weight)
        self.report(part, scores, batch)
