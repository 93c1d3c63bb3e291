"""How well pixels are grouped: each pixel's group with the largest mask, scored against the true one.

Scores take masks (N, K, *D) and true groups (N, *D) and return one number for each of N images, which may as well be
the frames of sequences, see `per_frame`, or sequences whose pixels are pooled, see `per_video`. An image without scored
pixels has no score and is refused; `mean_score` leaves such images out.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor


def adjusted_mutual_information(
    mask: Tensor,
    groups: Tensor,
    average_method: Literal["max", "min", "geometric", "arithmetic"] = "max",
    *,
    background: int | None = None,
) -> Tensor:
    """AMI: the mutual information of the two groupings, adjusted for chance.

    AMI(U, V) = (MI(U, V) - E[MI]) / (average of H(U) and H(V) - E[MI]), where E[MI] is that of random groupings of the
    same sizes (Vinh, Epps and Bailey, 2010): 1 for equal groupings however they are numbered, about 0 for unrelated
    ones. Tagger, section 3, averages it over images.

    Args:
        mask: (N, K, *D), the predicted share of each group in every pixel, or any increasing function of it.
        groups: (N, *D) uint8, the true group of every pixel, counted from 1; 0 where it is not scored.
        average_method: how the two entropies are averaged. "max" is what scikit-learn did up to version 0.21, and so
            what the paper was scored with; the later default, "arithmetic", gives higher scores.
        background: a true group whose pixels are not scored either. None: there is no such group.

    Returns:
        (N,) float64, on the CPU.

    Raises:
        ValueError: an argument of the wrong shape or kind, or an image without a scored pixel.
    """
    from sklearn.metrics import adjusted_mutual_info_score

    found, true = _labels(mask, groups, background)
    return _of_each(lambda a, b: adjusted_mutual_info_score(a, b, average_method=average_method), found, true)


def adjusted_rand_index(mask: Tensor, groups: Tensor, *, background: int | None = None) -> Tensor:
    """ARI: the share of pairs of pixels that both groupings join or both part, adjusted for chance.

    ARI(U, V) = (RI(U, V) - E[RI]) / (1 - E[RI]) (Hubert and Arabie, 1985): 1 for equal groupings however they are
    numbered, about 0 for unrelated ones. With a background it is what is often called foreground ARI.

    Args, returns and errors as for `adjusted_mutual_information`.
    """
    from sklearn.metrics import adjusted_rand_score

    return _of_each(adjusted_rand_score, *_labels(mask, groups, background))


def mean_best_overlap(mask: Tensor, groups: Tensor, *, background: int | None = None) -> Tensor:
    """mBO: the intersection over union of each true group with the predicted group where it is the largest, on average.

    Other than the adjusted scores it also tells how much of the background a predicted group takes in: the pixels of
    the background count in unions, and only its own overlap is left out of the average.

    Args, returns and errors as for `adjusted_mutual_information`.
    """
    found, true = _labels(mask, groups, background, keep=True)
    count, rows, columns = len(true), int(true.max()) + 1, mask.shape[1]
    cell = (torch.arange(count)[:, None] * rows + true) * columns + found
    shared = cell.flatten().bincount(minlength=count * rows * columns).view(count, rows, columns)[:, 1:].double()
    sizes = shared.sum(2, keepdim=True)
    union = sizes + shared.sum(1, keepdim=True) - shared
    best = (shared / union.clamp_min(1)).amax(2)
    wanted = sizes[..., 0] > 0
    if background is not None and background < rows:
        wanted[:, background - 1] = False
    return (best * wanted).sum(1) / wanted.sum(1)


def scored(groups: Tensor, background: int | None = None) -> Tensor:
    """(N,) bool, of groups (N, *D): the images of which any pixel is scored, the background's aside."""
    return _kept(groups, background).flatten(1).any(1)


def mean_score(
    score: Callable[..., Tensor], mask: Tensor, groups: Tensor, *, background: int | None = None, **options: Any
) -> Tensor:
    """The mean of a score of this file over the images of which any pixel is scored.

    Args:
        score: which.
        mask, groups, background, options: as for that score.

    Returns:
        () float64, on the CPU.

    Raises:
        ValueError: there is no such image, or the score refuses an argument.
    """
    wanted = scored(groups, background)
    if not wanted.any():
        raise ValueError(f"groups: got no scored pixel in {len(groups)} images, needs one image with some")
    return score(mask[wanted], groups[wanted], background=background, **options).mean()


def per_frame(masks: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Masks (N, T, K, *D) and groups (N, T, *D) of sequences, for scores of each frame: (N * T, ...) both."""
    _check_sequences(masks, groups)
    return masks.flatten(0, 1), groups.flatten(0, 1)


def per_video(masks: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Masks (N, T, K, *D) and groups (N, T, *D) of sequences, for scores of each over the pixels of all its frames.

    A digit is then to be of the same predicted group from the first frame to the last.
    """
    _check_sequences(masks, groups)
    return masks.movedim(1, 2), groups


def _labels(mask: Tensor, groups: Tensor, background: int | None, keep: bool = False) -> tuple[Tensor, Tensor]:
    """The predicted and the true group of every pixel, (N, P) int64 both, the true one 0 where it is not scored.

    With `keep` that of the background is kept.
    """
    if mask.dim() < 3 or not mask.is_floating_point():
        raise ValueError(f"mask: got {mask.dtype} of shape {tuple(mask.shape)}, needs floating point (N, K, *D)")
    if mask.isnan().any():
        raise ValueError("mask: got NaN, needs numbers")
    count, _, *dimensions = mask.shape
    if groups.shape != (count, *dimensions) or groups.dtype != torch.uint8:
        needed = f"uint8 {(count, *dimensions)} by mask"
        raise ValueError(f"groups: got {groups.dtype} of shape {tuple(groups.shape)}, needs {needed}")
    blank = (~scored(groups, background)).nonzero()
    if len(blank):
        held = "only 0" if background is None else f"only 0 and the background {background}"
        raise ValueError(f"groups: got {held} in image {blank[0].item()}, needs a scored pixel in every image")
    true = groups if keep else groups * _kept(groups, background)
    return mask.argmax(1).flatten(1).cpu(), true.flatten(1).cpu().long()


def _kept(groups: Tensor, background: int | None) -> Tensor:
    """(N, *D) bool: the pixels that are scored."""
    if background is None:
        return groups > 0
    if not 1 <= background <= 255:
        raise ValueError(f"background: got {background}, needs the number of a group, 1 to 255")
    return (groups > 0) & (groups != background)


def _of_each(score: Callable[[Any, Any], float], found: Tensor, true: Tensor) -> Tensor:
    """The score of each image over its scored pixels."""
    pairs = zip(found, true, strict=True)
    return torch.tensor([score(b[b > 0].numpy(), a[b > 0].numpy()) for a, b in pairs], dtype=torch.float64)


def _check_sequences(masks: Tensor, groups: Tensor) -> None:
    if masks.dim() < 4 or groups.shape != (*masks.shape[:2], *masks.shape[3:]):
        shapes = f"masks of shape {tuple(masks.shape)} and groups of shape {tuple(groups.shape)}"
        raise ValueError(f"groups: got {shapes}, needs (N, T, K, *D) and (N, T, *D)")
