"""Table 2 of Tagger through `fastladder reproduce`, in miniature."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from fastladder.experiments.classification.task import ClassificationTask
from fastladder.experiments.errors import NonFiniteCostError, RunError
from fastladder.experiments.registry import TABLES, Place, find_table, paper_numbers
from fastladder.experiments.tables import Scale
from fastladder.experiments.textured_digits.classifiers import CLASSIFIERS
from fastladder.experiments.textured_digits.experiment import TEXTURED_DIGITS, TEXTURED_GROUPING
from fastladder.experiments.textured_digits.tables import (
    TEXTURES1,
    TEXTURES2,
    pretraining,
)
from fastladder.experiments.training import RunFolder
from fastladder.models import LadderNetwork, Tagger
from tests.experiments.command import Command, evaluate_and_load

ROWS = tuple(row.name for row in TEXTURES1.rows)


def tagger(widths, new):
    """What the rows of Tagger change: widths of the first training, and of the levels that the second adds."""
    both = {"groups": 4, "likelihood": "gaussian", "initial_mean": 0.5, "norm": "layer"}
    first = {"widths": widths, "iterations": 3, "noise": 0.2, "learning_rate": 1e-3, **both}
    second = {"widths": widths + new, "iterations": 4, "noise": 0.18, "classification_weight": 0.1, **both}
    return {
        "model": {"classifier": "tagger", **second},
        "optimizer": {"learning_rate": 1e-3},
        "pretraining": {"epochs": 2, "model": first},
    }


SYSTEMS = {
    "mlp": {"model": {"classifier": "mlp", "widths": [12, 8]}},
    "ladder": {
        "model": {"classifier": "ladder", "widths": [12, 8], "weights": [10, 0.01, 1e-4, 1e-4], "noise": [0.2] * 4},
        "optimizer": {"learning_rate": 2e-3},
    },
    "tagger": tagger([12, 8, 6], [7]),
    "convnet": {"model": {"classifier": "convnet", "channels": [2, 3]}},
}


def rows_of(systems):
    """Every system twice: with all labels, and with 20."""
    few = {name: {"data": {"labels": 20, "unlabelled": name in ("ladder", "tagger")}} for name in systems}
    return systems | {f"{name}-few": systems[name] | few[name] for name in systems}


def tiny(table, objects):
    shared = {
        "data": {"dataset": f"textures{objects}", "source": "bundled", "sizes": [60, 6, 20], "batch_size": 20},
        "model": {},
        "optimizer": {"learning_rate": 1e-3, "decay": 0.33},
        "pretraining": {},
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
    }
    scales = {"small": Scale("Hardly anything.", shared, rows_of(SYSTEMS))}
    return replace(table, name=f"tiny-textures{objects}", scales=scales)


TINY1, TINY2 = tiny(TEXTURES1, 1), tiny(TEXTURES2, 2)


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TABLES, "tiny-textures1", Place(__name__, "TINY1"))
        patch.setitem(TABLES, "tiny-textures2", Place(__name__, "TINY2"))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where all rows have been run, of both tables."""
    place = tmp_path_factory.mktemp("classification")
    assert Command(place, "tiny-textures1")() == 0
    assert Command(place, "tiny-textures2")() == 0
    return place


def use_tagger(monkeypatch, changes):
    """Gives the rows of Tagger another configuration."""
    rows = rows_of({**SYSTEMS, "tagger": changes})
    changed = replace(TINY1, scales={"small": replace(TINY1.scales["small"], rows=rows)})
    monkeypatch.setitem(globals(), "TINY1", changed)


def weights(place, row, table="tiny-textures1"):
    return torch.load(RunFolder(place / "runs" / table / "small" / f"{row}-0").last, weights_only=True)["state_dict"]


