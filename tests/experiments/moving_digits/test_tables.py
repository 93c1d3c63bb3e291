"""The table of moving digits through `fastladder reproduce`, in miniature."""

from dataclasses import replace

import pytest
import torch

from fastladder.experiments.errors import RunError
from fastladder.experiments.moving_digits.data import FOLLOWING
from fastladder.experiments.moving_digits.experiment import MOTION
from fastladder.experiments.moving_digits.metrics import LABELS
from fastladder.experiments.moving_digits.tables import MOTION_TABLE
from fastladder.experiments.registry import TABLES, Place
from fastladder.experiments.tables import Scale
from fastladder.models import RTagger
from tests.experiments.command import Command, evaluate_and_load
from tests.experiments.moving_digits.configuration import CONFIGURATION

WIDTHS = CONFIGURATION["model"]["widths"]
ROWS = {"local": {"model": {"widths": {**WIDTHS, "units": 0}}}}
TINY = replace(MOTION_TABLE, name="tiny-motion", scales={"small": Scale("Hardly anything.", CONFIGURATION, ROWS)})


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TABLES, "tiny-motion", Place(__name__, "TINY"))
        command = Command(tmp_path_factory.mktemp("motion"), "tiny-motion")
        assert command() == 0
        yield command


def test_every_row_has_every_score(command):
    for row in ("rtagger", "local"):
        assert command.result(row)["test"].keys() == LABELS.keys()
    assert {column.score for column in MOTION_TABLE.columns} <= LABELS.keys()


def test_a_run_is_evaluated_and_loaded_as_the_network_that_it_trained(command):
    for name, rows in (("rtagger", 7), ("local", 5)):
        scores, network = evaluate_and_load(command.run(name).path)
        assert scores == command.result(name)["test"]
        assert isinstance(network, RTagger)
        assert len(network.tag.mapping.ladder.encoder) == rows
        assert network.generate(torch.rand(2, 4, 32, 32), 3).masks.shape == (2, 3, 3, 32, 32)


def test_a_resumed_run_comes_to_the_same_weights(command, tmp_path, epoch_takes):
    """Sequences, first masks and noise are drawn by the epoch."""
    epoch_takes(minutes=2)
    resumed = Command(tmp_path, "tiny-motion")
    for _ in range(2):
        assert resumed("--row=rtagger", "--time-budget=1") == 0
    one, other = (torch.load(each.run("rtagger").last, weights_only=True)["state_dict"] for each in (command, resumed))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert command.result("rtagger")["test"] == resumed.result("rtagger")["test"]


def test_training_lowers_the_cost(command):
    history = command.run("rtagger").history()
    assert history[1]["train/cost"] < history[0]["train/cost"]
    assert {"valid/cost", "valid/ami", "valid/next_frame_error"} <= history[0].keys()


def test_evaluation_does_not_see_the_frames_that_follow():
    """Only their errors change with them."""
    task, data = MOTION.build({"seed": 0, **CONFIGURATION})
    data.setup("test")
    (batch,) = data.test_dataloader()
    frames = batch.frames.clone()
    frames[:, -FOLLOWING:] = 0
    found = []
    task.report = lambda part, scores, batch: found.append(scores)
    task.eval()
    with torch.no_grad():
        task.test_step(batch, 0)
        task.test_step(batch._replace(frames=frames), 0)
    changed = {name for name in found[0] if found[0][name] != found[1][name]}
    assert changed == {"free_running_error", "free_running_copy"}


def test_wrong_values_are_refused_by_name():
    for section, wrong, message in (
        ("model", {"network": "tagger"}, "network: got 'tagger', needs one of small, moving_mnist"),
        ("model", {"groups": 0}, "groups: got 0, needs a number above 0"),
        ("model", {"learning_rate": 0.0}, "learning_rate: got 0.0, needs a number above 0"),
        ("data", {"frames": 1}, "frames: got 1, needs 2 or more"),
    ):
        configuration = {"seed": 0, **CONFIGURATION, section: {**CONFIGURATION[section], **wrong}}
        with pytest.raises(RunError, match=message):
            MOTION.build(configuration)


@pytest.mark.parametrize("scale", MOTION_TABLE.scales)
def test_the_table_of_the_package_can_be_built(scale):
    sizes = {"small": 32, "paper": 64}
    for row, rows in (("rtagger", 2), ("local", 0)):
        with torch.device("meta"):
            network = MOTION.task(MOTION_TABLE.configuration(MOTION_TABLE.row(row), scale, 0)).network
        assert network.tag.data_shape == (sizes[scale],) * 2
        local = {"small": 5, "paper": 10}[scale]
        assert len(network.tag.mapping.ladder.encoder) == local + rows
