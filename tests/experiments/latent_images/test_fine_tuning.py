"""The second training of networks of MNIST, Table 1 of the paper, through `fastladder reproduce`, in miniature."""

from dataclasses import replace

import pytest
import torch

from fastladder.experiments.latent_images import tables
from fastladder.experiments.latent_images.tables import (
    FINE_TUNED,
    FINE_TUNING,
    MNIST,
    SAMPLES,
    fine_tuned_rows,
    fine_tuned_scale,
)
from fastladder.experiments.latent_images.task import LatentImagesTask
from fastladder.experiments.registry import TABLES, Place
from fastladder.experiments.schedules import learning_rate
from fastladder.experiments.tables import Scale
from fastladder.experiments.training import differences, read_checkpoint
from fastladder.models import LadderVAE
from tests.experiments.command import Command, evaluate_and_load

SHARED = {
    "data": {"source": "bundled", "batch_size": 300},
    "model": {"latents": [3, 2], "hidden": [12, 8], "learning_rate": 0.01, "warm_up": 2, "test_samples": 10},
    "trainer": {"max_epochs": 2, "accelerator": "cpu"},
}
NETWORKS = {"vae-bn-wu-5": {"model": {"network": "hierarchical"}}, "ladder-5": {"model": {"network": "ladder"}}}
SECOND = {"model": {"warm_up": 0, "anneal_epochs": 1}, "trainer": {"max_epochs": 3}}
DRAWS = {key: {} for key in SAMPLES} | {"mc10-iw10": {"model": {"samples": 2, "importance": 3}}}
STEPS = 4  # in an epoch of 1,438 digits
FEW = ["--row=ladder-none", "--row=ladder-mc1-iw1", "--row=ladder-mc10-iw10"]


