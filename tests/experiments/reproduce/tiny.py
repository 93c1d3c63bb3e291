"""A table in miniature, and what its tests share."""

from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.occluded_moving_digits.tables import ERROR, PREDICTION, train_by_schedule
from fastladder.experiments.tables import Row, Scale, Table
from tests.experiments.command import Command

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
    attempt=train_by_schedule,
)


class Tiny(Command):
    """`fastladder reproduce tiny` in a folder of its own."""

    def __init__(self, folder):
        super().__init__(folder, "tiny")

    def path(self, row="full", seed=0):
        return super().path(row, seed)

    def result(self, row="full", seed=0):
        return super().result(row, seed)

    def run(self, phase, row="full", seed=0):
        return super().run(row, phase, seed)


def numbers(result):
    """All of a result but when and how long it was made."""
    environment = {key: value for key, value in result["environment"].items() if key not in ("command", "time")}
    return {**{key: value for key, value in result.items() if key != "seconds"}, "environment": environment}


def refusal(capsys, code):
    """The one line that a refused command says."""
    said = capsys.readouterr().err
    assert code == 2, said
    assert said.startswith("fastladder: ")
    assert said.count("\n") == 1, said
    return said


def asked(attempts):
    """The run and the seed of every attempt."""
    return [(attempt.folder.name, attempt.configuration["seed"]) for attempt in attempts]
