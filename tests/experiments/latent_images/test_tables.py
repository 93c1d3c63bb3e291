"""The tables of the ladder VAE through `fastladder reproduce`, in miniature, and what their rows are trained with."""

from dataclasses import replace

import pytest
import torch

from fastladder.experiments.experiment import Configuration
from fastladder.experiments.latent_images.experiment import make_task
from fastladder.experiments.latent_images.tables import FINE_TUNING, MNIST, NORB, OMNIGLOT, STATIC
from fastladder.experiments.registry import TABLES, Place
from fastladder.experiments.tables import Scale
from fastladder.models import HierarchicalVAE, LadderVAE
from tests.data.grey_files import write_norb
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


BY_LAYERS = [(table, row) for table in (MNIST, OMNIGLOT, NORB, STATIC) for row in table.rows]


@pytest.mark.parametrize(("table", "row"), BY_LAYERS, ids=lambda each: each.name)
@pytest.mark.parametrize("scale", ["paper", "medium", "small"])
def test_every_row_can_be_built(scale, table, row):
    with torch.device("meta"):  # no memory for the networks of the paper
        network = make_task(table.configuration(row, scale, 0)).network
    assert isinstance(network, LadderVAE if row.name.startswith("ladder") else HierarchicalVAE)
    assert str(len(network.latents)) == row.name[-1]
    normed = any(isinstance(module, torch.nn.BatchNorm1d) for module in network.modules())
    assert normed != row.name.startswith("vae-") or row.name.startswith("vae-bn") == normed


@pytest.mark.parametrize(("table", "row"), BY_LAYERS, ids=lambda each: each.name)
def test_what_a_row_is_trained_with(table, row):
    for scale in table.scales:
        configuration = table.configuration(row, scale, 0)
        model, data, epochs = configuration["model"], configuration["data"], configuration["trainer"]["max_epochs"]
        assert (0 < model.get("warm_up", 0) <= epochs / 4) == row.name.startswith(("vae-bn-wu", "ladder"))
        grey = table is NORB
        assert (data.get("binary") == "no") == (model.get("likelihood") == "gaussian") == grey
        assert (model.get("nonlinearity"), model.get("learning_rate")) == (("tanh", 0.002) if grey else (None, None))


@pytest.mark.parametrize("table", [MNIST, FINE_TUNING, STATIC, OMNIGLOT, NORB], ids=lambda table: table.name)
def test_a_caption_says_how_pixels_become_binary(table):
    said = {"anew": "drawn anew", "once": "drawn once", "no": "not binarised"}
    for name, scale in table.scales.items():
        (how,) = {table.configuration(row, name, 0)["data"].get("binary", "anew") for row in table.rows}
        assert said[how] in scale.caption


def test_norb_is_learnt_from_as_it_is(tmp_path, monkeypatch):
    """Four images to learn from: their densities are those of pixels between 0 and 1, and they rise."""
    shared = NORB.scales["small"].shared
    changes = {
        "data": {"batch_size": 4},
        "model": {"latents": [3, 2], "hidden": [8, 8], "test_samples": 10},
        "trainer": {"max_epochs": 30, "accelerator": "cpu"},
    }
    tiny = {"small": Scale("", {name: {**shared[name], **changes[name]} for name in shared})}
    monkeypatch.setitem(globals(), "TOYS", replace(NORB, name="tiny-norb", scales=tiny))
    monkeypatch.setitem(TABLES, "tiny-norb", Place(__name__, "TOYS"))
    write_norb(tmp_path / "data")
    command = Command(tmp_path, "tiny-norb")
    assert command("--row=ladder-2", f"--data-dir={tmp_path / 'data'}") == 0
    costs = [epoch["train/cost"] for epoch in command.run("ladder-2").history()]
    assert costs[-1] < 0.95 * costs[0] < 2048  # 2 nats a pixel; of pixels from 0 to 255 they would be thousands
    stored = command.result("ladder-2")
    assert "bicubic" in stored["caveat"]
    assert stored["test"]["bound"] < stored["test"]["log_likelihood"]


def test_what_is_drawn_once_is_evaluated_by_many_samples_and_by_100(tmp_path, monkeypatch):
    shared = {
        "data": {"source": "bundled", "batch_size": 200, "binary": "once"},
        "model": {"latents": [4, 2], "hidden": [16, 8], "learning_rate": 0.01, "test_samples": 300},
        "trainer": {"max_epochs": 4, "accelerator": "cpu"},
    }
    monkeypatch.setitem(
        globals(), "DRAWN_ONCE", replace(STATIC, name="tiny-static", scales={"small": Scale("", shared)})
    )
    monkeypatch.setitem(TABLES, "tiny-static", Place(__name__, "DRAWN_ONCE"))
    command = Command(tmp_path, "tiny-static")
    assert command("--row=ladder-3") == 0
    scores = command.result("ladder-3")["test"]
    assert scores["bound"] < scores["log_likelihood_100"] < scores["log_likelihood"]
    again, _ = evaluate_and_load(command.run("ladder-3").path)
    assert scores == again | {"log_likelihood_100": scores["log_likelihood_100"]}


def test_warm_up_rises_from_nothing(monkeypatch):
    task = make_task(configuration(warm_up=4))
    betas = []
    for epoch in range(6):
        monkeypatch.setattr(type(task), "current_epoch", epoch)
        betas.append(task.beta)
    assert betas == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert make_task(configuration()).beta == 1.0
