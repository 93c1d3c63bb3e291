"""Table 4 of Recurrent Ladder Networks through `fastladder reproduce`, in miniature, and its data and its figure."""

import json
from dataclasses import replace

import pytest
import torch
from matplotlib.image import imread
from torch import nn

from fastladder.cli import main
from fastladder.data import Digits, Splits, Textures
from fastladder.experiments.classification.task import ClassificationTask
from fastladder.experiments.errors import RunError
from fastladder.experiments.registry import TABLES, Place, find_table
from fastladder.experiments.tables import Scale
from fastladder.experiments.textured_digits.classifiers import CLASSIFIERS
from fastladder.experiments.textured_digits.data import TEXTURES, image_shape, splits_of
from fastladder.experiments.textured_digits.experiment import TEXTURED_DIGITS, TEXTURED_GROUPING
from fastladder.experiments.textured_digits.tables import GROUPING_AND_CLASSES
from fastladder.models import RTagger, Tagger
from tests.experiments.command import Command, evaluate_and_load

GROUPING = {"groups": 3, "iterations": 3, "test_iterations": 3, "noise": 0.2, "classification_weight": 0.1}
SYSTEMS = {
    "rtagger": {"model": {"classifier": "small-rtagger", "low": 2, "high": 3, "units": 4, **GROUPING}},
    "tagger": {"model": {"classifier": "joint-tagger", "widths": [6, 5], **GROUPING}},
    "convnet": {"model": {"classifier": "all-convolutional", "channels": [2, 3]}},
}
FEW = {name: {"data": {"labels": 10, "unlabelled": name != "convnet", "batch_size": 4}} for name in SYSTEMS}
SHARED = {
    "data": {
        "dataset": "thick_digits",
        "source": "bundled",
        "textures": "procedural",
        "sizes": [40, 6, 12],
        "batch_size": 8,
        "test_batch": 5,
    },
    "model": {},
    "optimizer": {"learning_rate": 1e-3},
    "trainer": {"max_epochs": 2, "accelerator": "cpu"},
}
ROWS = SYSTEMS | {f"{name}-few": SYSTEMS[name] | FEW[name] for name in SYSTEMS}
TINY = replace(GROUPING_AND_CLASSES, name="tiny-thick", scales={"small": Scale("Hardly anything.", SHARED, ROWS)})


