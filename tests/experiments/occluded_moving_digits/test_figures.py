import numpy as np
import pytest
import torch
from matplotlib import image

from fastladder.data import SMALL, Digits, OccludedMovingDigits
from fastladder.experiments.occluded_moving_digits import figures
from fastladder.models import RLadder, rladder_small_digits

HISTORY = [
    {
        "epoch": epoch,
        "train/classification_error": 90.0 / epoch,
        "valid/classification_error": 95.0 / epoch,
        "train/next_frame_error": 0.02 / epoch,
        "valid/next_frame_error": 0.03 / epoch,
        "valid/predict_zero": 0.02,
        "valid/copy_last": 0.025,
    }
    for epoch in (1, 2, 3)
]


@pytest.fixture(scope="module")
def dataset():
    generator = torch.Generator().manual_seed(0)
    digits = Digits(torch.rand(12, 8, 8, generator=generator), torch.arange(12) % 10, "noise")
    return OccludedMovingDigits(digits, SMALL)


def ink(path):
    """How many pixels of a picture are not white."""
    return int((image.imread(path)[..., :3].min(-1) < 0.99).sum())


@pytest.mark.parametrize("classify", [True, False])
@pytest.mark.parametrize("count", [1, 4])
def test_predictions(count, classify, dataset, tmp_path):
    network = RLadder(rladder_small_digits(2, 2, 2), (1, 20, 20), steps=5, classify=classify).train()
    statistics = [buffer.clone() for buffer in network.buffers()]
    figures.plot_predictions(network, dataset, tmp_path / "predictions.png", count)
    assert ink(tmp_path / "predictions.png") > 1000 * count
    assert network.training
    assert all(torch.equal(x, y) for x, y in zip(statistics, network.buffers(), strict=True))


def test_a_prediction_stands_below_the_frame_it_predicts(dataset, monkeypatch):
    """A network that knows the future draws, in the row of predictions, what is drawn in the row of observations."""
    drawn = []
    monkeypatch.setattr(figures.Axes, "imshow", lambda axis, canvas, **options: drawn.append(canvas))
    sequence = dataset[0]
    future = torch.cat([sequence.observed[1:], torch.full_like(sequence.observed[:1], 0.5)])
    figures._draw_sequence(figures.Figure().subplots(), sequence, [future, future], ~SMALL.visible().numpy())
    rows = np.split(drawn[0][1:], [21, 42, 63])
    truth, observed, predicted, probe = (row[:20, 1:].reshape(20, -1, 3) for row in rows)
    np.testing.assert_array_equal(observed[:, 21:], predicted[:, 21:])
    assert (predicted[:, :20] == figures.MISSING).all()
    visible = SMALL.visible().numpy()
    np.testing.assert_array_equal(probe[:, 21:41][visible], predicted[:, 21:41][visible])
    assert (probe[:, 21:41][~visible] > predicted[:, 21:41][~visible]).any()  # no bar is drawn over the probe
    np.testing.assert_allclose(truth[:, :20, 0], 1 - sequence.clean[0, 0].numpy(), rtol=1e-6)


@pytest.mark.parametrize("absent", ["", "classification_error", "next_frame_error"])
def test_learning_curves(absent, tmp_path):
    history = [{k: v for k, v in epoch.items() if not absent or absent not in k} for epoch in HISTORY]
    figures.plot_learning_curves(history, tmp_path / "curves.png")
    assert ink(tmp_path / "curves.png") > 1000
