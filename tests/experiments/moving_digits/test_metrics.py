"""The scores of predicted and of generated frames."""

import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score

from fastladder.data import GroupedSequence
from fastladder.experiments.moving_digits.metrics import agreement, free_running_scores, prediction_scores
from fastladder.models import GeneratedFrames, RTaggerOutput

N, T, K, SIZE = 3, 4, 3, 6


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch():
    frames = torch.rand(N, T, SIZE, SIZE, generator=generator(1))
    groups = torch.randint(0, 3, (N, T, SIZE, SIZE), generator=generator(2), dtype=torch.uint8)
    return GroupedSequence(frames, groups, torch.zeros(N, 2, dtype=torch.int64))


def output(masks, means):
    return RTaggerOutput(masks=masks, means=means, costs=torch.rand(T - 1, N), log_probabilities=(), state=None)


def random_masks():
    return tuple(torch.randn(T, N, K, SIZE, SIZE, generator=generator(3)).softmax(2))


def one_hot(groups):
    """(N, K, H, W) masks of groups (N, H, W)."""
    return torch.nn.functional.one_hot(groups.long(), K).movedim(-1, 1).float()


def test_the_agreement_is_that_of_scikit_learn_frame_by_frame():
    masks, groups = torch.stack(random_masks(), 1), batch().groups
    groups[1, 2] = 0
    found = agreement(masks, groups)
    for n in range(N):
        for t in range(T):
            scored = groups[n, t] > 0
            if (n, t) == (1, 2):
                assert found[n, t].isnan()
                continue
            true, ours = groups[n, t][scored], masks[n, t].argmax(0)[scored]
            expected = adjusted_mutual_info_score(true, ours, average_method="max")
            assert found[n, t].item() == pytest.approx(expected)


def test_what_is_scored_is_the_prediction_of_the_next_frame():
    """A network that knows what comes: its mask and mean after frame t are those of frame t + 1."""
    sequences = batch()
    following = [*sequences.groups.unbind(1)[1:], torch.zeros(N, SIZE, SIZE, dtype=torch.uint8)]
    frames = [*sequences.frames.unbind(1)[1:], torch.full((N, SIZE, SIZE), torch.nan)]
    masks = tuple(one_hot(groups) for groups in following)
    means = tuple(frame[:, None].expand(-1, K, -1, -1) for frame in frames)
    scores = prediction_scores(output(masks, means), sequences)
    assert scores["ami"] == pytest.approx(1)
    assert scores["ami_last"] == pytest.approx(1)
    assert scores["next_frame_error"] == pytest.approx(0)


def test_errors_stand_beside_those_of_knowing_nothing():
    sequences = batch()
    masks, means = random_masks(), tuple(torch.rand(T, N, K, SIZE, SIZE, generator=generator(4)))
    given = output(masks, means)
    scores = prediction_scores(given, sequences)
    frames = sequences.frames
    predicted = sum(masks[1][:, k] * means[1][:, k] for k in range(K))
    errors = [
        (sum(m[:, k] * z[:, k] for k in range(K)) - frames[:, t + 1]) ** 2
        for t, (m, z) in enumerate(zip(masks[:-1], means[:-1], strict=True))
    ]
    torch.testing.assert_close(errors[1], (predicted - frames[:, 2]) ** 2)
    torch.testing.assert_close(scores["next_frame_error"], torch.stack(errors).mean())
    torch.testing.assert_close(scores["copy_last"], (frames[:, 1:] - frames[:, :-1]).square().mean())
    torch.testing.assert_close(scores["predict_zero"], frames[:, 1:].square().mean())
    assert scores["cost"] == given.costs.mean()


def test_a_frame_without_scored_pixels_does_not_count():
    sequences = batch()
    scores = prediction_scores(output(random_masks(), random_masks()), sequences)
    sequences.groups[0, 3] = 0
    fewer = prediction_scores(output(random_masks(), random_masks()), sequences)
    expected = agreement(torch.stack(random_masks()[:-1], 1), batch().groups[:, 1:])
    assert scores["ami_last"] == pytest.approx(expected[:, -1].mean().item())
    assert fewer["ami_last"] == pytest.approx(expected[1:, -1].mean().item())


def test_frames_that_a_network_goes_on_with():
    following = torch.rand(N, 2, SIZE, SIZE, generator=generator(5))
    last = torch.rand(N, SIZE, SIZE, generator=generator(6))
    frames = following + 0.1
    scores = free_running_scores(GeneratedFrames(frames, None, None), last, following)
    assert scores["free_running_error"] == pytest.approx(0.01)
    expected = (following - last[:, None]).square().mean()
    torch.testing.assert_close(scores["free_running_copy"], expected)
