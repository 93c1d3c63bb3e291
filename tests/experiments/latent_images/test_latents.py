"""Fig. 6 and 7, and images: what is drawn of trained networks, and the commands."""

import json
from argparse import Namespace

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from fastladder.cli import main
from fastladder.experiments.callbacks import RECORD
from fastladder.experiments.latent_images.figures import Components, plot_components, plot_images, plot_layers
from fastladder.experiments.latent_images.latents import (
    Trained,
    components,
    divergence_from_normal,
    inked,
    layers_asked,
    some_of,
    trained,
)
from fastladder.experiments.latent_images.records import read_runs
from fastladder.experiments.training import evaluate
from fastladder.models import LadderVAE, LatentLayer
from fastladder.models.ladder_vae.gaussians import Gaussian

NO_FILES = Namespace(data_dir=None, download=False)


def test_the_network_is_that_of_a_test(runs):
    """Its statistics are those of all training images, not those of the last steps of the training."""
    (run,) = read_runs([str(runs / "ladder")]).values()
    network, images, labels = trained(run, NO_FILES)
    assert not network.training
    assert images.shape == (359, 8, 8)
    assert labels.shape == (359,)
    task, data = run.build()
    last = {name: value.clone() for name, value in task.network.state_dict().items()}
    evaluate(task, data, {**run.configuration["trainer"], "limit_test_batches": 1})
    tested, ours = task.network.state_dict(), network.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in tested.items())
    assert not all(torch.equal(value, ours[name]) for name, value in last.items())


def test_the_divergence_from_a_standard_normal_distribution_is_of_the_whole_layer():
    draws = torch.Generator().manual_seed(0)
    mean, var, z = (torch.rand(5, 3, generator=draws) + 0.5 for _ in range(3))
    layer = LatentLayer(z, Gaussian(mean, var), Gaussian(z, z), z.sum(1))
    expected = kl_divergence(Normal(mean, var.sqrt()), Normal(0.0, 1.0)).sum(1).mean()
    assert divergence_from_normal(layer) == pytest.approx(expected.item(), rel=1e-5)


def test_components_are_those_of_the_largest_variance():
    """A layer whose first unit says which class it is, and whose others say next to nothing."""
    labels = torch.arange(40) % 2

    class Network:
        def encode(self, images, generator):
            z = 0.1 * torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
            z[:, 0] += 10 * labels
            return [LatentLayer(z, None, None, None), LatentLayer(z[:, :1], None, None, None)]

    found = components(Trained(Network(), torch.zeros(40, 8, 8), labels))
    assert [places.shape for places in found.layers] == [(2, 40), (1, 40)]
    first = found.layers[0][0]
    assert first.abs().min() > 4
    assert ((first > 0) == (first[1] > 0)).equal(labels == 1)
    assert found.explained[0] > 0.99
    assert found.explained[1] == pytest.approx(1)


def test_some_of_many_images_are_from_all_over():
    assert some_of(torch.zeros(101, 8, 8), 3).tolist() == [0, 50, 100]
    assert some_of(torch.zeros(4, 8, 8), 2000).tolist() == [0, 1, 2, 3]


def test_a_layer_of_one_unit_is_drawn_by_class(drawn):
    labels = torch.tensor([0, 1, 2, 1])
    one, two = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    plot_components("", {"a": Components([two, one], [1.0, 1.0], labels), "b": Components([two], [1.0], labels)})
    figure = drawn[0]
    offsets = [axis.collections[0].get_offsets().tolist() for axis in figure.axes[:3]]
    assert offsets[0] == two.T.tolist() == offsets[2]
    assert offsets[1] == [[1, 0], [2, 1], [3, 2], [4, 1]]
    assert not figure.axes[3].axison
    colours = [axis.collections[0].to_rgba(axis.collections[0].get_array()) for axis in figure.axes[:2]]
    assert (colours[0] == colours[1]).all()
    assert len({tuple(colour) for colour in colours[0]}) == 3


def test_many_classes_have_as_many_colours(drawn):
    labels = torch.arange(50)
    places = torch.rand(2, 50, generator=torch.Generator().manual_seed(0))
    plot_components("", {"a": Components([places], [1.0], labels)})
    (points,) = drawn[0].axes[0].collections
    assert len({tuple(colour) for colour in points.to_rgba(points.get_array())}) == 50


