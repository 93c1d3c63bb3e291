"""The table of Ladder networks through `fastladder reproduce`, in miniature."""

from dataclasses import replace

import pytest

from fastladder.experiments.errors import RunError
from fastladder.experiments.few_labels.data import digits
from fastladder.experiments.few_labels.experiment import FEW_LABELS, NETWORKS
from fastladder.experiments.few_labels.tables import LADDER_MNIST
from fastladder.experiments.registry import TABLES, Place, find_table
from fastladder.models import LADDER_CONV_SMALL_DENOISING, LADDER_MLP_DENOISING, LadderNetwork
from tests.experiments.command import Command, evaluate_and_load

SMALL = LADDER_MNIST.scales["small"]
TINY = replace(
    LADDER_MNIST,
    name="tiny-ladder",
    scales={
        "small": replace(
            SMALL,
            shared={**SMALL.shared, "trainer": {"max_epochs": 3, "accelerator": "cpu"}},
        )
    },
)


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TABLES, "tiny-ladder", Place(__name__, "TINY"))
        yield


def test_every_row_trains_and_learns(tmp_path):
    assert Command(tmp_path, "tiny-ladder")() == 0
    for row in TINY.rows:
        stored = Command(tmp_path, "tiny-ladder").result(row.name)
        assert stored["steps"] == 36
        assert stored["test"]["classification_error"] < 80  # of a random guess it is 90
        scores, network = evaluate_and_load(tmp_path / "runs" / "tiny-ladder" / "small" / f"{row.name}-0")
        assert scores == stored["test"]
        assert isinstance(network, LadderNetwork)


@pytest.mark.parametrize("scale", ["paper", "small"])
def test_every_network_of_the_table_can_be_built(scale):
    shape = {"paper": (28, 28), "small": (8, 8)}[scale]
    for row in LADDER_MNIST.rows:
        model = find_table("ladder-mnist").configuration(row, scale, 0)["model"]
        levels = NETWORKS[model["network"]]
        flat = isinstance(levels[0], int) or "mlp" in model["network"]
        network = LadderNetwork(shape[0] * shape[1] if flat else (1, *shape), [*levels, 10])
        assert len(model["weights"]) == len(model["noise"]) == len(network.shapes)


@pytest.mark.parametrize(
    ("row", "denoising"),
    [
        ("mlp-100", LADDER_MLP_DENOISING[100]),
        ("mlp-1000", LADDER_MLP_DENOISING[1000]),
        ("conv-100", LADDER_CONV_SMALL_DENOISING[100]),
    ],
)
def test_the_paper_scale_denoises_as_the_recipes_do(row, denoising):
    model = LADDER_MNIST.configuration(LADDER_MNIST.row(row), "paper", 0)["model"]
    assert (tuple(model["weights"]), tuple(model["noise"])) == denoising


def test_digits_are_shown_as_they_are():
    data = digits("bundled", (10, 5, 5), batch_size=5)
    assert data.splits.train.images.shape == (10, 8, 8)
    assert data.splits.train.labels.shape == (10, 1)
    assert not data.splits.train.groups.any()
    with pytest.raises(ValueError, match=r"sizes: got 400 for test, needs 1 to 359 of scikit-learn digits"):
        digits("bundled", (10, 5, 400), batch_size=5)


def test_an_unknown_network_is_refused():
    with pytest.raises(RunError, match="network: got 'cnn', needs one of mlp, conv, small-mlp, small-conv"):
        FEW_LABELS.build({"seed": 0, **SMALL.shared, "model": {"network": "cnn"}})
