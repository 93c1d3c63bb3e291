"""How well pixels are grouped."""

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