@pytest.mark.parametrize("table", ["tiny-textures1", "tiny-textures2"])
def test_every_row_is_trained_to_its_end_and_scored(folder, table):
    for row in ROWS:
        found = Command(folder, table).result(row)
        assert found["complete"], row
        # Two epochs of 60 / 20 steps, and where there is a first training as many before.
        assert found["steps"] == (12 if row.startswith("tagger") else 6)
        assert 0 <= found["test"]["classification_error"] <= 100
        assert ("ami_5" in found["test"]) == row.startswith("tagger")
    report = (folder / "RESULTS.md").read_text()
    assert "FC Ladder, few labels" in report
    assert "top 2 error (%)" in report


@pytest.mark.parametrize(
    ("row", "kind"),
    [("mlp", nn.Sequential), ("convnet-few", nn.Sequential), ("ladder-few", LadderNetwork), ("tagger", Tagger)],
)
def test_a_run_can_be_evaluated_and_loaded(row, kind, folder, capsys):
    scores, network = evaluate_and_load(folder / "runs" / "tiny-textures2" / "small" / f"{row}-0")
    assert isinstance(network, kind)
    stored = Command(folder, "tiny-textures2").result(row)["test"]
    assert scores == {name: score for name, score in stored.items() if not name.startswith("ami_")}
    assert "classification error (%)" in capsys.readouterr().out


def test_a_first_training_can_be_evaluated_and_loaded(folder):
    scores, network = evaluate_and_load(folder / "runs" / "tiny-textures2" / "small" / "pretraining-0")
    assert isinstance(network, Tagger)
    assert scores["ami_5"] == Command(folder, "tiny-textures2").result("tagger")["test"]["ami_5"]


def test_both_rows_of_tagger_go_on_from_one_first_training(folder):
    runs = sorted(path.parent.name for path in (folder / "runs" / "tiny-textures1").rglob("last.ckpt"))
    assert runs == sorted([*(f"{row}-0" for row in ROWS), "pretraining-0"])
    csv = list((folder / "runs" / "tiny-textures1" / "small" / "pretraining-0").rglob("metrics.csv"))
    assert len(csv) == 1  # a training that had nothing left to do logged nothing
    first, second = (Command(folder, "tiny-textures1").result(row)["test"] for row in ("tagger", "tagger-few"))
    assert first["ami_5"] == second["ami_5"]
    assert first["cost"] != second["cost"]


def test_a_row_of_tagger_starts_from_what_was_learned_without_labels(folder, tmp_path, monkeypatch):
    """At a learning rate that moves nothing, the levels of the first training are still there in the end."""
    use_tagger(monkeypatch, {**SYSTEMS["tagger"], "optimizer": {"learning_rate": 1e-30}})
    assert Command(tmp_path, "tiny-textures1")("--row=tagger") == 0
    learned, kept = weights(tmp_path, "pretraining"), weights(tmp_path, "tagger")
    name = "network.tag.mapping.input.projection.weight"
    assert torch.equal(kept[f"classifier.{name}"], learned[name])
    assert torch.equal(weights(folder, "pretraining")[name], learned[name])
    assert not torch.equal(weights(folder, "tagger")[f"classifier.{name}"], learned[name])


@pytest.mark.parametrize(("row", "parts"), [("mlp", 2), ("ladder-few", 2), ("tagger-few", 3)])
def test_a_resumed_run_comes_to_the_same_numbers(row, parts, folder, tmp_path, epoch_takes):
    """Noise, first masks and batches are drawn by the epoch."""
    epoch_takes(minutes=2)
    for part in range(parts):
        assert Command(tmp_path, "tiny-textures1")(f"--row={row}", "--time-budget=1") == 0
        assert Command(tmp_path, "tiny-textures1").result(row)["complete"] == (part == parts - 1)
    resumed = weights(tmp_path, row)
    assert all(torch.equal(value, resumed[name]) for name, value in weights(folder, row).items())
    assert (
        Command(folder, "tiny-textures1").result(row)["test"] == Command(tmp_path, "tiny-textures1").result(row)["test"]
    )


def test_a_first_training_that_is_cut_off_has_no_error_yet(tmp_path, epoch_takes):
    epoch_takes(minutes=2)
    assert Command(tmp_path, "tiny-textures1")("--row=tagger", "--time-budget=1") == 0
    found = Command(tmp_path, "tiny-textures1").result("tagger")
    assert (found["complete"], found["steps"]) == (False, 3)
    assert "ami_5" in found["test"]
    assert "classification_error" not in found["test"]


