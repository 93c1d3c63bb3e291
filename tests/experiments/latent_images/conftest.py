import pytest
import torch

from fastladder.cli import main

# A training of some steps: of a ladder VAE without more options, with `VAE` of a hierarchical one.
TRAIN = [
    "train",
    "--experiment=latent_images",
    "--data.batch_size=200",
    "--model.latents=[4, 2]",
    "--model.hidden=[16, 8]",
    "--trainer.max_epochs=3",
    "--trainer.accelerator=cpu",
    "--trainer.limit_train_batches=2",
]
VAE = [
    "--model.network=hierarchical",
    "--model.norm=none",
    "--model.warm_up=0",
    "--model.latents=[3, 1, 2]",
    "--model.hidden=[8, 8, 8]",
]


def train(folder, *options):
    """Trains, and returns the last checkpoint."""
    assert main([*TRAIN, f"--run={folder}", *options]) == 0
    return torch.load(folder / "last.ckpt", weights_only=True)


@pytest.fixture(scope="package")
def runs(tmp_path_factory):
    """A folder with two runs: "ladder" of two layers, and "vae" of three, of which the second has one unit."""
    folder = tmp_path_factory.mktemp("runs")
    train(folder / "ladder", "--model.warm_up=2")
    train(folder / "vae", *VAE)
    return folder


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn, in place of files."""
    figures = []
    place = "fastladder.experiments.latent_images.figures.write_figure"
    monkeypatch.setattr(place, lambda path, figure, **options: figures.append(figure))
    return figures
