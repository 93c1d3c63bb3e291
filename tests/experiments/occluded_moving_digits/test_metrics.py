"""The costs and scores of occluded moving digits."""

import pytest
import torch

from fastladder.data import UNLABELLED, MovingDigitSequence
from fastladder.experiments.occluded_moving_digits import costs_and_scores


def test_scores_against_loops():
    generator = torch.Generator().manual_seed(0)
    observed = torch.rand(3, 4, 1, 2, 2, generator=generator)
    prediction = torch.rand(3, 4, 1, 2, 2, generator=generator)
    logits = torch.randn(3, 4, 10, generator=generator)
    label = logits[:, -1].argmax(1)
    label[0] = (label[0] + 1) % 10
    batch = MovingDigitSequence(observed, torch.full_like(observed, torch.nan), label, torch.zeros(3, 4, 2))
    scores = costs_and_scores(logits, prediction, batch, 0.5)

    squares = {"next_frame_error": 0.0, "predict_zero": 0.0, "copy_last": 0.0}
    for n in range(3):
        for t in range(1, 4):
            target = observed[n, t]
            guesses = (prediction[n, t - 1], torch.zeros_like(target), observed[n, t - 1])
            for name, guess in zip(squares, guesses, strict=True):
                squares[name] += ((guess - target) ** 2).sum().item()
    entropy = -sum(logits[n, -1].log_softmax(0)[label[n]].item() for n in range(3)) / 3
    for name, value in squares.items():
        assert scores[name].item() == pytest.approx(value / (3 * 3 * 4), rel=1e-5), name
    assert scores["cross_entropy"].item() == pytest.approx(entropy, rel=1e-5)
    assert scores["classification_error"].item() == pytest.approx(100 / 3)
    # The mean over sequences and frames of the sum over pixels.
    assert scores["cost"].item() == pytest.approx(entropy + 0.5 * squares["next_frame_error"] / (3 * 3), rel=1e-5)


@pytest.mark.parametrize(("task", "absent"), [("logits", "classification_error"), ("prediction", "next_frame_error")])
def test_a_task_that_is_off_costs_nothing(task, absent):
    given = {"logits": torch.zeros(2, 3, 10), "prediction": torch.ones(2, 3, 1, 4, 4), task: None}
    batch = MovingDigitSequence(torch.zeros(2, 3, 1, 4, 4), torch.zeros(()), torch.tensor([1, 2]), torch.zeros(()))
    scores = costs_and_scores(**given, batch=batch, prediction_weight=1.0)
    assert absent not in scores
    kept = scores["cross_entropy"] if task == "prediction" else 16 * scores["next_frame_error"]
    assert scores["cost"] == kept


@pytest.fixture
def batch():
    """Five sequences, the first and the fourth of them labelled."""
    observed = torch.rand(5, 3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([3, UNLABELLED, UNLABELLED, 7, UNLABELLED])
    return MovingDigitSequence(observed, observed, label, torch.zeros(5, 3, 2))


@pytest.fixture
def outputs():
    generator = torch.Generator().manual_seed(1)
    logits, prediction = torch.randn(5, 3, 10, generator=generator), torch.rand(5, 3, 1, 2, 2, generator=generator)
    return logits.requires_grad_(), prediction.requires_grad_()


def test_sequences_without_a_label_count_for_the_prediction_only(batch, outputs):
    logits, prediction = outputs
    scores = costs_and_scores(logits, prediction, batch, 0.5)
    with_label = [0, 3]
    entropy = -sum(logits[n, -1].log_softmax(0)[batch.label[n]] for n in with_label) / 2
    torch.testing.assert_close(scores["cross_entropy"], entropy)
    everything = costs_and_scores(None, prediction, batch, 0.5)
    assert scores["next_frame_error"] == everything["next_frame_error"]
    torch.testing.assert_close(scores["cost"], entropy + everything["cost"])

    scores["cost"].backward()
    assert [n for n in range(5) if logits.grad[n].any()] == with_label
    assert all(prediction.grad[n, :-1].all() for n in range(5))


def test_the_error_is_of_sequences_with_a_label(batch, outputs):
    logits = torch.zeros_like(outputs[0])
    logits[0, -1, 3] = 1
    for digit, percent in ((7, 0.0), (6, 50.0)):
        logits[3, -1] = torch.eye(10)[digit]
        assert costs_and_scores(logits, None, batch, 1.0)["classification_error"] == percent
