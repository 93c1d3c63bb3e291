import io

import pytest
from rich.console import Console

from fastladder.experiments.callbacks import RunRecord
from fastladder.experiments.configuration import configuration_of, make_parser, parse
from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.training import RunFolder, train


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_epoch_cost_and_error(terminal, tiny, tmp_path):
    configuration = configuration_of(parse(make_parser("train", "", MOVING_DIGITS), tiny))
    task, data = MOVING_DIGITS.build(configuration)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=120, color_system=None)
    train(task, data, RunRecord(MOVING_DIGITS.name, configuration, {}), RunFolder(tmp_path), console=console)
    shown = screen.getvalue()
    assert "epoch 3/3" in shown
    assert "cost " in shown
    assert "valid error" in shown
    assert ("9/9" in shown) == terminal
    assert ("left" in shown) == terminal
