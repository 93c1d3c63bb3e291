import math
from itertools import permutations

import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from fastladder.experiments.grouping.metrics import (
    adjusted_mutual_information,
    adjusted_rand_index,
    mean_best_overlap,
    mean_score,
    per_frame,
    per_video,
    scored,
)

SCORES = pytest.mark.parametrize("score", [adjusted_mutual_information, adjusted_rand_index, mean_best_overlap])


def masks_of(groups, number=None):
    """(N, K, *D): masks that give every pixel to its group, counted from 1."""
    groups = groups.long()
    return torch.nn.functional.one_hot(groups - 1, number or int(groups.max())).movedim(-1, 1).float()


def truth(*rows):
    return torch.tensor(rows, dtype=torch.uint8)


def expected_mutual_information(true, found):
    """The mean over all orders of the found labels, of few pixels, and the entropies: from the definitions."""

    def entropy(labels):
        return -sum(labels.count(a) / len(labels) * math.log(labels.count(a) / len(labels)) for a in set(labels))

    def information(a, b):
        return entropy(a) + entropy(b) - entropy(list(zip(a, b, strict=True)))

    orders = list(permutations(found))
    mean = sum(information(true, list(order)) for order in orders) / len(orders)
    return information(true, found), mean, entropy(true), entropy(found)


def random_case(count=5, true=3, found=4, seed=0):
    """Masks and groups of 4 x 6 pixels, of which some are not scored."""
    generator = torch.Generator().manual_seed(seed)
    groups = torch.randint(true + 1, (count, 4, 6), generator=generator).byte()
    return torch.rand(count, found, 4, 6, generator=generator), groups


def pixels_of(mask, groups, left_out=(0,)):
    """Of each image the predicted and true groups of its scored pixels, as lists."""
    for found, true in zip(mask.argmax(1).flatten(1).tolist(), groups.flatten(1).tolist(), strict=True):
        kept = [(f, t) for f, t in zip(found, true, strict=True) if t not in left_out]
        yield [f for f, _ in kept], [t for _, t in kept]


def overlap(found, true, background=None):
    """The mean best overlap of one image, from the definition."""
    best = []
    for t in set(true) - {background}:
        ious = []
        for f in set(found):
            both = sum(a == f and b == t for a, b in zip(found, true, strict=True))
            either = sum(a == f or b == t for a, b in zip(found, true, strict=True))
            ious.append(both / either)
        best.append(max(ious))
    return sum(best) / len(best)


@SCORES
def test_perfect_groupings_score_one_however_numbered(score):
    groups = truth([1, 1, 2, 2, 3, 3])
    for numbering in ([1, 2, 3], [3, 1, 2], [4, 2, 1]):
        mask = masks_of(torch.tensor(numbering)[groups.long() - 1], 4)
        assert score(mask, groups).tolist() == pytest.approx([1.0])
        assert score(mask, groups, background=1).tolist() == pytest.approx([1.0])


@pytest.mark.parametrize("method", ["max", "arithmetic"])
def test_mutual_information_against_scikit_learn(method):
    mask, groups = random_case()
    expected = [adjusted_mutual_info_score(t, f, average_method=method) for f, t in pixels_of(mask, groups)]
    assert adjusted_mutual_information(mask, groups, method).tolist() == pytest.approx(expected)
    expected = [adjusted_mutual_info_score(t, f, average_method=method) for f, t in pixels_of(mask, groups, (0, 2))]
    assert adjusted_mutual_information(mask, groups, method, background=2).tolist() == pytest.approx(expected)


def test_the_rand_index_against_scikit_learn():
    mask, groups = random_case()
    expected = [adjusted_rand_score(t, f) for f, t in pixels_of(mask, groups)]
    assert adjusted_rand_index(mask, groups).tolist() == pytest.approx(expected)
    foreground = [adjusted_rand_score(t, f) for f, t in pixels_of(mask, groups, (0, 2))]
    assert foreground != pytest.approx(expected)
    assert adjusted_rand_index(mask, groups, background=2).tolist() == pytest.approx(foreground)


@pytest.mark.parametrize("background", [None, 1, 3, 200])
def test_the_mean_best_overlap_against_loops(background):
    mask, groups = random_case(20)
    groups[3][groups[3] == 2] = 1  # an image without one of the groups
    expected = [overlap(f, t, background) for f, t in pixels_of(mask, groups)]
    assert mean_best_overlap(mask, groups, background=background).tolist() == pytest.approx(expected)


