"""What a network is trained and evaluated by on occluded moving digits."""

from torch import Tensor
from torch.nn import functional

from fastladder.data import UNLABELLED, MovingDigitSequence

LABELS = {
    "classification_error": "classification error (%)",
    "cross_entropy": "cross entropy (nats)",
    "next_frame_error": "next-frame error (mean square)",
    "predict_zero": "  of predicting an empty frame",
    "copy_last": "  of copying the last frame",
}


def costs_and_scores(
    logits: Tensor | None, prediction: Tensor | None, batch: MovingDigitSequence, prediction_weight: float
) -> dict[str, Tensor]:
    """The cost and the scores of a batch of N sequences of T frames.

    Args:
        logits: (N, T, classes), or None where the network does not classify.
        prediction: (N, T, 1, H, W), at t of frame t + 1; the last has no target. None where it does not predict.
        batch: the sequences. Those without a label count for the prediction only; with logits, one at least has one.
        prediction_weight: of the prediction in the cost.

    Returns:
        "cost", which is differentiable. With logits, after the last frame, "cross_entropy" in nats and
        "classification_error" in percent. With a prediction "next_frame_error", the mean square over all pixels of
        frames 2 to T, beside that of "predict_zero" and "copy_last", which predict an empty frame and the frame before.
    """
    scores = {}
    cost = batch.observed.new_zeros(())
    if logits is not None:
        scores["cross_entropy"] = functional.cross_entropy(logits[:, -1], batch.label, ignore_index=UNLABELLED)
        wrong = logits[:, -1].argmax(1) != batch.label
        scores["classification_error"] = 100 * wrong[batch.label != UNLABELLED].float().mean()
        cost = cost + scores["cross_entropy"]
    if prediction is not None:
        before, target = batch.observed[:, :-1], batch.observed[:, 1:]
        scores["next_frame_error"] = functional.mse_loss(prediction[:, :-1], target)
        scores["predict_zero"] = target.square().mean()
        scores["copy_last"] = functional.mse_loss(before, target)
        pixels = target[0, 0].numel()
        cost = cost + prediction_weight * pixels * scores["next_frame_error"]
    return {"cost": cost, **scores}
