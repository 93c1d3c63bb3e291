"""`fastladder reproduce`: trains what is missing, goes on with what was cut off, and refuses what cannot be right."""

import json
import os
import re
import signal
from dataclasses import replace

import pytest
import torch
from lightning.pytorch import Trainer

from fastladder.cli import main
from fastladder.data import Digits, Splits
from fastladder.experiments.occluded_moving_digits import MovingDigitsTask
from fastladder.experiments.occluded_moving_digits import data as occluded_data
from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.occluded_moving_digits.tables import ERROR, PREDICTION, search_and_replay
from fastladder.experiments.registry import TABLES, Place, find_table
from fastladder.experiments.reproduce import make_parser
from fastladder.experiments.tables import Outcome, Row, Scale, Table
from fastladder.experiments.training import RunFolder
from fastladder.models import RLadder
from tests.experiments.command import evaluate_and_load

SHARED = {
    "data": {"batch_size": 10},
    "model": {
        "widths": {"low": 4, "high": 4, "units": 4},
        "learning_rate": 0.1,
        "schedule": "halving",
        "least_learning_rate": 0.01,
    },
    "trainer": {
        "accelerator": "cpu",
        "max_epochs": 3,
        "limit_train_batches": 2,
        "limit_val_batches": 1,
        "limit_test_batches": 1,
    },
}
TINY = Table(
    name="tiny",
    title="A tiny table",
    columns=(ERROR, PREDICTION),
    rows=(Row("full", "All of it"), Row("encoder", "Encoder only")),
    scales={"small": Scale("Hardly anything.", SHARED, {"encoder": {"model": {"decoder": False}}})},
    experiment=MOVING_DIGITS,
    attempt=search_and_replay,
)


class Command:
    """`fastladder reproduce tiny` in a folder of its own."""

    def __init__(self, folder):
        self.folder, self.results, self.runs = folder, folder / "results", folder / "runs"
        self.report = folder / "RESULTS.md"

    def __call__(self, *options, table="tiny"):
        places = [f"--results={self.results}", f"--runs={self.runs}", f"--report={self.report}"]
        return main(["reproduce", table, *places, *options])

    def path(self, row="full", seed=0):
        return self.results / "tiny" / "small" / f"{row}-{seed}.json"

    def result(self, row="full", seed=0):
        return json.loads(self.path(row, seed).read_text())

    def run(self, phase, row="full", seed=0):
        return RunFolder(self.runs / "tiny" / "small" / f"{row}-{seed}" / phase)


def numbers(result):
    """All of a result but when and how long it was made."""
    environment = {key: value for key, value in result["environment"].items() if key not in ("command", "time")}
    return {**{key: value for key, value in result.items() if key != "seconds"}, "environment": environment}