def test_a_first_training_of_another_configuration_is_refused(tmp_path, monkeypatch, capsys, epoch_takes):
    epoch_takes(minutes=2)
    assert Command(tmp_path, "tiny-textures1")("--row=tagger", "--time-budget=1") == 0
    use_tagger(monkeypatch, tagger([12, 9, 6], [7]))
    assert Command(tmp_path, "tiny-textures1")("--row=tagger", "--overwrite") == 2
    said = capsys.readouterr().err
    assert "pretraining-0" in said
    assert "model.widths [12, 8, 6] there, [12, 9, 6] asked" in said


def test_a_cost_that_is_no_number_is_refused():
    task, data = TEXTURED_DIGITS.build(TINY1.configuration(TINY1.row("mlp"), "small", 0))
    data.setup("fit")
    (batch, *_) = data.train_dataloader()
    with torch.no_grad():
        next(iter(task.parameters())).fill_(float("nan"))
    with pytest.raises(NonFiniteCostError, match=r"step 1 \(epoch 1\): the train cost is nan"):
        task.training_step(batch, 0)


def test_the_first_training_knows_of_no_labels():
    few, every = (TINY1.configuration(TINY1.row(row), "small", 0) for row in ("tagger-few", "tagger"))
    assert few["data"]["labels"] == 20
    assert pretraining(few) == pretraining(every)


@pytest.mark.parametrize(
    ("section", "wrong", "message"),
    [
        ("model", {"classifier": "huge"}, "classifier: got 'huge', needs one of mlp, convnet, "),
        ("model", {"widths": [0]}, r"widths: got \[0\], needs numbers above 0"),
        ("optimizer", {"learning_rate": 0.0}, "learning_rate: got 0.0, needs a number above 0"),
        ("optimizer", {"decay": 1.5}, "decay: got 1.5, needs 0 to 1"),
        ("data", {"labels": 5}, "labels: got 5, a balanced draw needs a multiple of the 10 classes"),
    ],
    ids=str,
)
def test_wrong_values_are_refused_by_name(section, wrong, message):
    configuration = TINY1.configuration(TINY1.row("mlp"), "small", 0)
    with pytest.raises(RunError, match=message):
        TEXTURED_DIGITS.build({**configuration, section: {**configuration[section], **wrong}})


@pytest.mark.parametrize("name", ["tagger-table2-textures1", "tagger-table2-textures2"])
@pytest.mark.parametrize("scale", ["paper", "small"])
def test_the_tables_of_the_package_can_be_built(name, scale):
    table = find_table(name)
    assert paper_numbers(name).keys() == {row.name for row in table.rows}
    for row in table.rows:
        configuration = table.configuration(row, scale, 0)
        data, options = configuration["data"], configuration["model"]
        assert ("labels" in data) == row.name.endswith("-few")
        assert data.get("unlabelled", False) == (row.name in ("ladder-few", "tagger-few"))
        with torch.device("meta"):  # no memory for the networks of the paper
            classifier = CLASSIFIERS[options.pop("classifier")]((28, 28), **options)
        ClassificationTask(classifier, **configuration["optimizer"])


def test_a_pretrained_network_of_the_package_fits_the_one_that_classifies():
    for scale in ("paper", "small"):
        configuration = TEXTURES1.configuration(TEXTURES1.row("tagger"), scale, 0)
        first, second = configuration["pretraining"]["model"], configuration["model"]
        assert second["widths"][: len(first["widths"])] == first["widths"]
        options = ("groups", "likelihood", "initial_mean", "norm")
        assert [first[name] for name in options] == [second[name] for name in options]
        assert pretraining(configuration)["trainer"]["max_epochs"] > configuration["trainer"]["max_epochs"]
        TEXTURED_GROUPING.build(pretraining(configuration) | {"data": {"sizes": [100, 1, 1], "source": "bundled"}})
