import math
from itertools import permutations

import pytest
import torch

from fastladder.experiments.grouping.metrics import adjusted_mutual_information


def masks_of(groups, number=None):
    """(N, K, *D): masks that give every pixel to its group, counted from 1."""
    groups = groups.long()
    return torch.nn.functional.one_hot(groups - 1, number or int(groups.max())).movedim(-1, 1).float()


def scored(*rows):
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


def test_perfect_groupings_score_one_however_numbered():
    groups = scored([1, 1, 2, 2, 3, 3])
    for numbering in ([1, 2, 3], [3, 1, 2], [4, 2, 1]):
        mask = masks_of(torch.tensor(numbering)[groups.long() - 1], 4)
        assert adjusted_mutual_information(mask, groups).tolist() == pytest.approx([1.0])


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
    got = adjusted_mutual_information(masks_of(torch.tensor([found])), scored(true), average_method=method)
    assert got.tolist() == pytest.approx([expected], abs=1e-9)


def test_the_default_is_the_old_one():
    true, found = scored([1, 1, 1, 2, 2, 3, 3]), masks_of(torch.tensor([[2, 2, 1, 1, 1, 1, 3]]))
    scores = {name: adjusted_mutual_information(found, true, name).item() for name in ("max", "arithmetic")}
    assert adjusted_mutual_information(found, true).item() == scores["max"]
    assert scores["max"] < scores["arithmetic"] - 0.01


def test_pixels_that_are_not_scored_do_not_count():
    generator = torch.Generator().manual_seed(0)
    groups = torch.randint(4, (5, 4, 6), generator=generator).byte()
    mask = torch.rand(5, 3, 4, 6, generator=generator)
    changed = torch.where((groups == 0)[:, None], torch.rand(5, 3, 4, 6, generator=generator), mask)
    assert not torch.equal(mask.argmax(1), changed.argmax(1))
    scores = adjusted_mutual_information(mask, groups)
    assert scores.shape == (5,)
    assert scores.dtype == torch.float64
    assert torch.equal(adjusted_mutual_information(changed, groups), scores)
    for n in range(5):
        keep = groups[n] > 0
        alone = adjusted_mutual_information(mask[n][:, keep][None], groups[n][keep][None])
        assert scores[n].item() == pytest.approx(alone.item())


def test_any_number_of_dimensions():
    generator = torch.Generator().manual_seed(0)
    groups = 1 + torch.randint(3, (2, 24), generator=generator).byte()
    mask = torch.rand(2, 4, 24, generator=generator)
    scores = adjusted_mutual_information(mask, groups)
    for shape in ((4, 6), (2, 3, 4)):
        assert torch.equal(adjusted_mutual_information(mask.unflatten(2, shape), groups.unflatten(1, shape)), scores)


def test_chance_scores_zero():
    generator = torch.Generator().manual_seed(0)
    groups = 1 + torch.randint(3, (400, 60), generator=generator).byte()
    scores = adjusted_mutual_information(torch.rand(400, 4, 60, generator=generator), groups)
    assert abs(scores.mean()) < 5 * scores.std() / 400**0.5


def test_everything_in_one_group_scores_zero():
    mask = torch.zeros(1, 4, 6)
    mask[:, 2] = 1
    assert adjusted_mutual_information(mask, scored([1, 1, 2, 2, 3, 3])).tolist() == pytest.approx([0.0])


@pytest.mark.parametrize(
    ("mask", "groups", "message"),
    [
        (torch.rand(2, 6), scored([1] * 6, [1] * 6), r"mask: got torch.float32 of shape \(2, 6\), needs"),
        (torch.ones(2, 3, 6).long(), scored([1] * 6, [1] * 6), "mask: got torch.int64"),
        (torch.full((2, 3, 6), torch.nan), scored([1] * 6, [1] * 6), "mask: got NaN"),
        (torch.rand(2, 3, 6), scored([1] * 6), r"groups: got torch.uint8 of shape \(1, 6\), needs uint8 \(2, 6\)"),
        (torch.rand(2, 3, 6), torch.ones(2, 6).long(), "groups: got torch.int64"),
        (torch.rand(2, 3, 6), scored([1] * 6, [0] * 6), "groups: got only 0 in image 1, needs a scored pixel in every"),
    ],
)
def test_wrong_groupings_are_refused(mask, groups, message):
    with pytest.raises(ValueError, match=message):
        adjusted_mutual_information(mask, groups)


def test_an_unknown_average_is_refused():
    with pytest.raises(ValueError, match="average_method"):
        adjusted_mutual_information(torch.rand(1, 2, 3), scored([1, 2, 1]), "median")
