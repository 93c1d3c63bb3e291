"""Schedules of the learning rate, the deadline, and what becomes of both in a training that is resumed."""

import io
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from fastladder.experiments import callbacks
from fastladder.experiments.callbacks import Deadline, RunRecord
from fastladder.experiments.errors import RunError
from fastladder.experiments.occluded_moving_digits import MovingDigitsTask
from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.schedules import HalvingSchedule, ReplayedSchedule, learning_rate
from fastladder.experiments.training import RunFolder, train

# It falls, rises, stays above its best without rising, rises to the floor, and rises at the floor.
ERRORS = [5.0, 4.0, 6.0, 6.0, 7.0, 8.0, 3.0, 2.0]
RATES = [0.008, 0.008, 0.008, 0.004, 0.004, 0.003]
FLOOR = 0.003


def pretended_trainer(rate=0.008, epochs=8):
    """As much of a trainer as a schedule or a deadline looks at."""
    optimizer = torch.optim.SGD([torch.zeros(1)], rate)
    return SimpleNamespace(
        optimizers=[optimizer], callback_metrics={}, should_stop=False, current_epoch=0, max_epochs=epochs
    )


def run_halving(schedule, trainer, errors):
    """The rate of every epoch until the schedule ends."""
    rates = []
    for error in errors:
        if trainer.should_stop:
            break
        rates.append(learning_rate(trainer))
        trainer.callback_metrics["error"] = torch.tensor(error)
        schedule.on_train_epoch_end(trainer, None)
    return rates


def test_the_rate_is_halved_when_the_error_rises_and_ends_at_the_floor():
    schedule, trainer = HalvingSchedule("error", FLOOR), pretended_trainer()
    assert run_halving(schedule, trainer, ERRORS) == RATES
    assert trainer.should_stop


def test_an_error_that_never_rises_leaves_the_rate_alone():
    trainer = pretended_trainer()
    assert run_halving(HalvingSchedule("error", FLOOR), trainer, [3.0, 3.0, 2.0]) == [0.008] * 3
    assert not trainer.should_stop


@pytest.mark.parametrize("done", range(1, len(RATES) + 1))
def test_the_state_of_halving_goes_on_from_any_epoch(done):
    before, trainer = HalvingSchedule("error", FLOOR), pretended_trainer()
    rates = run_halving(before, trainer, ERRORS[:done])
    after, resumed = HalvingSchedule("error", FLOOR), pretended_trainer(learning_rate(trainer))
    after.load_state_dict(before.state_dict())
    after.on_train_start(resumed, None)
    assert rates + run_halving(after, resumed, ERRORS[done:]) == RATES


def test_replayed_rates_come_in_order_and_the_last_stays():
    schedule, trainer, seen = ReplayedSchedule([0.3, 0.1, 0.2]), pretended_trainer(), []
    for trainer.current_epoch in range(5):
        schedule.on_train_epoch_start(trainer, None)
        seen.append(learning_rate(trainer))
    assert seen == [0.3, 0.1, 0.2, 0.2, 0.2]


@pytest.mark.parametrize("rates", [[], [0.1, 0.0], [-1.0], [float("inf")], [float("nan")]])
def test_rates_that_are_none(rates):
    with pytest.raises(ValueError, match=r"schedule: got .*, needs numbers above 0"):
        ReplayedSchedule(rates)


def test_the_deadline_counts_from_its_making(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: now))
    deadline, trainer = Deadline(2), pretended_trainer()
    now = 1119.0
    deadline.on_train_epoch_end(trainer, None)
    assert (deadline.passed, trainer.should_stop) == (False, False)
    now = 1121.0
    deadline.on_train_epoch_end(trainer, None)
    assert (deadline.passed, trainer.should_stop) == (True, True)


def test_the_deadline_cuts_nothing_off_after_the_last_epoch():
    trainer = pretended_trainer(epochs=1)
    deadline = Deadline(0)
    deadline.on_train_epoch_end(trainer, None)
    assert (deadline.passed, trainer.should_stop) == (False, False)


def test_the_deadline_does_not_call_off_the_end_of_a_schedule():
    trainer = pretended_trainer()
    trainer.should_stop = True
    Deadline(1).on_train_epoch_end(trainer, None)
    assert trainer.should_stop


def configuration(schedule, **data):
    return {
        "seed": 0,
        "data": {"batch_size": 10, **data},
        "model": {
            "widths": {"low": 2, "high": 2, "units": 2},
            "learning_rate": 0.008,
            "least_learning_rate": FLOOR,
            "schedule": schedule,
        },
        "trainer": {"accelerator": "cpu", "max_epochs": 8, "limit_train_batches": 1, "limit_val_batches": 1},
    }


def run(folder, configuration, *, validate=True, minutes=None):
    """Trains, or goes on with what is there. Returns whether that came to its end."""
    task, data = MOVING_DIGITS.build(configuration)
    folder, console = RunFolder(folder), Console(file=io.StringIO())
    return train(
        task,
        data,
        RunRecord(MOVING_DIGITS.name, configuration, {}),
        folder,
        resume=folder.last.exists(),
        validate=validate,
        minutes=minutes,
        console=console,
    )


def weights(folder):
    return torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture
def made_up_errors(monkeypatch):
    def validation_step(self, batch, index):
        error = ERRORS[self.current_epoch]
        self.log_dict({"valid/cost": error, "valid/classification_error": error}, batch_size=len(batch.label))

    monkeypatch.setattr(MovingDigitsTask, "validation_step", validation_step)


@pytest.mark.usefixtures("made_up_errors")
def test_a_search_resumed_after_every_epoch_comes_to_the_rates_and_weights_of_an_unbroken_one(tmp_path):
    """Its last deadline passes in the very epoch in which the schedule ends."""
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert run(unbroken, configuration("halving"))
    rates = [epoch["learning_rate"] for epoch in RunFolder(unbroken).history()]
    assert rates == RATES
    for epochs in range(1, len(RATES) + 1):
        assert not run(broken, configuration("halving"), minutes=1e-9)
        assert len(RunFolder(broken).history()) == epochs
    assert run(broken, configuration("halving"), minutes=1e-9)
    assert [epoch["learning_rate"] for epoch in RunFolder(broken).history()] == RATES
    there, here = weights(unbroken), weights(broken)
    assert all(torch.equal(value, here[name]) for name, value in there.items())


def test_a_replay_follows_its_rates_and_never_validates(tmp_path, monkeypatch):
    monkeypatch.setattr(MovingDigitsTask, "validation_step", lambda *step: pytest.fail("it validated"))
    asked = configuration([0.01, 0.002, 0.03], join_validation=True)
    asked["trainer"]["max_epochs"] = 3
    assert not run(tmp_path, asked, validate=False, minutes=1e-9)
    assert run(tmp_path, asked, validate=False)
    history = RunFolder(tmp_path).history()
    assert [epoch["learning_rate"] for epoch in history] == [0.01, 0.002, 0.03]
    assert not any(name.startswith("valid/") for epoch in history for name in epoch)
    assert not RunFolder(tmp_path).best.exists()


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_minutes_that_are_none(minutes, tmp_path):
    with pytest.raises(RunError, match=r"minutes: got .*, needs a number above 0"):
        run(tmp_path / "run", configuration("linear"), minutes=minutes)
    assert not (tmp_path / "run").exists()
