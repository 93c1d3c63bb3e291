"""The table of the ladder VAE through `fastladder reproduce`, in miniature, and `fastladder train`."""

from dataclasses import replace

import pytest
import torch

from fastladder.cli import main
from fastladder.experiments.experiment import Configuration
from fastladder.experiments.latent_images.experiment import make_task
from fastladder.experiments.latent_images.tables import MNIST
from fastladder.experiments.registry import TABLES, Place
from fastladder.experiments.tables import Scale
from fastladder.models import HierarchicalVAE, LadderVAE
from tests.experiments.command import Command, evaluate_and_load

TINY = replace(
    MNIST,
    name="tiny-ladder-vae",
    rows=(MNIST.row("ladder-2"),),
    scales={
        "small": Scale(
            "scikit-learn's digits",
            {
                "data": {"source": "bundled", "batch_size": 200},
                "model": {
                    "latents": [4, 2],
                    "hidden": [16, 8],
                    "learning_rate": 0.01,
                    "warm_up": 1,
                    "test_samples": 20,
                },
                "trainer": {"max_epochs": 10, "accelerator": "cpu"},
            },
        )
    },
)


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TABLES, "tiny-ladder-vae", Place(__name__, "TINY"))
        yield


def test_a_row_is_trained_and_evaluated(tmp_path):
    command = Command(tmp_path, "tiny-ladder-vae")
    assert command() == 0
    stored = command.result("ladder-2")
    assert stored["complete"]
    scores = stored["test"]
    assert -44.4 < scores["bound"] < scores["log_likelihood"] < 0  # 64 log 2 = 44.4 of a coin for every pixel
    assert scores["active"] == scores["active_z1"] + scores["active_z2"]
    again, network = evaluate_and_load(command.run("ladder-2").path)
    assert again == scores
    assert isinstance(network, LadderVAE)


def configuration(**model) -> Configuration:
    return {"seed": 0, "data": {}, "model": {"latents": [4, 2], "hidden": [16, 8], **model}}


@pytest.mark.parametrize("scale", MNIST.scales)
@pytest.mark.parametrize("row", MNIST.rows, ids=lambda row: row.name)
def test_every_row_can_be_built(scale, row):
    network = make_task(MNIST.configuration(row, scale, 0)).network
    assert isinstance(network, LadderVAE if row.name.startswith("ladder") else HierarchicalVAE)
    assert str(len(network.latents)) == row.name[-1]
    normed = any(isinstance(module, torch.nn.BatchNorm1d) for module in network.modules())
    assert normed != row.name.startswith("vae-") or row.name.startswith("vae-bn") == normed


def test_warm_up_rises_from_nothing(monkeypatch):
    task = make_task(configuration(warm_up=4))
    betas = []
    for epoch in range(6):
        monkeypatch.setattr(type(task), "current_epoch", epoch)
        betas.append(task.beta)
    assert betas == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert make_task(configuration()).beta == 1.0


@pytest.mark.parametrize("source", ["mnist", "omniglot", "norb"])
def test_a_folder_without_the_files_is_named(source, tmp_path, capsys):
    options = [f"--data.source={source}", f"--data-dir={tmp_path}", f"--run={tmp_path / 'run'}"]
    assert main(["train", "--experiment", "latent_images", *options]) == 2
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--model.warm_up=-1", "warm_up: got -1, needs 0 or more"),
        ("--model.test_samples=0", "test_samples: got 0, needs 1 or more"),
        ("--model.hidden=[8]", "hidden: got (8,) for latents (16, 8, 4), needs one size for each layer"),
        ("--data.batch_size=0", "batch_size: got 0"),
        ("--data-dir=somewhere", "--data-dir: has no effect with data.source 'bundled'"),
    ],
)
def test_bad_options(option, message, tmp_path, capsys):
    assert main(["train", "--experiment", "latent_images", "--run", str(tmp_path / "run"), option]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