def test_the_overlap_tells_how_much_of_the_background_is_taken_in():
    groups = truth([1, 1, 1, 1, 2, 2])
    exact, greedy = masks_of(groups), masks_of(truth([1, 1, 2, 2, 2, 2]))
    assert mean_best_overlap(exact, groups, background=1).item() == 1
    assert mean_best_overlap(greedy, groups, background=1).item() == 0.5
    assert adjusted_rand_index(greedy, groups, background=1).item() == 1


@pytest.mark.parametrize(
    ("true", "found", "expected"),
    [
        ([1, 1, 1, 1], [2, 2, 2, 2], (1, 1, 1)),
        ([1, 1, 1, 1], [1, 1, 1, 2], (0, 0, 0.75)),
        ([1, 1, 1, 2], [1, 1, 1, 1], (0, 0, (0.75 + 0.25) / 2)),
        ([1, 2, 3, 4], [4, 2, 1, 3], (1, 1, 1)),
        ([1], [3], (1, 1, 1)),
    ],
    ids=["one and the same", "one, found as two", "two, found as one", "all apart", "one pixel"],
)
def test_degenerate_groupings(true, found, expected):
    mask, groups = masks_of(torch.tensor([found]), 4), truth(true)
    for score, value in zip(
        (adjusted_mutual_information, adjusted_rand_index, mean_best_overlap), expected, strict=True
    ):
        assert score(mask, groups).tolist() == pytest.approx([value])
    assert adjusted_mutual_info_score(true, found, average_method="max") == pytest.approx(expected[0])
    assert adjusted_rand_score(true, found) == pytest.approx(expected[1])


@pytest.mark.parametrize(
    ("method", "average"),
    [
        ("max", max),
        ("min", min),
        ("arithmetic", lambda a, b: (a + b) / 2),
        ("geometric", lambda a, b: (a * b) ** 0.5),
    ],
)
def test_the_definition(method, average):
    true, found = [1, 1, 1, 2, 2, 3, 3], [2, 2, 1, 1, 1, 1, 3]
    information, mean, *entropies = expected_mutual_information(true, found)
    expected = (information - mean) / (average(*entropies) - mean)
    got = adjusted_mutual_information(masks_of(torch.tensor([found])), truth(true), average_method=method)
    assert got.tolist() == pytest.approx([expected], abs=1e-9)


def test_the_default_is_the_old_one():
    true, found = truth([1, 1, 1, 2, 2, 3, 3]), masks_of(torch.tensor([[2, 2, 1, 1, 1, 1, 3]]))
    scores = {name: adjusted_mutual_information(found, true, name).item() for name in ("max", "arithmetic")}
    assert adjusted_mutual_information(found, true).item() == scores["max"]
    assert scores["max"] < scores["arithmetic"] - 0.01


@SCORES
@pytest.mark.parametrize("background", [None, 2])
def test_pixels_that_are_not_scored_do_not_count(score, background):
    mask, groups = random_case(count=5, found=3)
    changed = torch.where((groups == 0)[:, None], mask.flip(1), mask)
    assert not torch.equal(mask.argmax(1), changed.argmax(1))
    scores = score(mask, groups, background=background)
    assert scores.shape == (5,)
    assert scores.dtype == torch.float64
    assert torch.equal(score(changed, groups, background=background), scores)
    for n in range(5):
        keep = groups[n] > 0
        alone = score(mask[n][:, keep][None], groups[n][keep][None], background=background)
        assert scores[n].item() == pytest.approx(alone.item())


@SCORES
def test_any_number_of_dimensions(score):
    generator = torch.Generator().manual_seed(0)
    groups = 1 + torch.randint(3, (2, 24), generator=generator).byte()
    mask = torch.rand(2, 4, 24, generator=generator)
    scores = score(mask, groups)
    for shape in ((4, 6), (2, 3, 4)):
        assert torch.equal(score(mask.unflatten(2, shape), groups.unflatten(1, shape)), scores)


@pytest.mark.parametrize("score", [adjusted_mutual_information, adjusted_rand_index])
def test_chance_scores_zero(score):
    generator = torch.Generator().manual_seed(0)
    groups = 1 + torch.randint(3, (400, 60), generator=generator).byte()
    scores = score(torch.rand(400, 4, 60, generator=generator), groups)
    assert abs(scores.mean()) < 5 * scores.std() / 400**0.5


def test_which_images_are_scored():
    groups = truth([0, 0, 0], [0, 1, 1], [1, 1, 1], [0, 2, 1])
    assert scored(groups).tolist() == [False, True, True, True]
    assert scored(groups, background=1).tolist() == [False, False, False, True]
    assert scored(groups.view(4, 1, 3)).tolist() == [False, True, True, True]


