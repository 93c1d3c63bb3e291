"""The classifiers of Table 2 of Tagger and of Table 4 of Recurrent Ladder Networks."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from fastladder.data import GroupedBatch
from fastladder.experiments.classification.classifiers import (
    CLASSES,
    Classifier,
    LadderClassifier,
    SupervisedClassifier,
)
from fastladder.experiments.classification.data import LabelledBatch
from fastladder.experiments.classification.metrics import classification_error, cross_entropy
from fastladder.experiments.grouping.metrics import adjusted_mutual_information, mean_score
from fastladder.experiments.textured_digits.baselines import all_convolutional, mlp, model_c
from fastladder.models import RTagger, RTaggerOutput, Tagger, TaggerOutput, rtagger_small_textures, rtagger_textures


class GroupingClassifier(Classifier):
    """A network that groups what it sees, and classifies by what its groups are after the last iteration.

    Args:
        network: which has classes.
        classification_weight: of the cross entropy in the cost.
        test_iterations: T where images without noise are classified.
    """

    network: Tagger | RTagger

    def __init__(self, network: Tagger | RTagger, classification_weight: float, test_iterations: int) -> None:
        super().__init__()
        if not 0 <= classification_weight < float("inf"):
            raise ValueError(f"classification_weight: got {classification_weight}, needs 0 or more")
        self.network, self.classification_weight, self.test_iterations = network, classification_weight, test_iterations

    def forward(self, image: Tensor) -> Tensor:
        return self.run(image).log_probabilities[-1]

    def run(self, image: Tensor) -> TaggerOutput | RTaggerOutput:
        """What the network makes of images (N, H, W) without noise."""
        output: TaggerOutput | RTaggerOutput = self.network(image, corrupt=False, iterations=self.test_iterations)
        return output


class TaggerClassifier(GroupingClassifier):
    r"""FC Tagger: learns to denoise and, from the output of the last iteration, to classify.

    cost = Tagger's cost of the unlabelled images + classification_weight * cross entropy of the labelled ones

    Args:
        data_shape: \*D, of an image.
        widths: as for `fastladder.models.Tagger`, of the levels below the classes.
        classification_weight, test_iterations: as for `GroupingClassifier`.
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
        # The data sets have been checked.
        network = Tagger(data_shape, widths, classes=CLASSES, **options, validate=False)
        super().__init__(network, classification_weight, test_iterations)

    def costs(self, batch: LabelledBatch) -> dict[str, Tensor]:
        output = self.network(batch.image)
        denoising = output.cost if batch.unlabelled is None else self.network(batch.unlabelled).cost
        classification = cross_entropy(output.log_probabilities[-1], batch.label)
        return {"cost": denoising + self.classification_weight * classification, "cross_entropy": classification}


class JointClassifier(GroupingClassifier):
    """A Tagger or an RTagger that learns to group and to classify from the start, scored after every iteration.

    cost = the network's cost of all images + classification_weight * cross entropy of the labelled ones

    Labelled and unlabelled images go through the network together, as one batch with one statistic.
    """

    def costs(self, batch: LabelledBatch) -> dict[str, Tensor]:
        images = batch.image if batch.unlabelled is None else torch.cat([batch.image, batch.unlabelled])
        output = self.network(images)
        classification = cross_entropy(output.log_probabilities[-1][: len(batch.image)], batch.label)
        return {"cost": output.cost + self.classification_weight * classification, "cross_entropy": classification}

    def scores(self, batch: GroupedBatch) -> dict[str, Tensor]:
        """As of `Classifier`, with "classification_error_t" and the groups' "ami_t" after every iteration t."""
        assert batch.label is not None
        output = self.run(batch.image)
        scores = {"cost": cross_entropy(output.log_probabilities[-1], batch.label)}
        for t, (log_probabilities, mask) in enumerate(zip(output.log_probabilities, output.masks, strict=True), 1):
            scores["classification_error"] = classification_error(log_probabilities, batch.label)
            scores[f"classification_error_{t}"] = scores["classification_error"]
            scores[f"ami_{t}"] = mean_score(adjusted_mutual_information, mask, batch.groups)
        return scores


def joint(make: Callable[..., Tagger | RTagger]) -> Callable[..., JointClassifier]:
    """From what makes a network to what makes its classifier, with the options of both."""

    def make_classifier(
        data_shape: Sequence[int], *, classification_weight: float, test_iterations: int, **options: Any
    ) -> JointClassifier:
        network = make(data_shape, classes=CLASSES, validate=False, **options)
        return JointClassifier(network, classification_weight, test_iterations)

    return make_classifier


def rtagger(data_shape: Sequence[int], **options: Any) -> RTagger:
    """The RTagger of the paper, for images of 96 x 96."""
    return RTagger(rtagger_textures(), data_shape, **options)


def small_rtagger(data_shape: Sequence[int], low: int = 24, high: int = 48, units: int = 48, **options: Any) -> RTagger:
    """The RTagger of `fastladder.models.rtagger_small_textures`, for images of 40 x 40."""
    return RTagger(rtagger_small_textures(low, high, units), data_shape, **options)


CLASSIFIERS: dict[str, Callable[..., Classifier]] = {
    "mlp": lambda *arguments, **options: SupervisedClassifier(mlp(*arguments, **options)),
    "convnet": lambda *arguments, **options: SupervisedClassifier(model_c(*arguments, **options)),
    "all-convolutional": lambda *arguments, **options: SupervisedClassifier(all_convolutional(*arguments, **options)),
    "ladder": LadderClassifier,
    "tagger": TaggerClassifier,
    "joint-tagger": joint(Tagger),
    "rtagger": joint(rtagger),
    "small-rtagger": joint(small_rtagger),
}
