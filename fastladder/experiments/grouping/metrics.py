"""What Tagger is scored by: how well pixels are grouped, and how well two digits are told."""

from typing import Literal

import torch
from torch import Tensor


def adjusted_mutual_information(
    mask: Tensor, groups: Tensor, average_method: Literal["max", "min", "geometric", "arithmetic"] = "max"
) -> Tensor:
    """How well the group with the largest mask agrees with the true one, over the scored pixels of each image.

    AMI(U, V) = (MI(U, V) - E[MI]) / (average of H(U) and H(V) - E[MI]), where E[MI] is that of random groupings of the
    same sizes (Vinh, Epps and Bailey, 2010): 1 for equal groupings however they are numbered, about 0 for unrelated
    ones. Tagger, section 3, averages it over images.

    Args:
        mask: (N, K, *D), the predicted share of each group in every pixel, or any increasing function of it.
        groups: (N, *D) uint8, the true group of every pixel, counted from 1; 0 where it is not scored.
        average_method: how the two entropies are averaged. "max" is what scikit-learn did up to version 0.21, and so
            what the paper was scored with; the later default, "arithmetic", gives higher scores.

    Returns:
        (N,) float64, on the CPU.

    Raises:
        ValueError: an argument of the wrong shape or kind, or an image without a scored pixel.
    """
    from sklearn.metrics import adjusted_mutual_info_score

    if mask.dim() < 3 or not mask.is_floating_point():
        raise ValueError(f"mask: got {mask.dtype} of shape {tuple(mask.shape)}, needs floating point (N, K, *D)")
    if mask.isnan().any():
        raise ValueError("mask: got NaN, needs numbers")
    count, _, *dimensions = mask.shape
    if groups.shape != (count, *dimensions) or groups.dtype != torch.uint8:
        needed = f"uint8 {(count, *dimensions)} by mask"
        raise ValueError(f"groups: got {groups.dtype} of shape {tuple(groups.shape)}, needs {needed}")
    truth = groups.flatten(1).cpu()
    blank = (truth == 0).all(1).nonzero()
    if len(blank):
        raise ValueError(f"groups: got only 0 in image {blank[0].item()}, needs a scored pixel in every image")
    predicted = mask.argmax(1).flatten(1).cpu()
    scores = [
        adjusted_mutual_info_score(true[true > 0].numpy(), found[true > 0].numpy(), average_method=average_method)
        for true, found in zip(truth, predicted, strict=True)
    ]
    return torch.tensor(scores, dtype=torch.float64)


def top2_error(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The error of telling two digits, averaged over images: Tagger, Table 2, where it is called top 2.

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
    told = (best[:, :, None] == labels[:, None]).sum((1, 2)) / 2
    told = torch.where(first == second, (best[:, 0] == first).to(told.dtype), told)
    return (1 - told).mean().to(probabilities.dtype)
