"""`fastladder reproduce` goes on with what was cut off, to the numbers of an unbroken run."""

import pytest
import torch

from fastladder.experiments.occluded_moving_digits import MovingDigitsTask
from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from tests.experiments.interruption import interrupt_at
from tests.experiments.reproduce.tiny import SHARED, numbers


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
    with monkeypatch.context() as patch:
        interrupt_at(patch, method, call)
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
