"""How well the digits of an image are classified."""

import torch
from torch import Tensor

LABELS = {"classification_error": "classification error (%)", "cross_entropy": "cross entropy (nats)"}


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


def top2_error(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The error in two digits, averaged over images: Tagger, Table 2, where it is called top 2.

    Of an image with two different digits it is 1 - |T intersected with Y| / 2 with the two most probable classes T and
    the two digits Y: 0, 1/2 or 1. Of one with the same digit twice it is 0 if this is the most probable class, else 1.

    Guessing at random errs in 80 % of different digits among ten and in 90 % of equal ones.

    Args:
        probabilities: (N, C) with C of 2 or more, the probability of each class or any increasing function of it.
        labels: (N, 2) int64, 0 to C - 1, in any order.

    Returns:
        (), from 0 to 1, in the probabilities' dtype.

    Raises:
        ValueError: an argument of the wrong shape, kind or range.
    """
    if probabilities.dim() != 2 or not probabilities.is_floating_point():
        got = f"{probabilities.dtype} of shape {tuple(probabilities.shape)}"
        raise ValueError(f"probabilities: got {got}, needs floating point (N, C)")
    count, classes = probabilities.shape
    if count < 1 or classes < 2:
        raise ValueError(f"probabilities: got shape {(count, classes)}, needs 1 image and 2 classes or more")
    if probabilities.isnan().any():
        raise ValueError("probabilities: got NaN, needs numbers")
    if labels.shape != (count, 2) or labels.dtype != torch.int64:
        raise ValueError(f"labels: got {labels.dtype} of shape {tuple(labels.shape)}, needs int64 {(count, 2)}")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels: got values in [{labels.min()}, {labels.max()}], needs 0 to {classes - 1}")
    best = probabilities.topk(2).indices
    first, second = labels.unbind(1)
    correct = (best[:, :, None] == labels[:, None]).sum((1, 2)) / 2
    correct = torch.where(first == second, (best[:, 0] == first).to(correct.dtype), correct)
    return (1 - correct).mean().to(probabilities.dtype)
