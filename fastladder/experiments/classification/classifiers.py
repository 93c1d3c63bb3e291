"""How a network classifies images, and what its training minimises."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from fastladder.data import GroupedBatch
from fastladder.experiments.classification.data import LabelledBatch
from fastladder.experiments.classification.metrics import classification_error, cross_entropy
from fastladder.models import LadderNetwork
from fastladder.models.ladder import Conv, LadderRow

CLASSES = 10  # of digits


class Classifier(nn.Module):
    """A network that classifies the digits of an image."""

    network: nn.Module

    def forward(self, image: Tensor) -> Tensor:
        """The log probabilities (N, 10) of images (N, H, W)."""
        raise NotImplementedError

    def costs(self, batch: LabelledBatch) -> dict[str, Tensor]:
        """What training minimises, "cost", which is differentiable, and its part "cross_entropy", in nats."""
        raise NotImplementedError

    def scores(self, batch: GroupedBatch) -> dict[str, Tensor]:
        """How well it does on images without noise: "cost", the cross entropy in nats, and "classification_error"."""
        assert batch.label is not None
        log_probabilities = self(batch.image)
        return {
            "cost": cross_entropy(log_probabilities, batch.label),
            "classification_error": classification_error(log_probabilities, batch.label),
        }

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
