import pytest
import torch

from fastladder.experiments.classification.metrics import top2_error


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        ([3, 1], 0.0),
        ([1, 3], 0.0),
        ([3, 0], 0.5),
        ([0, 1], 0.5),
        ([0, 2], 1.0),
        ([3, 3], 0.0),  # the most probable
        ([1, 1], 1.0),  # the second most probable does not do
        ([0, 0], 1.0),
    ],
)
def test_top2_error_of_one_image(labels, error):
    probabilities = torch.tensor([[0.1, 0.3, 0.05, 0.55]])
    assert top2_error(probabilities, torch.tensor([labels])).item() == error


def test_top2_error_is_the_mean_over_images():
    probabilities = torch.tensor([[0.1, 0.3, 0.05, 0.55]]).repeat(4, 1)
    error = top2_error(probabilities, torch.tensor([[3, 1], [3, 0], [0, 2], [1, 1]]))
    assert error.shape == ()
    assert error.item() == (0 + 0.5 + 1 + 1) / 4


def test_chance_level_of_top2_error():
    """80 % of different digits, 90 % of equal ones: of two digits drawn independently, 81 %."""
    count = 100_000
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(count, 10, generator=generator)
    labels = torch.randint(10, (count, 2), generator=generator)
    equal = labels[:, 0] == labels[:, 1]
    for chosen, chance in ((~equal, 0.8), (equal, 0.9), (torch.ones_like(equal), 0.81)):
        # An error lies in [0, 1], so that its standard deviation is at most that of a coin with the same mean.
        bound = 5 * (chance * (1 - chance) / chosen.sum().item()) ** 0.5
        assert top2_error(probabilities[chosen], labels[chosen]).item() == pytest.approx(chance, abs=bound)


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (torch.rand(10), torch.zeros(1, 2).long(), r"probabilities: got torch.float32 of shape \(10,\), needs"),
        (torch.ones(3, 10).long(), torch.zeros(3, 2).long(), "probabilities: got torch.int64"),
        (torch.rand(0, 10), torch.zeros(0, 2).long(), r"probabilities: got shape \(0, 10\), needs 1 image"),
        (torch.rand(3, 1), torch.zeros(3, 2).long(), r"probabilities: got shape \(3, 1\), needs 1 image and 2 classes"),
        (torch.full((3, 10), torch.nan), torch.zeros(3, 2).long(), "probabilities: got NaN"),
        (torch.rand(3, 10), torch.zeros(3).long(), r"labels: got torch.int64 of shape \(3,\), needs int64 \(3, 2\)"),
        (torch.rand(3, 10), torch.zeros(3, 2), "labels: got torch.float32"),
        (torch.rand(3, 10), torch.full((3, 2), 10), r"labels: got values in \[10, 10\], needs 0 to 9"),
        (torch.rand(3, 10), torch.full((3, 2), -1), r"labels: got values in \[-1, -1\], needs 0 to 9"),
    ],
)
def test_wrong_predictions_are_refused(probabilities, labels, message):
    with pytest.raises(ValueError, match=message):
        top2_error(probabilities, labels)
