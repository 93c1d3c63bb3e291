"""The tables of Tagger through `fastladder reproduce`, in miniature."""

from dataclasses import replace

import pytest
import torch

from fastladder.experiments.errors import NonFiniteCostError, RunError
from fastladder.experiments.grouping.networks import make_network
from fastladder.experiments.registry import TABLES, Place, find_table
from fastladder.experiments.shapes.experiment import SHAPES
from fastladder.experiments.shapes.tables import TABLE1, TRANSFER
from fastladder.experiments.tables import Scale
from fastladder.experiments.training import RunFolder
from fastladder.models import Tagger
from tests.experiments.command import Command, evaluate_and_load
from tests.experiments.shapes.configuration import on_shapes

MODEL = {"widths": [12, 8, 6], "learning_rate": 1e-2}
CONFIGURATION = on_shapes((20, 5, 8), MODEL, max_epochs=2, accelerator="cpu")
CONFIGURATION["data"]["batch_size"] = 5
TINY1 = replace(
    TABLE1,
    name="tiny-table1",
    scales={"small": Scale("Hardly anything.", CONFIGURATION, TABLE1.scales["small"].rows)},
)
TINY_TRANSFER = replace(
    TRANSFER,
    name="tiny-transfer",
    scales={"small": Scale("Hardly anything.", CONFIGURATION, TRANSFER.scales["small"].rows)},
    rows=tuple(replace(row, run=("tiny-table1", "layer")) for row in TRANSFER.rows),
)


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TABLES, "tiny-table1", Place(__name__, "TINY1"))
        patch.setitem(TABLES, "tiny-transfer", Place(__name__, "TINY_TRANSFER"))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where both tables have been run."""
    place = tmp_path_factory.mktemp("tagger")
    assert Command(place, "tiny-table1")() == 0
    assert Command(place, "tiny-transfer")() == 0
    return place


def test_every_row_has_the_scores_of_every_iteration(folder):
    for row in ("batch", "layer"):
        scores = Command(folder, "tiny-table1").result(row)["test"]
        assert scores.keys() == {f"{kind}_{iteration}" for kind in ("cost", "ami") for iteration in range(1, 6)} | {
            "untrained_ami"
        }
    report = (folder / "RESULTS.md").read_text()
    assert "Tagger, layer norm" in report
    assert "AMI 5, paper" in report


def test_a_run_can_be_evaluated_and_loaded(folder, capsys):
    scores, network = evaluate_and_load(folder / "runs/tiny-table1/small/layer-0")
    assert isinstance(network, Tagger)
    stored = Command(folder, "tiny-table1").result("layer")["test"]
    assert scores == {name: score for name, score in stored.items() if name != "untrained_ami"}
    shown = capsys.readouterr().out
    assert all(f"{label}, iteration {iteration}" in shown for label in ("AMI", "cost") for iteration in range(1, 6))


def test_transfer_only_evaluates_the_run_of_table_1(folder):
    runs = sorted(path.parent.name for path in folder.glob("runs/**/last.ckpt"))
    assert runs == ["batch-0", "layer-0"]
    trained = Command(folder, "tiny-table1").result("layer")
    tests = {row.name: Command(folder, "tiny-transfer").result(row.name) for row in TRANSFER.rows}
    assert all(each["steps"] == trained["steps"] for each in tests.values())
    # As trained is as in table 1, with more iterations: the same images and first masks.
    for iteration in (1, 5):
        assert tests["as-trained"]["test"][f"ami_{iteration}"] == trained["test"][f"ami_{iteration}"]
    assert len({each["data"]["test"] for each in tests.values()}) == 3  # 2, 3 and 4 objects
    assert {each["configuration"]["test"]["groups"] for each in tests.values()} == {2, 4}


def test_a_resumed_run_comes_to_the_same_weights(folder, tmp_path, epoch_takes):
    """Masks and noise are drawn by the epoch: a run that ends after each epoch is as good as an unbroken one."""
    epoch_takes(minutes=2)
    for _ in range(2):
        assert Command(tmp_path, "tiny-table1")("--row=layer", "--time-budget=1") == 0
    unbroken, resumed = (
        torch.load(RunFolder(place / "runs/tiny-table1/small/layer-0").last, weights_only=True)["state_dict"]
        for place in (folder, tmp_path)
    )
    assert all(torch.equal(value, resumed[name]) for name, value in unbroken.items())
    assert (
        Command(folder, "tiny-table1").result("layer")["test"]
        == Command(tmp_path, "tiny-table1").result("layer")["test"]
    )


def test_training_lowers_the_cost(folder):
    history = RunFolder(folder / "runs/tiny-table1/small/layer-0").history()
    assert history[1]["train/cost"] < history[0]["train/cost"]
    assert {"valid/cost", "valid/ami"} <= history[0].keys()


def test_a_cost_that_is_no_number_is_refused():
    task, data = SHAPES.build({"seed": 0, **CONFIGURATION})
    task.training_generator = torch.Generator()
    data.setup("fit")
    (batch,) = data.val_dataloader()
    with torch.no_grad():
        next(iter(task.network.parameters())).fill_(float("nan"))
    with pytest.raises(NonFiniteCostError, match=r"step 1 \(epoch 1\): the train cost is nan"):
        task.training_step(batch, 0)


def test_wrong_values_are_refused_by_name():
    for section, wrong, message in (
        ("model", {"learning_rate": 0.0}, "learning_rate: got 0.0, needs a number above 0"),
        ("model", {"groups": 0}, "groups: got 0, needs a number above 0"),
        ("data", {"batch_size": 0}, "batch_size: got 0, needs 1 to 20"),
        ("test", {"objects": 0}, "objects: got 0, needs 1 to 255"),
    ):
        configuration = {"seed": 0, **CONFIGURATION, section: {**CONFIGURATION[section], **wrong}}
        with pytest.raises(RunError, match=message):
            SHAPES.build(configuration)


@pytest.mark.parametrize(
    ("name", "smaller"),
    [
        ("tagger-table1", {"widths": [8, 6]}),
        ("tagger-transfer", {"widths": [8, 6]}),
        ("rtagger-shapes", {"low": 3, "high": 4}),
    ],
)
def test_the_tables_of_the_package_can_be_built(name, smaller):
    table = find_table(name)
    for scale in table.scales:
        for row in table.rows:
            configuration = table.configuration(row, scale, 0)
            make_network((20, 20), configuration["model"] | smaller)
            assert configuration["test"]["iterations"] >= 5