def test_layers_stand_beside_each_other(drawn):
    images = torch.zeros(4, 8, 8)
    images[2] = 1
    plot_layers("", {"a": [5.0, 1.0], "b": [4.0, 2.0, 0.5]}, {1: images, 3: images}, "b")
    bars, *grids = drawn[0].axes
    assert [bar.get_height() for bar in bars.patches] == [5, 1, 4, 2, 0.5]
    assert [axis.get_title(loc="left") for axis in grids] == ["b) drawn at $z_1$", "drawn at $z_3$"]
    picture = grids[0].images[0].get_array()
    assert (picture[10:18, 1:9] == 0).all()  # the third, in the second row, is black
    assert (picture[1:9, 10:18] == 1).all()


def test_images_are_drawn_as_squares(drawn):
    plot_images("", {"one": torch.zeros(9, 8, 8), "other": torch.ones(11, 8, 8)})
    assert [axis.get_title() for axis in drawn[0].axes] == ["one", "other"]
    assert [axis.images[0].get_array().shape for axis in drawn[0].axes] == [(28, 28, 3)] * 2


def test_photographs_are_bright_where_they_are_one():
    images = torch.tensor([0.0, 0.25, 1.0])
    ink, grey = (LadderVAE(3, (2,), (4,), likelihood=likelihood) for likelihood in ("bernoulli", "gaussian"))
    assert inked(images, ink).tolist() == [0, 0.25, 1]
    assert inked(images, grey).tolist() == [1, 0.75, 0]


def test_layers_that_are_asked_for():
    assert layers_asked(None, 3) == [1, 2, 3]
    assert layers_asked([3, 1, 3], 3) == [1, 3]


def test_the_figure_of_layers(runs, tmp_path):
    output = tmp_path / "figure.png"
    both = [f"--run={runs / 'vae'}", f"--run={runs / 'ladder'}"]
    assert main(["figure", "ladder-vae-figure6", *both, "--layers=[2]", f"--output={output}"]) == 0
    assert output.read_bytes().startswith(b"\x89PNG")
    stored = json.loads(output.with_suffix(".json").read_text())
    assert [len(nats) for nats in stored["divergence_from_normal"].values()] == [3, 2]
    assert stored["configurations"].keys() == stored["divergence_from_normal"].keys()


def test_the_figure_of_components(runs, tmp_path):
    output = tmp_path / "figure.png"
    both = [f"--run={runs / 'vae'}", f"--run={runs / 'ladder'}"]
    assert main(["figure", "ladder-vae-figure7", *both, f"--output={output}"]) == 0
    assert output.read_bytes().startswith(b"\x89PNG")
    stored = json.loads(output.with_suffix(".json").read_text())
    assert stored["explained_variance"]["VAE"][1] == pytest.approx(1)


def test_images_of_a_run(runs, tmp_path, drawn):
    output = tmp_path / "images.png"
    assert main(["figure", "ladder-vae-images", f"--run={runs / 'ladder'}", f"--output={output}"]) == 0
    test, reconstructed, samples = (axis.images[0].get_array() for axis in drawn[0].axes)
    assert test.shape == reconstructed.shape == samples.shape == (64, 64, 3)
    assert not (reconstructed == samples).all()


def test_what_cannot_be_drawn_is_refused(runs, tmp_path, capsys):
    checkpoint = torch.load(runs / "ladder" / "last.ckpt", weights_only=True)
    checkpoint[RECORD]["experiment"] = "music"
    torch.save(checkpoint, tmp_path / "music.ckpt")
    output = tmp_path / "figure.png"
    vae, music = (f"--run={path}" for path in (runs / "vae", tmp_path / "music.ckpt"))
    for name, options, words in (
        ("figure6", [vae, "--layers=[1,4]"], "layers: got 4, needs 1 to 3"),
        ("figure6", [vae, "--layers=[0]"], "layers: got 0, needs 1 to 3"),
        (
            "figure7",
            [vae, music],
            "is of the experiment music, needs one of latent_images",
        ),
        ("images", [f"--run={runs / 'absent'}"], "absent: no such run or checkpoint"),
        ("images", [vae, f"--data-dir={tmp_path}"], "--data-dir: has no effect with data.source 'bundled'"),
    ):
        assert main(["figure", f"ladder-vae-{name}", *options, f"--output={output}"]) == 2
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1
    assert not output.exists()
