"""Fig. 3 to 5: what results and runs have recorded, what is drawn of it, and the commands."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fastladder.cli import main
from fastladder.experiments.callbacks import RECORD
from fastladder.experiments.latent_images.figures import (
    BLUES,
    Bounds,
    Likelihoods,
    Units,
    plot_bounds,
    plot_likelihoods,
    plot_units,
)
from fastladder.experiments.latent_images.metrics import UNITS
from fastladder.experiments.latent_images.records import bounds, label_of, likelihoods, read_runs, units
from fastladder.experiments.latent_images.tables import FINE_TUNING, MNIST, SYSTEMS
from tests.experiments.test_report import store


@pytest.fixture
def from_before(runs, tmp_path):
    """A run whose version recorded neither the bound of the training nor the units."""
    checkpoint = torch.load(runs / "ladder" / "last.ckpt", weights_only=True)
    del checkpoint[UNITS]
    for epoch in checkpoint[RECORD]["history"]:
        del epoch["train/bound"]
    path = tmp_path / "from-before.ckpt"
    torch.save(checkpoint, path)
    return path


@pytest.mark.parametrize("row", MNIST.rows, ids=lambda row: row.name)
def test_a_run_is_called_as_the_table_calls_its_system(row):
    for scale in MNIST.scales:
        assert label_of(MNIST.configuration(row, scale, 0)) == SYSTEMS[row.name.rpartition("-")[0]][0]


@pytest.mark.parametrize("row", FINE_TUNING.rows, ids=lambda row: row.name)
def test_a_run_that_is_fine_tuned_is_called_as_the_one_before(row):
    system = "ladder" if row.name.startswith("ladder") else "vae-bn-wu"
    for scale in FINE_TUNING.scales:
        assert label_of(FINE_TUNING.configuration(row, scale, 0)) == SYSTEMS[system][0]


def test_runs_with_one_label_are_told_apart_by_their_paths(runs):
    vae, ladder = str(runs / "vae"), str(runs / "ladder")
    assert list(read_runs([vae, ladder])) == ["VAE", "Ladder VAE, batch norm, warm-up"]
    last = f"{vae}/last.ckpt"
    assert list(read_runs([vae, ladder, last]))[::2] == [f"VAE ({vae})", f"VAE ({last})"]


def results_of(row, *values, complete=True):
    configuration = MNIST.configuration(MNIST.row(row), "small", 0)
    return [
        SimpleNamespace(configuration=configuration, complete=complete, test={"log_likelihood": value})
        for value in values
    ]


def test_likelihoods_are_sorted_by_their_number_of_layers():
    found = [results_of("vae-3", -9.0, -8.0), results_of("vae-1", -7.0, complete=False), results_of("ladder-2", -6.0)]
    assert likelihoods(found) == {
        "VAE": [Likelihoods(1, [-7.0], False), Likelihoods(3, [-9.0, -8.0], True)],
        "Ladder VAE, batch norm, warm-up": [Likelihoods(2, [-6.0], True)],
    }


def test_a_line_of_likelihoods_has_the_spread_over_seeds_and_hollow_points(drawn):
    plot_likelihoods("", {"VAE": [Likelihoods(1, [-7.0], False), Likelihoods(3, [-9.0, -8.0], True)]})
    (axis,) = drawn[0].axes
    line, *_ = axis.lines
    assert line.get_xydata().tolist() == [[1, -7], [3, -8.5]]
    (segments,) = [collection.get_segments() for collection in axis.collections]
    np.testing.assert_allclose(segments[-1], [[3, -8.5 - 0.5**0.5], [3, -8.5 + 0.5**0.5]])
    hollow = [each for each in axis.lines if each.get_markerfacecolor() == "white"]
    assert [each.get_xydata().tolist() for each in hollow] == [[[1, -7]], []]  # and one for the legend
    plot_likelihoods("", {"VAE": [Likelihoods(1, [-7.0], True)]})
    assert all(each.get_markerfacecolor() != "white" for each in drawn[1].axes[0].lines)


def test_bounds_are_those_of_the_history(runs):
    (run,) = read_runs([str(runs / "vae")]).values()
    found = bounds(run)
    assert found.epochs == [1, 2, 3]
    assert found.train == [epoch["train/bound"] for epoch in run.history]
    assert found.test == [epoch["valid/bound"] for epoch in run.history]


def test_what_is_long_before_the_end_is_cut_off(drawn):
    epochs = list(range(1, 21))
    run = Bounds(epochs, [-1e4, -1e3, *[-90.0] * 18], [-2e4, -2e3, *[-100.0] * 17, -80.0])
    plot_bounds("", {"a": run, "b": run._replace(test=run.train)})
    (axis,) = drawn[0].axes
    assert axis.get_ylim() == pytest.approx((-101, -79))
    full, dashed, *_ = axis.lines
    assert (full.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert full.get_ydata().tolist() == run.train
    assert dashed.get_ydata().tolist() == run.test
    texts = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert texts == ["a", "b", "training images", "test images"]


def test_units_are_sorted_by_the_last_epoch_within_their_layer(runs):
    (run,) = read_runs([str(runs / "vae")]).values()
    found = units(run)
    assert found.epochs == [1, 2, 3]
    assert [layer.shape for layer in found.nats] == [(3, 3), (3, 1), (3, 2)]
    for layer, recorded in zip(found.nats, run.checkpoint[UNITS]["nats"].split([3, 1, 2], 1), strict=True):
        order = sorted(range(layer.shape[1]), key=lambda unit: -recorded[-1, unit])
        assert torch.equal(layer, recorded[:, order])


def test_an_inactive_unit_is_white(drawn):
    run = Units([1, 2], [torch.tensor([[3.0, 0.009], [3.0, 0.011]])])
    plot_units("", {"a": run, "b": Units([1, 2], [*run.nats, torch.ones(2, 1)])})
    first, *_ = drawn[0].axes
    (mesh,) = first.collections
    inactive, active = mesh.to_rgba(mesh.get_array())[1]
    assert inactive.tolist() == [1, 1, 1, 1]
    assert active[:3].min() < 0.9
    assert BLUES(1.0)[:3] == tuple(mesh.to_rgba([3.0])[0, :3])
    assert [axis.axison for axis in drawn[0].axes[:4]] == [True, False, True, True]


def test_a_single_unit_and_a_single_epoch_have_room(drawn):
    plot_units("", {"a": Units([3], [torch.ones(1, 1)])})
    (mesh,) = drawn[0].axes[0].collections
    assert mesh.get_coordinates().tolist() == [[[2.5, 0.5], [3.5, 0.5]], [[2.5, 1.5], [3.5, 1.5]]]


def test_only_some_epochs_of_many_are_drawn_the_first_and_the_last_among_them(drawn):
    plot_units("", {"a": Units(list(range(1, 2001)), [torch.linspace(0.02, 1, 2000)[:, None]])})
    (mesh,) = drawn[0].axes[0].collections
    assert mesh.get_array().shape == (1, 100)
    assert mesh.get_array()[0, [0, -1]].tolist() == pytest.approx([0.02, 1])


def test_the_figure_of_results(tmp_path):
    for row, seed in (("vae-1", 0), ("vae-2", 0), ("vae-2", 1), ("ladder-2", 0)):
        store(tmp_path, MNIST, row, seed, test={"log_likelihood": -80.0 - seed})
    output = tmp_path / "figure.png"
    assert main(["figure", "ladder-vae-figure3", f"--results={tmp_path}", f"--output={output}"]) == 0
    assert output.read_bytes().startswith(b"\x89PNG")
    stored = json.loads(output.with_suffix(".json").read_text())
    assert list(stored["log_likelihood"]) == ["VAE", "Ladder VAE, batch norm, warm-up"]  # as in the table
    assert stored["log_likelihood"] == {
        "VAE": {"1": [-80.0], "2": [-80.0, -81.0]},
        "Ladder VAE, batch norm, warm-up": {"2": [-80.0]},
    }


@pytest.mark.parametrize("name", ["ladder-vae-figure4", "ladder-vae-figure5"])
def test_the_figures_of_two_runs(name, runs, tmp_path):
    output = tmp_path / "figure.png"
    both = [f"--run={runs / 'vae'}", f"--run={runs / 'ladder'}"]
    assert main(["figure", name, *both, f"--output={output}"]) == 0
    assert output.read_bytes().startswith(b"\x89PNG")
    stored = json.loads(output.with_suffix(".json").read_text())
    labels = {"VAE", "Ladder VAE, batch norm, warm-up"}
    assert all(set(part) == labels for key, part in stored.items() if key != "environment")


def test_what_cannot_be_drawn_is_refused(runs, from_before, tmp_path, capsys):
    output = tmp_path / "figure.png"
    for name, options, words in (
        ("3", [f"--results={tmp_path}"], "holds no result of `fastladder reproduce ladder-vae-mnist --scale small`"),
        ("3", ["--scale=huge"], "scale: got 'huge', ladder-vae-mnist has "),
        ("4", [f"--run={runs / 'absent'}"], "absent: no such run or checkpoint"),
        ("5", [f"--run={runs}"], "holds no checkpoint"),
        ("4", [], "run"),
        ("4", [f"--run={from_before}"], "from-before.ckpt: has no bound of the training in its record"),
        ("5", [f"--run={runs / 'vae'}", f"--run={from_before}"], "before.ckpt: has no divergences of units"),
    ):
        assert main(["figure", f"ladder-vae-figure{name}", *options, f"--output={output}"]) == 2
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1
    assert not output.exists()
