"""The classifiers of Table 2 of Tagger."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from fastladder.experiments.classification.classifiers import (
    CLASSES,
    Classifier,
    LadderClassifier,
    SupervisedClassifier,
)
from fastladder.experiments.classification.data import LabelledBatch
from fastladder.experiments.classification.metrics import cross_entropy
from fastladder.experiments.textured_digits.baselines import mlp, model_c
from fastladder.models import Tagger


class TaggerClassifier(Classifier):
    r"""FC Tagger: learns to denoise and, from the output of the last iteration, to classify.

    cost = Tagger's cost of the unlabelled images + classification_weight * cross entropy of the labelled ones

    Args:
        data_shape: \*D, of an image.
        widths: as for `fastladder.models.Tagger`, of the levels below the classes.
        classification_weight: of the cross entropy in the cost.
        test_iterations: T where images without noise are classified.
        options: others of `fastladder.models.Tagger`.
    """

    network: Tagger

    def __init__(
        self,
        data_shape: Sequence[int],
        widths: Sequence[int],
        *,
        classification_weight: float = 0.1,
        test_iterations: int = 5,
        **options: Any,
    ) -> None:
        super().__init__()
        if not 0 <= classification_weight < float("inf"):
            raise ValueError(f"classification_weight: got {classification_weight}, needs 0 or more")
        self.classification_weight, self.test_iterations = classification_weight, test_iterations
        # The data sets have been checked.
        self.network = Tagger(data_shape, widths, classes=CLASSES, **options, validate=False)

    def forward(self, image: Tensor) -> Tensor:
        log_probabilities: Tensor = self.network(
            image, corrupt=False, iterations=self.test_iterations
        ).log_probabilities[-1]
        return log_probabilities

    def costs(self, batch: LabelledBatch) -> dict[str, Tensor]:
        output = self.network(batch.image)
        denoising = output.cost if batch.unlabelled is None else self.network(batch.unlabelled).cost
        classification = cross_entropy(output.log_probabilities[-1], batch.label)
        return {"cost": denoising + self.classification_weight * classification, "cross_entropy": classification}


CLASSIFIERS: dict[str, Callable[..., Classifier]] = {
    "mlp": lambda *arguments, **options: SupervisedClassifier(mlp(*arguments, **options)),
    "convnet": lambda *arguments, **options: SupervisedClassifier(model_c(*arguments, **options)),
    "ladder": LadderClassifier,
    "tagger": TaggerClassifier,
}
