"""What the phases of an attempt share; the tables' own tests show that they train, resume and are cut off."""

import time

import pytest
from rich.console import Console

from fastladder.experiments.phases import Phase, minutes_until
from fastladder.experiments.shapes.experiment import SHAPES
from fastladder.experiments.tables import Attempt
from tests.experiments.shapes.configuration import on_shapes

CONFIGURATION = {"seed": 0, **on_shapes((20, 5, 8), {"widths": [12, 8, 6]}, max_epochs=2, accelerator="cpu")}
CONFIGURATION["data"]["batch_size"] = 5


@pytest.fixture
def phase(tmp_path):
    def make(name, **changes):
        attempt = Attempt(CONFIGURATION, tmp_path, None, None, False, Console(quiet=True))
        return Phase(attempt, SHAPES, {**CONFIGURATION, **changes}, tmp_path / name)

    return make


def test_the_steps_and_seconds_of_earlier_phases_count(phase):
    first, second = phase("first"), phase("second", trainer={"accelerator": "cpu", "max_epochs": 1})
    assert first.train(None)
    assert second.train(None)
    alone = second.outcome(complete=True)
    both = second.outcome(complete=False, before=[first])
    assert (alone.steps, both.steps) == (4, 12)
    assert both.seconds > alone.seconds > 0
    assert both.test == alone.test
    assert (alone.complete, both.complete) == (True, False)
    assert len(both.learning_rates) == 1


def test_what_the_test_is_like_is_no_part_of_a_run(phase):
    """Nor does it keep a run from going on."""
    assert phase("run").train(None)
    other = phase("run", test={"groups": 2, "objects": 2, "iterations": 6})
    assert "test" not in other.configuration
    assert other.train(None)
    assert "ami_6" in other.evaluate()


def test_minutes_until():
    assert minutes_until(None) is None
    assert minutes_until(time.monotonic() + 90) == pytest.approx(1.5, abs=0.1)
    assert 0 < minutes_until(time.monotonic() - 90) < 1e-3
