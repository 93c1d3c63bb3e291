"""How well the frames of sequences are grouped and predicted."""

import torch
from torch import Tensor
from torch.nn import functional

from fastladder.data import GroupedSequence
from fastladder.experiments.grouping.metrics import adjusted_mutual_information, scored
from fastladder.models import GeneratedFrames, RTaggerOutput

LABELS = {
    "ami": "AMI",
    "ami_last": "  of the last frame",
    "cost": "cost (nats a pixel)",
    "next_frame_error": "next-frame error (mean square)",
    "predict_zero": "  of predicting an empty frame",
    "copy_last": "  of copying the last frame",
    "free_running_error": "error of the frames after the last (mean square)",
    "free_running_copy": "  of copying the last frame",
}


def prediction_scores(output: RTaggerOutput, batch: GroupedSequence) -> dict[str, Tensor]:
    """The scores of what is predicted of frames 2 to T, each from those before it.

    Args:
        output: what a network made of the batch.
        batch: N sequences of T frames.

    Returns:
        "cost" in nats. "ami", the adjusted mutual information of the groups in a frame, averaged over frames, and
        "ami_last" in frame T. "next_frame_error", the mean square over all pixels, beside that of "predict_zero" and
        "copy_last", which predict an empty frame and the frame before.
    """
    means, masks = (torch.stack(each[:-1], 1).float() for each in (output.means, output.masks))
    before, target = batch.frames[:, :-1], batch.frames[:, 1:]
    amis = agreement(masks, batch.groups[:, 1:])
    return {
        "cost": output.cost,
        "ami": amis.nanmean(),
        "ami_last": amis[:, -1].nanmean(),
        "next_frame_error": functional.mse_loss((masks * means).sum(2), target),
        "predict_zero": target.square().mean(),
        "copy_last": functional.mse_loss(before, target),
    }


def free_running_scores(generated: GeneratedFrames, last: Tensor, following: Tensor) -> dict[str, Tensor]:
    """The scores of frames that a network goes on with by itself.

    Args:
        generated: F frames.
        last: (N, H, W), the last frame that it has seen.
        following: (N, F, H, W), what came then.

    Returns:
        "free_running_error", the mean square over all frames and pixels, and "free_running_copy", that of copying the
        last frame.
    """
    return {
        "free_running_error": functional.mse_loss(generated.frames.float(), following),
        "free_running_copy": functional.mse_loss(last[:, None].expand_as(following), following),
    }


def agreement(masks: Tensor, groups: Tensor) -> Tensor:
    """The adjusted mutual information of the groups in each frame, (N, T); NaN where no pixel is scored.

    Args:
        masks: (N, T, K, H, W).
        groups: (N, T, H, W) uint8, counted from 1; 0 where a pixel is not scored.
    """
    wanted = scored(groups.flatten(0, 1)).view(groups.shape[:2])
    scores = torch.full(wanted.shape, torch.nan, dtype=torch.float64)
    scores[wanted.cpu()] = adjusted_mutual_information(masks[wanted], groups[wanted])
    return scores