def tiny(shared, second):
    """Both tables with so little to train."""
    digits = replace(MNIST, name="tiny-digits", scales={"small": Scale("Hardly anything.", shared, NETWORKS)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "MNIST", digits)
        scale = fine_tuned_scale("small", Scale("Hardly anything more.", second, DRAWS))
        tuned = replace(FINE_TUNING, name="tiny-tuning", rows=tuple(fine_tuned_rows()), scales={"small": scale})
    return digits, tuned


DIGITS, TUNING = tiny(SHARED, SECOND)


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TABLES, "tiny-digits", Place(__name__, "DIGITS"))
        patch.setitem(TABLES, "tiny-tuning", Place(__name__, "TUNING"))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a ladder has been fine-tuned."""
    place = tmp_path_factory.mktemp("tuning")
    assert Command(place, "tiny-tuning")(*FEW) == 0
    return place


@pytest.fixture
def command(tmp_path):
    return Command(tmp_path, "tiny-tuning")


def last(place, table, row):
    return read_checkpoint(Command(place, table).run(row).last)


def use(monkeypatch, shared=SHARED, second=SECOND):
    digits, tuned = tiny(shared, second)
    monkeypatch.setitem(globals(), "DIGITS", digits)
    monkeypatch.setitem(globals(), "TUNING", tuned)


def test_all_rows_go_on_from_one_run_of_the_other_table(folder):
    runs = sorted(str(path.parent.relative_to(folder / "runs")) for path in folder.rglob("last.ckpt"))
    assert runs == [
        "tiny-digits/small/ladder-5-0",
        "tiny-tuning/small/ladder-mc1-iw1-0",
        "tiny-tuning/small/ladder-mc10-iw10-0",
    ]
    logs = list((folder / "runs" / "tiny-digits").rglob("metrics.csv"))
    assert len(logs) == 1  # a training that had nothing left to do logged nothing
    none, one, ten = (Command(folder, "tiny-tuning").result(row.removeprefix("--row=")) for row in FEW)
    assert all(result["complete"] for result in (none, one, ten))
    assert (none["steps"], one["steps"], ten["steps"]) == (2 * STEPS, 5 * STEPS, 5 * STEPS)
    assert len({result["test"]["log_likelihood"] for result in (none, one, ten)}) == 3


def test_what_the_other_table_trained_is_gone_on_with(folder, tmp_path):
    other = Command(tmp_path, "tiny-digits")
    assert other("--row=ladder-5") == 0
    before = other.run("ladder-5").last.read_bytes()
    assert Command(tmp_path, "tiny-tuning")(*FEW[:2]) == 0
    assert other.run("ladder-5").last.read_bytes() == before
    for row in ("ladder-none", "ladder-mc1-iw1"):
        assert (
            Command(tmp_path, "tiny-tuning").result(row)["test"] == Command(folder, "tiny-tuning").result(row)["test"]
        )
    assert other.result("ladder-5")["test"] == Command(folder, "tiny-tuning").result("ladder-none")["test"]


def test_a_run_can_be_evaluated_and_loaded(folder):
    tuning = Command(folder, "tiny-tuning")
    scores, network = evaluate_and_load(tuning.run("ladder-mc10-iw10").path)
    assert scores == tuning.result("ladder-mc10-iw10")["test"]
    assert isinstance(network, LadderVAE)


def test_the_second_training_starts_from_what_was_learnt(command, monkeypatch):
    """At a learning rate that moves nothing, the weights of the first training are still there in the end."""
    second = {**SECOND, "model": {**SECOND["model"], "learning_rate": 1e-30}}
    use(monkeypatch, second=second)
    assert command("--row=ladder-mc1-iw1") == 0
    learnt, kept = (
        last(command.folder, "tiny-digits", "ladder-5"),
        last(command.folder, "tiny-tuning", "ladder-mc1-iw1"),
    )
    weights = [name for name in learnt["state_dict"] if name.endswith("linear.weight")]
    assert weights
    assert all(torch.equal(learnt["state_dict"][name], kept["state_dict"][name]) for name in weights)


def test_the_learning_rate_falls_and_adam_starts_afresh(command, monkeypatch):
    rates, step = [], LatentImagesTask.training_step

    def recording(task, batch, index):
        rates.append(learning_rate(task.trainer))
        return step(task, batch, index)

    monkeypatch.setattr(LatentImagesTask, "training_step", recording)
    assert command("--row=ladder-mc1-iw1") == 0
    first, second = [0.01] * 2 * STEPS, [rate for rate in (0.01, 0.0075, 0.005625) for _ in range(STEPS)]
    assert rates == pytest.approx([*first, *second])
    (optimizer,) = last(command.folder, "tiny-tuning", "ladder-mc1-iw1")["optimizer_states"]
    assert {int(state["step"]) for state in optimizer["state"].values()} == {3 * STEPS}


def test_a_resumed_training_comes_to_the_same_numbers(folder, command, epoch_takes):
    """It is cut off after every epoch: in the first training, where that ends, and in the second."""
    epoch_takes(minutes=2)
    for steps, complete in ((1, False), (3, False), (4, False), (5, True)):
        assert command("--row=ladder-mc10-iw10", "--time-budget=1") == 0
        result = command.result("ladder-mc10-iw10")
        assert (result["steps"], result["complete"]) == (steps * STEPS, complete)
    assert result["test"] == Command(folder, "tiny-tuning").result("ladder-mc10-iw10")["test"]


@pytest.mark.parametrize("shared", [{"model": {"latents": [3, 1]}}, {"trainer": {"max_epochs": 3}}], ids=str)
def test_a_first_training_of_another_configuration_is_refused(shared, command, monkeypatch, capsys):
    assert command("--row=ladder-none") == 0
    use(monkeypatch, {name: {**section, **shared.get(name, {})} for name, section in SHARED.items()})
    assert command("--row=ladder-mc1-iw1") == 2
    ((section, changes),) = shared.items()
    ((name, value),) = changes.items()
    said = capsys.readouterr().err
    assert str(Command(command.folder, "tiny-digits").run("ladder-5").last) in said
    assert f"{section}.{name} {SHARED[section][name]} there, {value} asked" in said


def test_a_row_that_is_trained_all_over_keeps_the_first_training(folder, command):
    assert command("--row=ladder-mc1-iw1") == 0
    first = Command(command.folder, "tiny-digits").run("ladder-5").last
    before = first.read_bytes()
    (command.run("ladder-mc1-iw1").path / "old").touch()
    assert command("--row=ladder-mc1-iw1", "--overwrite") == 0
    assert first.read_bytes() == before
    assert not (command.run("ladder-mc1-iw1").path / "old").exists()


@pytest.mark.parametrize("scale", FINE_TUNING.scales)
@pytest.mark.parametrize("row", FINE_TUNING.rows, ids=lambda row: row.name)
def test_the_first_training_of_the_package_is_that_of_its_mnist(scale, row):
    system, _, kind = row.name.partition("-")
    _, name = FINE_TUNED[system]
    first = MNIST.configuration(MNIST.row(name), scale, 3)
    found = FINE_TUNING.configuration(row, scale, 3)
    assert (row.run or row.after) == ("ladder-vae-mnist", name)
    if kind == "none":
        assert differences(found, first) == ""
        return
    assert {"seed": 3, **found["first_training"]} == first
    changed = {"warm_up", "anneal_epochs", "samples", "importance"}
    for part in (found["model"], first["model"]):
        assert {key: value for key, value in part.items() if key not in changed} == {
            key: value for key, value in first["model"].items() if key not in changed
        }
    assert found["model"]["warm_up"] == 0
    assert found["trainer"]["max_epochs"] % found["model"]["anneal_epochs"] == 0
    drawn = found["model"].get("samples", 1), found["model"].get("importance", 1)
    assert f"mc{drawn[0]}-iw{drawn[1]}" == kind