@pytest.fixture(scope="module", autouse=True)
def _registered():
    """One entry is all that it takes to join."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TABLES, "tiny", Place(__name__, "TINY"))
        yield


@pytest.fixture
def reproduce(tmp_path):
    return Command(tmp_path)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    command = Command(tmp_path_factory.mktemp("unbroken"))
    assert command("--row=full") == 0
    return command


@pytest.fixture
def never_train(monkeypatch):
    monkeypatch.setattr(Trainer, "fit", lambda *arguments, **options: pytest.fail("a training began"))


@pytest.fixture
def pretended(monkeypatch):
    """Rows that are done at once; answers the attempts there were."""
    attempts = []

    def attempt(asked):
        attempts.append(asked)
        seed = asked.configuration["seed"]
        return Outcome(True, 7, 60.0, {"classification_error": 1.0 + seed}, [0.1], {}, {"device": "an abacus"})

    monkeypatch.setattr(f"{__name__}.TINY", replace(TINY, attempt=attempt))
    return attempts


def refusal(capsys, code):
    """The one line that a refused command says."""
    said = capsys.readouterr().err
    assert code == 2, said
    assert said.startswith("fastladder: ")
    assert said.count("\n") == 1, said
    return said


# What it trains.


def test_both_runs_of_a_row_can_be_evaluated_and_loaded(unbroken):
    scores, network = evaluate_and_load(unbroken.run("replay").path)
    assert scores == unbroken.result()["test"]
    assert isinstance(network, RLadder)
    scores, network = evaluate_and_load(unbroken.run("search").path)
    assert scores != unbroken.result()["test"]
    assert isinstance(network, RLadder)


def test_a_row_is_searched_and_replayed(unbroken):
    result, search, replay = unbroken.result(), unbroken.run("search").history(), unbroken.run("replay").history()
    rates = [epoch["learning_rate"] for epoch in search]
    assert result["learning_rates"] == rates == [epoch["learning_rate"] for epoch in replay]
    assert result["steps"] == 2 * 2 * len(rates)
    assert result["seconds"] == pytest.approx(sum(epoch["seconds"] for epoch in [*search, *replay]))
    assert (result["table"], result["row"], result["scale"], result["seed"]) == ("tiny", "full", "small", 0)
    assert result["complete"]
    assert result["configuration"] == {"seed": 0, **SHARED}
    assert result["environment"]["seed"] == 0
    assert result["environment"].keys() >= {"command", "commit", "device", "versions", "time"}
    assert "valid/cost" in search[0]
    assert "valid/cost" not in replay[0]


def test_the_replay_learns_from_train_and_validation_set(unbroken):
    _, searched = MOVING_DIGITS.build({"seed": 0, **SHARED})
    _, replayed = MOVING_DIGITS.build({"seed": 0, **SHARED, "data": {**SHARED["data"], "join_validation": True}})
    assert len(replayed.digits.train) == len(searched.digits.train) + len(searched.digits.valid)
    replayed.setup("test")
    assert unbroken.result()["data"] == replayed.fingerprints()


def test_the_report_and_the_screen_show_it(reproduce, capsys):
    assert reproduce("--row=encoder") == 0
    shown, text = capsys.readouterr().out, reproduce.report.read_text()
    error = f"{reproduce.result('encoder')['test']['classification_error']:.2f}"
    assert error in shown
    assert "not run" in shown
    assert f"| Encoder only | {error} |" in text
    assert "| All of it |  |  |  |  | not run |" in text
    assert "Hardly anything." in text


def test_what_is_there_is_not_trained_again(unbroken, monkeypatch, snapshot):
    monkeypatch.setattr(Trainer, "fit", lambda *arguments, **options: pytest.fail("a training began"))
    before = snapshot(unbroken.folder)
    assert unbroken("--row=full") == 0
    assert snapshot(unbroken.folder) == before


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others(unbroken, reproduce):
    assert reproduce("--row=full", "--seeds=2") == 0
    assert numbers(reproduce.result()) == numbers(unbroken.result())
    one, other = reproduce.result(seed=0), reproduce.result(seed=1)
    assert one["test"] != other["test"]
    assert one["data"]["train"] != other["data"]["train"]
    assert one["data"]["test"] == other["data"]["test"]


# What was cut off.


def test_a_row_cut_off_by_the_time_budget_goes_on_to_the_same_numbers(unbroken, reproduce, epoch_takes, capsys):
    """The first call stops in the search, after its second epoch; the second in the replay, after its first."""
    epoch_takes(1)
    assert reproduce("--row=full", "--time-budget=3.5") == 0
    first = reproduce.result()
    assert (first["complete"], first["steps"]) == (False, 4)
    assert len(reproduce.run("search").history()) == 2
    assert not reproduce.run("replay").last.exists()
    assert "All of it *" in capsys.readouterr().out
    assert "| All of it * |" in reproduce.report.read_text()

    epoch_takes(4)
    assert reproduce("--row=full", "--time-budget=3.5") == 0
    second = reproduce.result()
    assert (second["complete"], second["steps"]) == (False, 8)
    assert len(reproduce.run("replay").history()) == 1
    assert "All of it *" in capsys.readouterr().out

    assert reproduce("--row=full") == 0
    assert "All of it *" not in capsys.readouterr().out
    assert numbers(reproduce.result()) == numbers(unbroken.result())


def test_a_search_that_is_cut_off_is_judged_by_its_best_checkpoint(reproduce, epoch_takes, monkeypatch):
    def validation_step(self, batch, index):
        costs = {"valid/cost": 1.0 + self.current_epoch, "valid/classification_error": 50.0}
        self.log_dict(costs, batch_size=len(batch.label))

    monkeypatch.setattr(MovingDigitsTask, "validation_step", validation_step)
    total = lambda task: sum(parameter.detach().sum() for parameter in task.parameters())  # noqa: E731
    test_step = lambda task, batch, index: task.log("test/classification_error", total(task), batch_size=1)  # noqa: E731
    monkeypatch.setattr(MovingDigitsTask, "test_step", test_step)
    epoch_takes(1)
    assert reproduce("--row=full", "--time-budget=3.5") == 0
    task, _ = MOVING_DIGITS.build({"seed": 0, **SHARED})
    scores = {}
    for name in ("best", "last"):
        checkpoint = torch.load(getattr(reproduce.run("search"), name), weights_only=True)
        task.load_state_dict(checkpoint["state_dict"])
        scores[name] = total(task).item()
    assert scores["best"] != scores["last"]
    assert reproduce.result()["test"]["classification_error"] == pytest.approx(scores["best"])


@pytest.mark.parametrize(
    ("method", "call"),
    [
        pytest.param("training_step", 1, id="in the first epoch of the search"),
        pytest.param("training_step", 4, id="in the second epoch of the search"),
        pytest.param("training_step", 7, id="in the first epoch of the replay"),
        pytest.param("training_step", 10, id="in the second epoch of the replay"),
        pytest.param("test_step", 1, id="in the evaluation"),
    ],
)
def test_ctrl_c_and_the_same_command_goes_on(method, call, unbroken, reproduce, monkeypatch, capsys):
    original, calls = getattr(MovingDigitsTask, method), []

    def interrupted(self, batch, index):
        calls.append(index)
        if len(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return original(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(MovingDigitsTask, method, interrupted)
        assert reproduce("--row=full") == 130
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert "the same command goes on" in said
    assert not reproduce.path().exists()
    assert reproduce("--row=full") == 0
    assert numbers(reproduce.result()) == numbers(unbroken.result())


@pytest.mark.usefixtures("never_train")
def test_no_time_is_no_training(reproduce, capsys):
    assert reproduce("--time-budget=0", "--seeds=2") == 0
    assert "no time left for 4 of 4 runs" in capsys.readouterr().out
    assert reproduce.report.exists()


def test_the_time_that_is_left_is_shared_evenly(reproduce, pretended):
    assert reproduce("--time-budget=12", "--seeds=2") == 0
    assert [attempt.minutes for attempt in pretended] == pytest.approx([3, 4, 6, 12], abs=0.1)
    pretended.clear()
    assert reproduce("--seeds=3") == 0
    assert [attempt.minutes for attempt in pretended] == [None, None]


# Rows and seeds.


def asked(attempts):
    return [(attempt.folder.name, attempt.configuration["seed"]) for attempt in attempts]


def test_all_rows_with_one_seed_come_before_the_next_seed(reproduce, pretended):
    assert reproduce("--seeds=2") == 0
    assert asked(pretended) == [("full-0", 0), ("encoder-0", 0), ("full-1", 1), ("encoder-1", 1)]


def test_rows_are_chosen_and_only_missing_seeds_are_trained(reproduce, pretended, capsys):
    assert reproduce("--row=encoder") == 0
    assert asked(pretended) == [("encoder-0", 0)]
    pretended.clear()
    assert reproduce("--row=encoder", "--row=full", "--seeds=2") == 0
    assert asked(pretended) == [("full-0", 0), ("encoder-1", 1), ("full-1", 1)]
    # Errors 1 and 2 % on average, and their deviation.
    assert "| Encoder only | 1.50 ± 0.71 |  |  |  | 2 | 7 | 2.0 min | an abacus |" in reproduce.report.read_text()
    assert "1.50 ± 0.71" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--row=bogus"], ["row: got 'bogus'", "full, encoder"]),
        (["--scale=paper"], ["scale: got 'paper'", "small"]),
        (["--seeds=0"], ["seeds: got 0"]),
        (["--seeds=-1"], ["seeds: got -1"]),
        (["--seeds=many"], ["seeds", "many"]),
        (["--time-budget=-1"], ["time-budget: got -1"]),
        (["--time-budget=nan"], ["time_budget", "nan"]),
        (["--nope"], ["--nope"]),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("never_train")
def test_options_that_cannot_be_used(options, words, reproduce, capsys):
    said = refusal(capsys, reproduce(*options))
    assert all(word in said for word in words), said
    assert not list(reproduce.folder.iterdir())


@pytest.mark.usefixtures("never_train")
def test_a_table_that_is_not_there(reproduce, capsys):
    said = refusal(capsys, reproduce(table="bogus"))
    assert "table: got 'bogus'" in said
    assert all(name in said for name in TABLES)
    unbroken = "".join(make_parser().format_help().split())  # help breaks lines behind hyphens
    assert all(name in unbroken for name in TABLES)


# Results and folders that are not as they should be.


@pytest.mark.parametrize("content", ["", '{"table": "ti', "[1, 2]", '{"numbers": 3}'])
@pytest.mark.usefixtures("never_train")
def test_a_result_that_is_none(content, reproduce, capsys):
    reproduce.path().parent.mkdir(parents=True)
    reproduce.path().write_text(content)
    said = refusal(capsys, reproduce())
    assert str(reproduce.path()) in said
    assert reproduce.path().read_text() == content


def test_a_result_of_another_configuration(reproduce, pretended, monkeypatch, capsys):
    assert reproduce("--row=full") == 0
    before = reproduce.result()
    longer = {**SHARED, "trainer": {**SHARED["trainer"], "max_epochs": 4}}
    monkeypatch.setattr(f"{__name__}.TINY", replace(find_table("tiny"), scales={"small": Scale("Longer.", longer)}))
    pretended.clear()
    said = refusal(capsys, reproduce())
    assert "another configuration" in said
    assert "trainer.max_epochs 3 there, 4 asked" in said
    assert not pretended
    assert reproduce.result() == before
    assert reproduce("--row=full", "--overwrite") == 0
    assert reproduce.result()["configuration"]["trainer"]["max_epochs"] == 4


def test_a_run_of_another_configuration(unbroken, reproduce, monkeypatch, capsys):
    reproduce.runs = unbroken.runs
    longer = {**SHARED, "trainer": {**SHARED["trainer"], "max_epochs": 4}}
    monkeypatch.setattr(f"{__name__}.TINY", replace(TINY, scales={"small": Scale("Longer.", longer)}))
    said = refusal(capsys, reproduce("--row=full"))
    assert "last.ckpt: a checkpoint of another configuration (trainer.max_epochs 3 there, 4 asked)" in said
    assert not reproduce.path().exists()


def test_a_worse_informed_result_does_not_replace_a_better_informed_one(reproduce, epoch_takes, capsys):
    """As when the runs are lost, of which the results are still there."""
    epoch_takes(1)
    assert reproduce("--row=full", "--time-budget=3.5") == 0
    before = reproduce.result()
    os.rename(reproduce.runs, reproduce.folder / "lost")
    epoch_takes(4)
    said = refusal(capsys, reproduce("--row=full", "--time-budget=3.5"))
    assert "4 steps, better informed than that of 2" in said
    assert reproduce.result() == before


def test_overwrite_trains_all_over(unbroken, reproduce, epoch_takes):
    """A whole result is replaced by one of a single epoch: nothing of the old runs was gone on with."""
    assert reproduce("--row=full") == 0
    (reproduce.run("search").path / "old").touch()
    epoch_takes(4)
    assert reproduce("--row=full", "--time-budget=3.5", "--overwrite") == 0
    assert (reproduce.result()["complete"], reproduce.result()["steps"]) == (False, 2)
    assert not (reproduce.run("search").path / "old").exists()
    assert not reproduce.run("replay").path.exists()
    assert reproduce("--row=full") == 0
    assert numbers(reproduce.result()) == numbers(unbroken.result())


def test_overwrite_leaves_other_rows_alone(reproduce, pretended):
    assert reproduce() == 0
    before = reproduce.path("full").read_bytes()
    pretended.clear()
    assert reproduce("--row=encoder", "--overwrite") == 0
    assert asked(pretended) == [("encoder-0", 0)]
    assert reproduce.path("full").read_bytes() == before


def test_ctrl_c_with_overwrite_keeps_the_old_result(reproduce, pretended, monkeypatch, capsys):
    assert reproduce("--row=full") == 0
    before = reproduce.result()

    def interrupted(attempt):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{__name__}.TINY", replace(TINY, attempt=interrupted))
    assert reproduce("--row=full", "--overwrite") == 130
    assert "the same command starts all over" in capsys.readouterr().err
    assert reproduce.result() == before


def test_what_an_interrupted_write_left_does_no_harm(reproduce, pretended):
    scratch = reproduce.path().with_name(".full-0.json.1.partial")
    scratch.parent.mkdir(parents=True)
    scratch.write_text('{"table": "ti')
    os.utime(scratch, (0, 0))
    assert reproduce() == 0
    assert asked(pretended) == [("full-0", 0), ("encoder-0", 0)]
    assert not scratch.exists()


@pytest.mark.parametrize("place", ["results", "runs"])
@pytest.mark.usefixtures("never_train")
def test_a_folder_that_cannot_be_written_is_found_before_any_training(place, reproduce, capsys):
    (reproduce.folder / "file").write_text("mine")
    setattr(reproduce, place, reproduce.folder / "file")
    said = refusal(capsys, reproduce())
    assert "cannot be written" in said
    assert f"--{place}" in said
    assert (reproduce.folder / "file").read_text() == "mine"


def test_a_report_that_cannot_be_written_loses_no_result(reproduce, pretended, capsys):
    reproduce.report = reproduce.folder
    assert "--report" in refusal(capsys, reproduce("--row=full"))
    assert reproduce.path().exists()


@pytest.mark.usefixtures("never_train")
def test_mnist_that_is_not_there(reproduce, capsys):
    places = [f"--data-dir={reproduce.folder / 'absent'}", "--scale=paper", "--row=rladder"]
    assert str(reproduce.folder / "absent") in refusal(capsys, reproduce(*places, table="rladder-table1"))


@pytest.mark.usefixtures("never_train")
def test_too_few_labels_for_a_balanced_draw(reproduce, monkeypatch, capsys):
    few = {**SHARED, "data": {**SHARED["data"], "labels": 15}}
    monkeypatch.setattr(f"{__name__}.TINY", replace(TINY, scales={"small": Scale("Few labels.", few)}))
    assert "labels" in refusal(capsys, reproduce())
    assert not reproduce.path().exists()


# The tables that come with the package.


@pytest.fixture(scope="module")
def _noise_for_mnist():
    """200 digits of noise, of every class the same number, for each part of MNIST."""
    generator = torch.Generator().manual_seed(0)
    parts = [torch.rand(count, 28, 28, generator=generator) for count in (2000, 100, 100)]
    splits = Splits(*(Digits(part, torch.arange(len(part)) % 10, "noise") for part in parts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(occluded_data, "mnist_splits", lambda folder, *, download: splits)
        yield


SHIPPED = [name for name in TABLES if name.startswith("rladder-")]
# What a row's name promises: frames of a sequence, decoder and its feedback, prediction, classification.
PROMISES = {
    "static": (1, False, False, False, True),
    "temporal": (None, False, False, False, True),
    "hierarchical": (None, False, False, False, True),
    "no-prediction": (None, True, True, False, True),
    "no-feedback": (None, True, False, True, True),
    "no-classification": (None, True, True, True, False),
    "rladder": (None, True, True, True, True),
}
NETWORKS = {
    "paper": {"static": "table7", "temporal": "table6", "rladder": "table5"},
    "small": {"static": "small_static", "temporal": "small_temporal", "rladder": "small"},
}


@pytest.mark.parametrize("scale", ["paper", "small"])
@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.usefixtures("_noise_for_mnist")
def test_every_row_builds_the_network_it_promises(name, scale):
    table = find_table(name)
    for row in table.rows:
        configuration = table.configuration(row, scale, 0)
        task, data = MOVING_DIGITS.build(configuration)
        system = re.sub("-(teacher|unlabelled)$", "", row.name)
        frames, *promised = PROMISES[system]
        network = task.network
        assert data.frames == (frames or data.config.frames), row.name
        assert [len(network.decoder) > 0, network.feedback, network.predict, network.classify] == promised, row.name
        assert configuration["model"]["network"] == NETWORKS[scale].get(system, NETWORKS[scale]["rladder"]), row.name
        assert (task.teacher is not None) == row.name.endswith("-teacher"), row.name
        assert data.unlabelled == row.name.endswith(("-teacher", "-unlabelled")), row.name
        assert (data.labelled is None) == (name == "rladder-table1"), row.name


@pytest.mark.parametrize("scale", ["paper", "small"])
@pytest.mark.usefixtures("_noise_for_mnist")
def test_the_hash_of_the_data_tells_data_apart_and_nothing_else(scale):
    def hashes(name, row, seed=0, **data):
        table = find_table(name)
        configuration = table.configuration(table.row(row), scale, seed)
        _, sequences = MOVING_DIGITS.build({**configuration, "data": {**configuration["data"], **data}})
        sequences.setup("test")
        return sequences.fingerprints()

    first = hashes("rladder-table1", "rladder")
    assert hashes("rladder-table1", "rladder") == first
    assert hashes("rladder-table1", "hierarchical") == first
    others = {
        "another seed": hashes("rladder-table1", "rladder", seed=1),
        "few labels": hashes("rladder-table2", "rladder"),
        "with validation set": hashes("rladder-table1", "rladder", join_validation=True),
    }
    for what, other in others.items():
        assert other["train"] != first["train"], what
        assert (other["valid"], other["test"]) == (first["valid"], first["test"]), what
