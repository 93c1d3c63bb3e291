"""`fastladder reproduce` trains every row, evaluates it and reports it."""

from dataclasses import replace

import pytest
from lightning.pytorch import Trainer

from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.tables import Scale
from fastladder.models import RLadder
from tests.experiments.command import evaluate_and_load
from tests.experiments.reproduce import tiny
from tests.experiments.reproduce.tiny import SHARED, TINY, numbers


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


def test_a_row_whose_learning_rate_falls_linearly_is_trained_once(reproduce, monkeypatch):
    linear = {**SHARED, "model": {"learning_rate": 0.1, "schedule": "linear"}}
    monkeypatch.setattr(tiny, "TINY", replace(TINY, scales={"small": Scale("Linear.", linear)}))
    assert reproduce("--row=full") == 0
    history = reproduce.run("").history()
    assert reproduce.result()["steps"] == 2 * len(history) == 2 * 3
    assert "valid/cost" in history[0]
    rates = reproduce.result()["learning_rates"]
    assert rates == sorted(rates, reverse=True)
    assert not reproduce.run("search").path.exists()


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