@pytest.fixture(scope="module", autouse=True)
def _few_textures():
    """Three textures, which take no time to make."""
    stripes = torch.rand(3, 160, generator=torch.Generator().manual_seed(0))
    images = stripes[:, None].expand(3, 160, 160).repeat_interleave(2, 1).repeat_interleave(2, 2).contiguous()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TEXTURES, "procedural", lambda folder: Textures(images, "stripes"))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where all rows have been run."""
    place = tmp_path_factory.mktemp("thick")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TABLES, "tiny-thick", Place(__name__, "TINY"))
        assert Command(place, "tiny-thick")() == 0
        yield place


def test_every_row_has_the_scores_that_it_can_have(folder):
    for row in TINY.rows:
        found = Command(folder, "tiny-thick").result(row.name)
        assert found["complete"]
        assert found["steps"] == (20 if row.name.endswith("-few") else 10)
        scores = {f"{score}_{t}" for score in ("classification_error", "ami") for t in (1, 2, 3)}
        expected = set() if row.name.startswith("convnet") else scores
        assert found["test"].keys() == {"cost", "classification_error"} | expected
        if expected:
            assert found["test"]["classification_error"] == found["test"]["classification_error_3"]
    report = (folder / "RESULTS.md").read_text()
    assert "RTagger, few labels" in report


@pytest.mark.parametrize(("row", "kind"), [("rtagger-few", RTagger), ("tagger", Tagger), ("convnet", nn.Sequential)])
def test_a_run_can_be_evaluated_and_loaded(row, kind, folder, capsys):
    scores, network = evaluate_and_load(folder / f"runs/tiny-thick/small/{row}-0")
    assert isinstance(network, kind)
    assert scores == Command(folder, "tiny-thick").result(row)["test"]
    shown = capsys.readouterr().out
    assert ("AMI, iteration 3" in shown) == (row != "convnet")


def test_figure_6_is_drawn_of_a_run_with_groups(folder, tmp_path, capsys):
    output = tmp_path / "figure.png"
    runs = folder / "runs/tiny-thick/small"
    assert main(["figure", "rtagger-figure6", f"--checkpoint={runs / 'rtagger-0'}", f"--output={output}"]) == 0
    picture = imread(output)
    assert picture.shape[0] > 600
    assert picture[..., :3].std() > 0.05
    assert len(json.loads(output.with_suffix(".json").read_text())["scores"]) == 7
    assert main(["figure", "rtagger-figure6", f"--checkpoint={runs / 'convnet-0'}", f"--output={output}"]) == 2
    assert "holds a network of the class Sequential, which has no groups" in capsys.readouterr().err


def test_images_are_grouped_without_labels_too():
    data = {name: value for name, value in SHARED["data"].items() if name != "test_batch"}
    task, _ = TEXTURED_GROUPING.build({"seed": 0, "data": data, "model": {"widths": [6, 5]}})
    assert task.network.tag.data_shape == (40, 40)


@pytest.mark.parametrize("textures", ["brodatz", "scikit_image", "procedural"])
@pytest.mark.parametrize("source", ["mnist", "bundled"])
def test_images_are_of_the_digits_and_textures_asked_for(source, textures, monkeypatch):
    noise = torch.rand(3, 320, 320, generator=torch.Generator().manual_seed(0))
    asked = []
    monkeypatch.setitem(TEXTURES, textures, lambda folder: asked.append(folder) or Textures(noise, textures))
    digits = Digits(torch.rand(20, 28, 28), torch.arange(20) % 10, "noise")
    monkeypatch.setattr("fastladder.data.thick_digits.mnist_splits", lambda *_, **__: Splits(digits, digits, digits))
    configuration = {"data": {"dataset": "thick_digits", "source": source, "textures": textures}}
    splits = splits_of(**configuration["data"], sizes=(3, 2, 1), folder="somewhere")
    assert asked == ["somewhere"]
    assert [len(part) for part in splits] == [3, 2, 1]
    assert splits.train.images.shape[1:] == image_shape(configuration)
    halved = ", halved" if source == "bundled" else ""
    assert splits.train.source.endswith(f"{textures}{halved}")
    assert (TEXTURED_DIGITS.why_no_files(configuration) == "") == (source == "mnist" or textures == "brodatz")


@pytest.mark.parametrize(
    ("section", "wrong", "message"),
    [
        ("data", {"textures": None}, "textures: got None, needs one of brodatz, scikit_image, procedural"),
        ("data", {"dataset": "textures1"}, "textures: got 'procedural', has no effect with dataset 'textures1'"),
        ("model", {"classification_weight": -1.0}, "classification_weight: got -1.0, needs 0 or more"),
        ("model", {"groups": 0}, "groups: got 0, needs a number above 0"),
    ],
    ids=str,
)
def test_wrong_values_are_refused_by_name(section, wrong, message):
    configuration = TINY.configuration(TINY.row("rtagger"), "small", 0)
    with pytest.raises(RunError, match=message):
        TEXTURED_DIGITS.build({**configuration, section: {**configuration[section], **wrong}})


def test_a_download_without_effect_is_refused():
    configuration = TINY.configuration(TINY.row("rtagger"), "small", 0)
    with pytest.raises(RunError, match=r"--download: has no effect with data\.source 'bundled'"):
        TEXTURED_DIGITS.build(configuration, download=True)
    configuration["data"]["textures"] = "brodatz"
    with pytest.raises(RunError, match="download: got True, has no effect with source 'bundled', only with 'mnist'"):
        TEXTURED_DIGITS.build(configuration, download=True)


def steps(table, scale, row):
    """How many steps a row is trained for."""
    configuration = table.configuration(table.row(row), scale, 0)
    data = configuration["data"]
    return data["sizes"][0] // data["batch_size"] * configuration["trainer"]["max_epochs"]


def test_the_table_of_the_package_can_be_built():
    table = find_table("rtagger-textures")
    for scale in table.scales:
        for row in table.rows:
            configuration = table.configuration(row, scale, 0)
            data, options = configuration["data"], configuration["model"]
            assert data["textures"] in table.scales[scale].caption.lower()
            assert ("labels" in data) == row.name.endswith("-few")
            assert data.get("unlabelled", False) == (row.name in ("rtagger-few", "tagger-few"))
            assert steps(table, scale, f"{row.name.removesuffix('-few')}-few") == pytest.approx(
                steps(table, scale, row.name.removesuffix("-few")), rel=0.02
            )
            with torch.device("meta"):  # no memory for the networks of the paper
                classifier = CLASSIFIERS[options.pop("classifier")](image_shape(configuration), **options)
            ClassificationTask(classifier, **configuration["optimizer"])