@SCORES
def test_a_mean_leaves_out_images_without_scored_pixels(score):
    mask, groups = random_case()
    groups[[1, 3]] = 0
    assert mean_score(score, mask, groups).item() == score(mask[[0, 2, 4]], groups[[0, 2, 4]]).mean().item()
    groups[[1, 3]] = 2
    expected = score(mask[[0, 2, 4]], groups[[0, 2, 4]], background=2).mean().item()
    assert mean_score(score, mask, groups, background=2).item() == expected
    with pytest.raises(ValueError, match="groups: got no scored pixel in 5 images, needs one image with some"):
        mean_score(score, mask, 0 * groups)
    with pytest.raises(ValueError, match="groups: got no scored pixel in 2 images"):
        mean_score(score, mask[[1, 3]], groups[[1, 3]], background=2)


def test_a_mean_takes_the_options_of_its_score():
    mask, groups = random_case()
    for method in ("max", "arithmetic"):
        expected = adjusted_mutual_information(mask, groups, method).mean()
        assert mean_score(adjusted_mutual_information, mask, groups, average_method=method) == expected


def test_frames_and_videos():
    """Of two frames the groups are found, in the second of them under each other's number."""
    groups = truth([1, 1, 2, 2], [1, 2, 2, 2], [2, 2, 1, 1], [1, 1, 1, 2]).view(2, 2, 2, 2)  # (N, T, H, W)
    found = groups.clone()
    found[0, 1] = 3 - found[0, 1]
    masks = torch.stack([masks_of(frames) for frames in found.unbind(1)], 1)
    assert masks.shape == (2, 2, 2, 2, 2)
    frames, videos = per_frame(masks, groups), per_video(masks, groups)
    assert [part.shape for part in frames] == [(4, 2, 2, 2), (4, 2, 2)]
    assert adjusted_rand_index(*frames).tolist() == [1, 1, 1, 1]
    scores = adjusted_rand_index(*videos).tolist()
    pooled = adjusted_rand_score(groups[0].flatten(), found[0].flatten())
    assert scores == pytest.approx([pooled, 1])
    assert pooled < 0.5


@pytest.mark.parametrize("flatten", [per_frame, per_video])
def test_wrong_sequences_are_refused(flatten):
    message = r"groups: got masks of shape \(2, 3, 4, 5, 5\) and groups of shape \(3, 2, 5, 5\), needs \(N, T, K, \*D\)"
    with pytest.raises(ValueError, match=message):
        flatten(torch.rand(2, 3, 4, 5, 5), torch.ones(3, 2, 5, 5).byte())
    with pytest.raises(ValueError, match="groups: got masks of shape"):
        flatten(torch.rand(2, 3, 4), torch.ones(2, 3).byte())


def test_everything_in_one_group_scores_zero():
    mask = torch.zeros(1, 4, 6)
    mask[:, 2] = 1
    assert adjusted_mutual_information(mask, truth([1, 1, 2, 2, 3, 3])).tolist() == pytest.approx([0.0])


@pytest.mark.parametrize(
    ("mask", "groups", "message"),
    [
        (torch.rand(2, 6), truth([1] * 6, [1] * 6), r"mask: got torch.float32 of shape \(2, 6\), needs"),
        (torch.ones(2, 3, 6).long(), truth([1] * 6, [1] * 6), "mask: got torch.int64"),
        (torch.full((2, 3, 6), torch.nan), truth([1] * 6, [1] * 6), "mask: got NaN"),
        (torch.rand(2, 3, 6), truth([1] * 6), r"groups: got torch.uint8 of shape \(1, 6\), needs uint8 \(2, 6\)"),
        (torch.rand(2, 3, 6), torch.ones(2, 6).long(), "groups: got torch.int64"),
        (torch.rand(2, 3, 6), truth([1] * 6, [0] * 6), "groups: got only 0 in image 1, needs a scored pixel in every"),
    ],
)
@SCORES
def test_wrong_groupings_are_refused(score, mask, groups, message):
    with pytest.raises(ValueError, match=message):
        score(mask, groups)


@SCORES
def test_a_wrong_background_is_refused(score):
    mask, groups = random_case()
    for background in (0, -1, 256):
        with pytest.raises(ValueError, match=f"background: got {background}, needs the number of a group, 1 to 255"):
            score(mask, groups, background=background)
    groups[2] = 3 * (groups[2] == 3)
    with pytest.raises(ValueError, match="groups: got only 0 and the background 3 in image 2, needs a scored pixel"):
        score(mask, groups, background=3)


def test_an_unknown_average_is_refused():
    with pytest.raises(ValueError, match="average_method"):
        adjusted_mutual_information(torch.rand(1, 2, 3), truth([1, 2, 1]), "median")
