"""How each network of Table 2 of Tagger classifies, and what its training minimises."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastladder.experiments.classification.data import LabelledBatch
from fastladder.experiments.grouping.metrics import top2_error
from fastladder.experiments.textured_digits.baselines import CLASSES, mlp, model_c
from fastladder.models import LadderNetwork, Tagger
from fastladder.models.ladder import Conv, LadderRow


class Classifier(nn.Module):
    """A network that tells the digits of an image."""

    network: nn.Module

    def forward(self, image: Tensor) -> Tensor:
        """The log probabilities (N, 10) of images (N, H, W)."""
        raise NotImplementedError

    def costs(self, batch: LabelledBatch) -> dict[str, Tensor]:
        """What training minimises, "cost", which is differentiable, and its part "cross_entropy", in nats."""
        raise NotImplementedError

    def estimate_statistics(self, batches: Iterable[Tensor]) -> None:
        """What is to be done before the test with all training images (N, H, W), in batches: nothing."""


class SupervisedClassifier(Classifier):
    """A network that learns from labelled images only.

    Args:
        network: from images (N, H, W) to logits (N, 10).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image)
        return logits.log_softmax(1)

    def costs(self, batch: LabelledBatch) -> dict[str, Tensor]:
        cost = cross_entropy(self(batch.image), batch.label)
        return {"cost": cost, "cross_entropy": cost}


class LadderClassifier(Classifier):
    r"""A `fastladder.models.LadderNetwork` with its own costs.

    Args:
        data_shape: \*D, of an image.
        widths: of the levels above the input and below the classes: units of dense ones, or other rows of
            `fastladder.models.ladder`, the first of them a convolution.
        weights, noise: of the denoising, for each level from the input to the classes.
    """

    network: LadderNetwork

    def __init__(
        self,
        data_shape: Sequence[int],
        widths: Sequence[int | LadderRow],
        weights: Sequence[float],
        noise: Sequence[float],
    ) -> None:
        super().__init__()
        # A convolution sees an image with one channel, a dense level its pixels.
        self.input_shape = (1, *data_shape) if isinstance(widths[0], Conv) else (torch.Size(data_shape).numel(),)
        self.network = LadderNetwork(self.input_shape, [*widths, CLASSES])
        for name, values in (("weights", weights), ("noise", noise)):
            if len(values) != len(widths) + 2:
                raise ValueError(f"{name}: got {list(values)}, needs {len(widths) + 2} numbers, one for each level")
        self.weights, self.noise = list(weights), list(noise)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(self._input(image))
        return logits.log_softmax(1)

    def costs(self, batch: LabelledBatch) -> dict[str, Tensor]:
        # The network takes one label for each input: an image of two digits is shown with each of them.
        shown = self._input(batch.image.repeat_interleave(batch.label.shape[1], 0))
        costs = self.network.costs(shown, batch.label.flatten(), self._input(batch.denoised), self.weights, self.noise)
        return {"cost": costs.total, "cross_entropy": costs.classification}

    def estimate_statistics(self, batches: Iterable[Tensor]) -> None:
        """Sets the running averages to those over the training set, as Ladder networks are tested."""
        self.network.estimate_statistics(self._input(batch) for batch in batches)

    def _input(self, image: Tensor) -> Tensor:
        return image.view(len(image), *self.input_shape)


class TaggerClassifier(Classifier):
    r"""FC Tagger: learns to denoise and, from the answer of the last iteration, to classify.

    cost = Tagger's cost of the unlabelled images + classification_weight * cross entropy of the labelled ones

    Args:
        data_shape: \*D, of an image.
        widths: as for `fastladder.models.Tagger`, of the levels below the classes.
        classification_weight: of the cross entropy in the cost.
        test_iterations: T where images are classified as they are.
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
        told = cross_entropy(output.log_probabilities[-1], batch.label)
        return {"cost": denoising + self.classification_weight * told, "cross_entropy": told}


CLASSIFIERS: dict[str, Callable[..., Classifier]] = {
    "mlp": lambda *arguments, **options: SupervisedClassifier(mlp(*arguments, **options)),
    "convnet": lambda *arguments, **options: SupervisedClassifier(model_c(*arguments, **options)),
    "ladder": LadderClassifier,
    "tagger": TaggerClassifier,
}


def cross_entropy(log_probabilities: Tensor, label: Tensor) -> Tensor:
    """In nats, with a target of 1 for the only digit of an image, and 1/2 for each of two different ones.

    Args:
        log_probabilities: (N, C).
        label: (N, L), the L digits of each image; one that is there twice has a target of 1.

    Returns:
        (), the mean over images.
    """
    return -log_probabilities.gather(1, label).mean()


def classification_error(log_probabilities: Tensor, label: Tensor) -> Tensor:
    """In percent: how often the likeliest class is not that of the image, and with two digits the top 2 error.

    Args:
        log_probabilities: (N, C).
        label: (N, L), the L = 1 or 2 digits of each image.
    """
    if label.shape[1] == 2:
        return 100 * top2_error(log_probabilities, label)
    return 100 * (log_probabilities.argmax(1) != label[:, 0]).float().mean()
